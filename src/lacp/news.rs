//! What the other end says, told when it is new and no oftener than a right end sends LACPDUs.
//!
//! **Invariant:** in any second three at most are told; the latest is told at last, with how many were left out before it. What must
//! not be left out is told before it, or another such thing. What waits is forgotten when the other end is lost.

use super::transmit::Sent;
use crate::time::At;

/// What one says, as far as it is to be told.
#[derive(Debug, Clone)]
pub(crate) struct News<T> {
    said: Option<T>,
    /// Not told yet, and whether it must be.
    waiting: Option<(T, bool)>,
    /// It said this before, which must be told, after so many other things that are not.
    kept: Option<(T, u32)>,
    /// What was said since the last telling and is no longer said: so often.
    skipped: u32,
    told: Sent,
}

impl<T> Default for News<T> {
    fn default() -> News<T> {
        News {
            said: None,
            waiting: None,
            kept: None,
            skipped: 0,
            told: Sent::default(),
        }
    }
}

impl<T: Clone + PartialEq> News<T> {
    /// It says this, which must be told or may be left out, after so many other things that nobody looked at.
    pub fn says(&mut self, what: T, must: bool, unseen: u32) {
        if self.said.as_ref() == Some(&what) && unseen == 0 {
            return;
        }
        self.said = Some(what.clone());
        match self.waiting.replace((what, must)) {
            Some((before, true)) if self.kept.is_none() => {
                self.kept = Some((before, std::mem::take(&mut self.skipped)));
            }
            Some(_) => self.skipped = self.skipped.saturating_add(1),
            None => {}
        }
        self.skipped = self.skipped.saturating_add(unseen);
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
        let told = self.rest()?;
        self.told.note(now);
        Some(told)
    }

    /// The same at the end, however much was told just before.
    pub fn rest(&mut self) -> Option<(T, u32)> {
        let first = self.kept.take();
        first.or_else(|| {
            let (what, _) = self.waiting.take()?;
            Some((what, std::mem::take(&mut self.skipped)))
        })
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
            news.says(look, false, 9);
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
    fn what_must_be_told_is_told_before_what_replaced_it() {
        let mut news = News::default();
        for what in ['a', 'b', 'c'] {
            news.says(what, false, 0);
            assert_eq!(news.take(At::ZERO), Some((what, 0)));
        }
        for (what, must) in [
            ('d', false),
            ('E', true),
            ('f', false),
            ('G', true),
            ('h', false),
        ] {
            news.says(what, must, 0);
        }
        assert_eq!(news.take(At::ZERO), None, "three were told");
        let due = news.deadline().unwrap();
        assert_eq!(news.take(due), Some(('E', 1)));
        assert_eq!(news.take(due), Some(('h', 2)));
        assert_eq!((news.take(due), news.deadline()), (None, None));
        for (what, must) in [('i', false), ('J', true), ('k', false)] {
            news.says(what, must, 0);
        }
        assert_eq!(news.take(due), Some(('J', 1)));
        news.says('L', true, 0);
        news.says('m', false, 0);
        assert_eq!(news.take(due), None, "three were told");
        let rest: Vec<_> = std::iter::from_fn(|| news.rest()).collect();
        assert_eq!(rest, [('L', 1), ('m', 0)], "nothing comes after the end");
    }

    #[test]
    fn the_same_is_news_only_after_something_else_or_a_loss() {
        let mut news = News::default();
        let mut seconds = 0;
        let mut says = |news: &mut News<char>, what, unseen| {
            seconds += 1;
            news.says(what, false, unseen);
            news.take(At::from_millis(seconds * 1000))
        };
        assert_eq!(says(&mut news, 'a', 0), Some(('a', 0)));
        assert_eq!(says(&mut news, 'a', 0), None);
        assert_eq!(says(&mut news, 'a', 1), Some(('a', 1)));
        news.says('b', true, 0);
        news.says('c', false, 0);
        news.lost();
        assert_eq!((news.said(), news.deadline()), (None, None));
        assert_eq!(says(&mut news, 'a', 0), Some(('a', 0)));
    }
}
