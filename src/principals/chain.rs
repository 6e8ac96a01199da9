//! How a pod knows that it has heard of every commit in a shard: by following the chain of tokens.
//!
//! Plain bookkeeping, without clock or I/O. A notice extends the chain when its previous token is where
//! the chain ends; a round compares the chain's end with the sequence that the store itself shows.

use std::{collections::VecDeque, time::Instant};

use crate::{
    metrics::FlushReason,
    store::{Notice, Sequence},
};

/// How many sequences are remembered: copies of a notice arrive once from every primary.
const REMEMBERED: usize = 256;

/// What one shard's notices have brought this pod to.
#[derive(Default)]
pub(super) struct Chain {
    /// `None` until the first round has shown where the shard stands.
    end: Option<Sequence>,
    recent: VecDeque<Sequence>,
    /// What a round found ahead of us, and when that round began.
    awaited: Option<(Sequence, Instant)>,
    /// Grows with everything that could make a read in flight outdated.
    epoch: u64,
    /// Rounds in a row in which notices stayed away.
    deaf: u32,
}

/// What a notice means to the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Heard before, through another primary.
    Copy,
    /// Drop what it names. With a time, the shard is proven as of then.
    Next { proven: Option<Instant> },
    /// Something was missed: drop the whole shard.
    Gap,
}

/// What a round means to the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// Everything up to the round's beginning has been heard.
    Proven,
    /// The store is ahead; the notice may be on its way.
    Waiting,
    /// Drop the whole shard; an empty cache agrees with every store.
    Flush(FlushReason),
}

impl Chain {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn end(&self) -> Option<Sequence> {
        self.end
    }

