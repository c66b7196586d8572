//! What comes in: from bytes to messages, from messages to events.

use super::negotiate::missed;
use super::{Conn, Direction, Given, Output, ROOM, RefreshMark, Session};
use crate::bgp::family::Family;
use crate::bgp::fsm::{Event, State};
use crate::bgp::message::{self, Dialect, Message, RouteRefresh};
use crate::bgp::notification::Notification;

impl Session {
    pub(super) fn received(&mut self, conn: Conn, bytes: &[u8]) {
        let side = conn.direction;
        if self.machine(side).conn != Some(conn) {
            return;
        }
        self.machine_mut(side).framer.push(bytes);
        let before_open = Dialect::plain(self.config.asn == self.config.peer_asn);
        // A message may close the connection; what comes after it is void.
        while self.machine(side).conn == Some(conn) {
            let machine = self.machine_mut(side);
            let dialect = machine
                .negotiated
                .as_ref()
                .map_or(before_open, |n| n.dialect);
            match machine.framer.next(dialect) {
                Ok(Some(message)) => self.message(side, message),
                Ok(None) => break,
                Err(notification) => {
                    self.refuse(side, notification, None);
                    break;
                }
            }
        }
    }

    pub(super) fn message(&mut self, side: Direction, message: Message) {
        let held = self.machine(side).held;
        let received = &mut self.counters.received;
        match message {
            Message::Open(open) => {
                received.open += 1;
                self.open(side, open);
            }
            Message::Keepalive => {
                received.keepalive += 1;
                let event = if held {
                    Event::KeepaliveHeld
                } else {
                    Event::Keepalive
                };
                self.apply(side, event, Given::why("KEEPALIVE received"));
            }
            Message::Update(update) => {
                received.update += 1;
                let given = Given {
                    update: Some(update),
                    ..Given::why("UPDATE received")
                };
                self.apply(side, Event::Update, given);
            }
            Message::Notification(notification) => {
                received.notification += 1;
                self.notified(side, notification);
            }
            Message::RouteRefresh(refresh) => {
                received.route_refresh += 1;
                self.route_refresh(side, refresh);
            }
        }
    }

    fn notified(&mut self, side: Direction, notification: Notification) {
        if self.machine(side).state != State::Established {
            let announced = &self.config.capabilities;
            self.omitted.learn(&notification, announced);
        }
        self.notification_received = Some((self.now, notification.clone()));
        self.refused |= matches!(
            (notification.code, notification.subcode),
            (6, 2 | 3 | 5 | 8)
        );
        // RFC 5492, section 5: what we lack we lack next time, too. The next attempt is the longest rest away.
        if (notification.code, notification.subcode) == (2, 7) {
            self.refused = true;
            self.failures = u32::MAX;
        }
        let event = match (notification.code, notification.subcode) {
            (2, 1) => Event::NotificationVersionError,
            _ => Event::Notification,
        };
        let given = Given {
            why: format!("received {notification}{}", missed(&notification)).into(),
            notification: Some(notification),
            ..Given::default()
        };
        self.apply(side, event, given);
    }

    /// What was not asked for with a capability, and subtypes nobody knows, are ignored (RFC 2918, RFC 7313). None says that the
    /// neighbour is alive: the hold timer waits for KEEPALIVEs and UPDATEs (RFC 4271, section 4.2).
    fn route_refresh(&mut self, side: Direction, refresh: RouteRefresh) {
        let machine = self.machine(side);
        let output = if let Some(negotiated) = &machine.negotiated
            && machine.state == State::Established
        {
            let ours = &self.config.capabilities;
            let family = Family::from_codes(refresh.afi, refresh.safi)
                .filter(|&family| negotiated.dialect.families.contains(family));
            match (family, refresh.subtype) {
                (Some(family), RouteRefresh::REQUEST) if ours.route_refresh => {
                    Output::RefreshRequested {
                        family,
                        demarcated: negotiated.dialect.enhanced_refresh,
                    }
                }
                (Some(family), RouteRefresh::BEGIN) => Output::RefreshMarked {
                    family,
                    mark: RefreshMark::Begin,
                },
                (Some(family), RouteRefresh::END) => Output::RefreshMarked {
                    family,
                    mark: RefreshMark::End,
                },
                (_, subtype) => {
                    tracing::debug!("a ROUTE-REFRESH of subtype {subtype} is ignored");
                    return;
                }
            }
        } else {
            // Out of place, which ends the session: nothing is refreshed.
            return self.apply(
                side,
                Event::RouteRefresh,
                Given::why("ROUTE-REFRESH received"),
            );
        };
        let given = Given {
            refresh: Some(output),
            ..Given::why("ROUTE-REFRESH received")
        };
        self.apply(side, Event::RouteRefresh, given);
    }

    /// A message that ends the session; `detail` is for our people.
    pub(super) fn refuse(
        &mut self,
        side: Direction,
        notification: Notification,
        detail: Option<String>,
    ) {
        let event = match notification.code {
            2 => Event::OpenError,
            3 => Event::UpdateError,
            7 => Event::RouteRefreshError,
            _ => Event::HeaderError,
        };
        let mut given = Given::to_send(notification);
        if let Some(detail) = detail {
            given.why = format!("{}: {detail}", given.why).into();
        }
        self.apply(side, event, given);
    }

    pub(super) fn request_refresh(&mut self, family: Family) {
        self.write_refresh(family, RouteRefresh::REQUEST);
    }

    pub(super) fn mark_refresh(&mut self, family: Family, mark: RefreshMark) {
        match mark {
            RefreshMark::Begin => self.write_refresh(family, RouteRefresh::BEGIN),
            RefreshMark::End => self.write_refresh(family, RouteRefresh::END),
        }
    }

    fn write_refresh(&mut self, family: Family, subtype: u8) {
        let Some(side) = self.established() else {
            return;
        };
        let machine = self.machine_mut(side);
        let able = machine.negotiated.as_ref().is_some_and(|n| {
            let knows = match subtype {
                RouteRefresh::REQUEST => n.capabilities.route_refresh,
                _ => n.dialect.enhanced_refresh,
            };
            knows && n.dialect.families.contains(family)
        });
        // Marks come a few to a table; requests may come as often as somebody likes.
        if able && (subtype != RouteRefresh::REQUEST || machine.waiting() < ROOM) {
            message::write_route_refresh(&mut machine.out, family, subtype);
        }
    }
}
