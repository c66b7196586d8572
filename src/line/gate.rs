//! Which members of a LAG may carry: what LACP lets distribute, and of that what is alive (RFC 7130, section 3).
//!
//! LACP knows nothing of it: to its partner a member that is not alive distributes all the same.
//!
//! **Invariant:** pure; without micro sessions every member is alive, and all is as LACP has it.

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Member {
    collecting: bool,
    distributing: bool,
    alive: bool,
}

/// The members of a LAG.
#[derive(Debug)]
pub(super) struct Gate {
    min_links: u8,
    members: Vec<Member>,
    carrier: bool,
}

impl Gate {
    /// As many members as this says whether they are alive before anything was heard; none of them collects.
    pub fn new(min_links: u8, alive: impl IntoIterator<Item = bool>) -> Gate {
        let members = alive.into_iter().map(|alive| Member {
            alive,
            ..Member::default()
        });
        Gate {
            min_links,
            members: members.collect(),
            carrier: false,
        }
    }

    /// LACP changed its mind about a member.
    pub fn mux(&mut self, member: usize, collecting: bool, distributing: bool) {
        if let Some(member) = self.members.get_mut(member) {
            (member.collecting, member.distributing) = (collecting, distributing);
        }
    }

    /// A member came alive, or is no longer.
    pub fn alive(&mut self, member: usize, alive: bool) {
        if let Some(member) = self.members.get_mut(member) {
            member.alive = alive;
        }
    }

    /// No member does anything any more.
    pub fn close(&mut self) {
        let members = self.members.iter_mut();
        members.for_each(|member| (member.collecting, member.distributing) = (false, false));
    }

    /// Whether a member hands frames to the LAG. One that is not alive goes on doing so: its partner decides what it sends.
    pub fn collects(&self, member: usize) -> bool {
        self.members
            .get(member)
            .is_some_and(|member| member.collecting)
    }

    /// Whether a member takes frames of the LAG.
    pub fn distributes(&self, member: usize) -> bool {
        let member = self.members.get(member);
        member.is_some_and(|member| member.distributing && member.alive)
    }

    /// How many members take frames.
    pub fn distributing(&self) -> u8 {
        let members = 0..self.members.len();
        members.filter(|member| self.distributes(*member)).count() as u8
    }

    /// Whether the LAG has carrier, as it was told last.
    pub fn carrier(&self) -> bool {
        self.carrier
    }

    /// The LAG's carrier, if it is another than was told last.
    pub fn change(&mut self) -> Option<bool> {
        let carrier = self.distributing() >= self.min_links;
        (std::mem::replace(&mut self.carrier, carrier) != carrier).then_some(carrier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_micro_sessions_all_is_as_lacp_has_it() {
        let mut gate = Gate::new(2, [true, true]);
        assert_eq!(gate.change(), None);
        gate.mux(0, true, true);
        assert_eq!((gate.distributing(), gate.change()), (1, None));
        gate.mux(1, true, true);
        assert_eq!((gate.distributing(), gate.change()), (2, Some(true)));
        assert_eq!(gate.change(), None);
        gate.mux(0, true, false);
        assert_eq!(gate.change(), Some(false));
        assert!(gate.collects(0) && !gate.distributes(0));
    }

    #[test]
    fn a_member_that_is_not_alive_takes_nothing() {
        let mut gate = Gate::new(1, [false, false]);
        gate.mux(0, true, true);
        gate.mux(1, true, true);
        assert_eq!((gate.distributing(), gate.change()), (0, None));
        assert!(gate.collects(0));
        gate.alive(1, true);
        assert_eq!(gate.change(), Some(true));
        assert!(!gate.distributes(0) && gate.distributes(1));
        gate.alive(0, true);
        gate.alive(1, false);
        assert_eq!((gate.distributing(), gate.change()), (1, None));
        gate.alive(0, false);
        assert_eq!(gate.change(), Some(false));
        gate.alive(0, true);
        gate.close();
        assert_eq!(gate.change(), None);
        gate.alive(7, true);
        gate.mux(7, true, true);
        assert_eq!(gate.distributing(), 0);
    }
}