    /// Whether notices have stayed away for so long that subscribing again may help.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf >= 2
    }

    pub(super) fn hear(&mut self, notice: &Notice) -> Heard {
        if self.remembers(notice.sequence) {
            return Heard::Copy;
        }
        self.epoch += 1;
        let Some(end) = self.end else {
            // Where the shard stands is not known yet, so nothing can be proven by it.
            return Heard::Next { proven: None };
        };
        self.deaf = 0;
        let follows = notice.previous == end.token && notice.sequence.number == end.number + 1;
        self.advance(notice.sequence);
        if !follows {
            self.awaited = None;
            return Heard::Gap;
        }
        let proven = self.awaited.take_if(|(awaited, _)| *awaited == notice.sequence).map(|(_, since)| since);
        Heard::Next { proven }
    }

    /// Compares with what the store showed in a round that began at `began`, when the chain ended at `before`.
    pub(super) fn compare(&mut self, before: Option<Sequence>, shown: Sequence, began: Instant) -> Compared {
        let Some(before) = before else { return self.start_over(shown, FlushReason::Behind) };
        let went_back = shown.number < before.number || (shown.number == before.number && shown.token != before.token);
        if went_back {
            return self.start_over(shown, FlushReason::Replaced);
        }
        // Notices may have led us past what was shown while the answer was on its way.
        if self.remembers(shown) {
            self.awaited = None;
            self.deaf = 0;
            return Compared::Proven;
        }
        if self.awaited.is_some() {
            self.deaf += 1;
            return self.start_over(shown, FlushReason::Behind);
        }
        self.awaited = Some((shown, began));
        Compared::Waiting
    }

    /// Forgets where the shard stands, after notices were lost here.
    pub(super) fn lose(&mut self) {
        self.epoch += 1;
        self.end = None;
        self.awaited = None;
        self.recent.clear();
    }

    /// Entries were dropped without an invalidation message: reads in flight are outdated.
    pub(super) fn outdate(&mut self) {
        self.epoch += 1;
    }

    fn start_over(&mut self, shown: Sequence, reason: FlushReason) -> Compared {
        self.epoch += 1;
        self.awaited = None;
        self.recent.clear();
        self.advance(shown);
        Compared::Flush(reason)
    }

    fn advance(&mut self, to: Sequence) {
        self.end = Some(to);
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(to);
    }

    fn remembers(&self, sequence: Sequence) -> bool {
        self.recent.iter().rev().any(|known| *known == sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        store::{Shard, Token},
    };

    fn at(number: u64) -> Sequence {
        Sequence { number, token: Token::random() }
    }

    fn notice(previous: Sequence, sequence: Sequence) -> Notice {
        Notice { shard: Shard::new(0).unwrap(), previous: previous.token, sequence, body: Vec::new() }
    }

    fn now() -> Instant {
        SystemClock.monotonic()
    }

    fn chain_at(start: Sequence) -> Chain {
        let mut chain = Chain::default();
        assert_eq!(chain.compare(None, start, now()), Compared::Flush(FlushReason::Behind));
        chain
    }

    const NEXT: Heard = Heard::Next { proven: None };

    #[test]
    fn a_chain_without_gap_is_proven_and_copies_change_nothing() {
        let (a, b, c) = (at(7), at(8), at(9));
        let mut chain = chain_at(a);
        assert_eq!(chain.hear(&notice(a, b)), NEXT);
        assert_eq!(chain.hear(&notice(b, c)), NEXT);
        let epoch = chain.epoch();
        assert_eq!(chain.hear(&notice(a, b)), Heard::Copy);
        assert_eq!(chain.epoch(), epoch);
        assert_eq!(chain.compare(chain.end(), c, now()), Compared::Proven);
    }

    #[test]
    fn a_missing_notice_is_a_gap_and_the_chain_goes_on_from_there() {
        let (a, _, c, d) = (at(1), at(2), at(3), at(4));
        let mut chain = chain_at(a);
        assert_eq!(chain.hear(&notice(at(2), c)), Heard::Gap);
        assert_eq!(chain.hear(&notice(c, d)), NEXT);
        assert_eq!(chain.compare(chain.end(), d, now()), Compared::Proven);
    }

    #[test]
    fn a_number_that_does_not_follow_is_a_gap_even_with_the_right_previous_token() {
        let a = at(1);
        assert_eq!(chain_at(a).hear(&notice(a, at(3))), Heard::Gap);
    }

    #[test]
    fn a_notice_that_comes_after_the_round_proves_the_round() {
        let (a, b) = (at(1), at(2));
        let mut chain = chain_at(a);
        let began = now();
        assert_eq!(chain.compare(Some(a), b, began), Compared::Waiting);
        assert_eq!(chain.hear(&notice(a, b)), Heard::Next { proven: Some(began) });
    }

    #[test]
    fn behind_after_another_round_is_flushed_and_then_deaf() {
        let (a, b, c) = (at(1), at(2), at(3));
        let mut chain = chain_at(a);
        assert_eq!(chain.compare(Some(a), b, now()), Compared::Waiting);
        assert_eq!(chain.compare(Some(a), b, now()), Compared::Flush(FlushReason::Behind));
        assert!(!chain.is_deaf());
        assert_eq!(chain.compare(Some(b), c, now()), Compared::Waiting);
        assert_eq!(chain.compare(Some(b), c, now()), Compared::Flush(FlushReason::Behind));
        assert!(chain.is_deaf());
    }

    #[test]
    fn notices_that_overtake_the_rounds_answer_do_not_look_like_a_store_gone_back() {
        let (a, b) = (at(1), at(2));
        let mut chain = chain_at(a);
        let before = chain.end();
        chain.hear(&notice(a, b));
        assert_eq!(chain.compare(before, a, now()), Compared::Proven);
    }

    #[test]
    fn a_store_that_went_back_or_was_emptied_or_replaced_is_flushed() {
        let (a, b) = (at(5), at(6));
        for shown in [a, Sequence::default(), at(6)] {
            let mut chain = chain_at(a);
            chain.hear(&notice(a, b));
            assert_eq!(chain.compare(Some(b), shown, now()), Compared::Flush(FlushReason::Replaced), "{shown}");
            assert_eq!(chain.compare(Some(shown), shown, now()), Compared::Proven);
        }
    }

    #[test]
    fn a_promoted_replica_that_hands_out_the_same_number_again_is_noticed() {
        let (a, b, again) = (at(5), at(6), at(6));
        let mut chain = chain_at(a);
        chain.hear(&notice(a, b));
        assert_eq!(chain.hear(&notice(a, again)), Heard::Gap);
    }

    #[test]
    fn everything_that_may_outdate_a_read_moves_the_epoch() {
        let (a, b) = (at(1), at(2));
        let mut chain = chain_at(a);
        let mut epoch = chain.epoch();
        let mut moved = |chain: &Chain| {
            let before = std::mem::replace(&mut epoch, chain.epoch());
            chain.epoch() > before
        };
        chain.hear(&notice(a, b));
        assert!(moved(&chain));
        chain.hear(&notice(at(8), at(9)));
        assert!(moved(&chain));
        chain.compare(chain.end(), Sequence::default(), now());
        assert!(moved(&chain));
        chain.lose();
        assert!(moved(&chain));
        chain.outdate();
        assert!(moved(&chain));
        chain.hear(&notice(a, b));
        assert!(moved(&chain), "a notice before the first round");
    }
}
