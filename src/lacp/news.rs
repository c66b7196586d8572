//! What the other end says, told when it is new and no oftener than a right end sends LACPDUs.
//!
//! **Invariant:** in any second three at most are told; the latest is told at last, with how many were left out before it.

use super::transmit::Sent;
use crate::time::At;

/// What one says, as far as it is to be told.
#[derive(Debug, Clone)]
pub(crate) struct News<T> {
    said: Option<T>,
    /// Not told yet.
    waiting: Option<T>,
    /// What was said since the last telling and is no longer said: so often.
    skipped: u32,
    told: Sent,
}

impl<T> Default for News<T> {
    fn default() -> News<T> {
        News {
            said: None,
            waiting: None,
            skipped: 0,
            told: Sent::default(),
        }
    }
}

impl<T: Clone + PartialEq> News<T> {
    /// It says this, after so many other things that nobody looked at.
    pub fn says(&mut self, what: T, unseen: u32) {
        if self.said.as_ref() == Some(&what) && unseen == 0 {
            return;
        }
        self.said = Some(what.clone());
        let replaced = u32::from(self.waiting.replace(what).is_some());
        self.skipped = (self.skipped).saturating_add(unseen.saturating_add(replaced));
    }

    /// It is no longer there.
    pub fn lost(&mut self) {
        *self = News {
            told: self.told.clone(),
            ..News::default()
        };
    }

    /// What it says, when that is new and may be told now, and how many things it said before that were not told.
    pub fn take(&mut self, now: At) -> Option<(T, u32)> {
        if now < self.told.free_at() {
            return None;
        }
        let what = self.waiting.take()?;
        self.told.note(now);
        Some((what, std::mem::take(&mut self.skipped)))
    }

    /// When there will be something to tell that may not be told yet.
    pub fn deadline(&self) -> Option<At> {
        self.waiting.is_some().then(|| self.told.free_at())
    }

    /// What it said last.
    pub fn said(&self) -> Option<&T> {
        self.said.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restless_end_is_told_of_three_times_a_second_with_all_that_was_left_out() {
        let mut news = News::default();
        let (mut told, mut skipped) = (Vec::new(), 0);
        for look in 0..100 {
            // Looked at every 100 ms, it said nine other things in between.
            news.says(look, 9);
            if let Some((what, more)) = news.take(At::from_millis(u64::from(look) * 100)) {
                told.push(what);
                skipped += more;
            }
        }
        assert_eq!(told.len(), 30);
        assert_eq!(told[..6], [0, 1, 2, 10, 11, 12]);
        let last = *told.last().unwrap();
        assert_eq!(skipped, 10 * (last + 1) - told.len() as u32);
        let (what, _) = news.take(news.deadline().unwrap()).unwrap();
        assert_eq!((what, news.deadline()), (99, None));
    }

    #[test]
    fn the_same_is_news_only_after_something_else_or_a_loss() {
        let mut news = News::default();
        let mut seconds = 0;
        let mut says = |news: &mut News<char>, what, unseen| {
            seconds += 1;
            news.says(what, unseen);
            news.take(At::from_millis(seconds * 1000))
        };
        assert_eq!(says(&mut news, 'a', 0), Some(('a', 0)));
        assert_eq!(says(&mut news, 'a', 0), None);
        assert_eq!(says(&mut news, 'a', 1), Some(('a', 1)));
        news.says('b', 0);
        news.lost();
        assert_eq!((news.said(), news.deadline()), (None, None));
        assert_eq!(says(&mut news, 'a', 0), Some(('a', 0)));
    }
}
