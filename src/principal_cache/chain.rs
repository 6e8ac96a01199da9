//! Tracks the commits of one shard, to detect missed invalidation messages. It uses no clock and no I/O.
//!
//! An invalidation message extends the chain if its previous token is the token at the end of the chain. A consistency check
//! compares the end of the chain with the current sequence in the store.

use std::{collections::VecDeque, time::Instant};

use crate::{
    metrics::FlushReason,
    store::{InvalidationMessage, Sequence},
};

/// The number of remembered sequences. Each primary delivers a copy of a message.
const REMEMBERED: usize = 256;

/// The commits of one shard that this pod has received messages of.
#[derive(Default)]
pub(super) struct Chain {
    /// `None` until the first consistency check.
    end: Option<Sequence>,
    recent: VecDeque<Sequence>,
    /// A sequence in the store whose message has not arrived, and the start of the check that found it.
    awaited: Option<(Sequence, Instant)>,
    /// Incremented by everything that could outdate a read in progress.
    revision: u64,
    /// Consecutive consistency checks that found a missing message.
    missed_checks: u32,
}

/// The effect of an invalidation message on the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageEffect {
    /// Received before, from another primary.
    Duplicate,
    /// Invalidate the entries that it names. With a time, the shard is consistent as of then.
    Apply { consistent_at: Option<Instant> },
    /// A message was missed: flush the shard.
    Gap,
}

/// The result of a consistency check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// All messages up to the start of the check were received.
    Consistent,
    /// The store is ahead. The message may still arrive.
    Waiting,
    /// Flush the shard. An empty cache is consistent with every store.
    Flush(FlushReason),
}

impl Chain {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn end(&self) -> Option<Sequence> {
        self.end
    }

    /// True if messages are missing for so long that the subscription should be renewed.
    pub(super) fn is_missing_messages(&self) -> bool {
        self.missed_checks >= 2
    }

    pub(super) fn apply_message(&mut self, message: &InvalidationMessage) -> MessageEffect {
        if self.has_seen(message.sequence) {
            return MessageEffect::Duplicate;
        }
        self.revision += 1;
        let Some(end) = self.end else {
            // Without a first consistency check, the message shows nothing about earlier commits.
            return MessageEffect::Apply { consistent_at: None };
        };
        self.missed_checks = 0;
        let follows = message.previous == end.token && message.sequence.number == end.number + 1;
        self.advance(message.sequence);
        if !follows {
            self.awaited = None;
            return MessageEffect::Gap;
        }
        let consistent_at = self.awaited.take_if(|(awaited, _)| *awaited == message.sequence).map(|(_, since)| since);
        MessageEffect::Apply { consistent_at }
    }

    /// Compares the chain with the sequence that the store returned in a check that began at `began`. `before` is the end of the
    /// chain at that time.
    pub(super) fn check(&mut self, before: Option<Sequence>, stored: Sequence, began: Instant) -> CheckResult {
        let Some(before) = before else { return self.restart(stored, FlushReason::Behind) };
        let went_back = stored.number < before.number || (stored.number == before.number && stored.token != before.token);
        if went_back {
            return self.restart(stored, FlushReason::Replaced);
        }
        // Messages may have advanced the chain further during the check.
        if self.has_seen(stored) {
            self.awaited = None;
            self.missed_checks = 0;
            return CheckResult::Consistent;
        }
        if self.awaited.is_some() {
            self.missed_checks += 1;
            return self.restart(stored, FlushReason::Behind);
        }
        self.awaited = Some((stored, began));
        CheckResult::Waiting
    }

    /// Restarts the tracking, after this pod has dropped messages.
    pub(super) fn reset(&mut self) {
        self.revision += 1;
        self.end = None;
        self.awaited = None;
        self.recent.clear();
    }

    /// Outdates reads in progress, after entries were invalidated without a message.
    pub(super) fn invalidate_reads(&mut self) {
        self.revision += 1;
    }

    fn restart(&mut self, stored: Sequence, reason: FlushReason) -> CheckResult {
        self.revision += 1;
        self.awaited = None;
        self.recent.clear();
        self.advance(stored);
        CheckResult::Flush(reason)
    }

    fn advance(&mut self, to: Sequence) {
        self.end = Some(to);
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(to);
    }

    fn has_seen(&self, sequence: Sequence) -> bool {
        self.recent.iter().rev().any(|known| *known == sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        store::{CommitToken, Shard},
    };

    fn at(number: u64) -> Sequence {
        Sequence { number, token: CommitToken::random() }
    }

    fn message(previous: Sequence, sequence: Sequence) -> InvalidationMessage {
        InvalidationMessage { shard: Shard::new(0).unwrap(), previous: previous.token, sequence, body: Vec::new() }
    }

    fn now() -> Instant {
        SystemClock.monotonic()
    }

    fn chain_at(start: Sequence) -> Chain {
        let mut chain = Chain::default();
        assert_eq!(chain.check(None, start, now()), CheckResult::Flush(FlushReason::Behind));
        chain
    }

    const NEXT: MessageEffect = MessageEffect::Apply { consistent_at: None };

    #[test]
    fn a_chain_without_gap_is_consistent_and_duplicates_change_nothing() {
        let (a, b, c) = (at(7), at(8), at(9));
        let mut chain = chain_at(a);
        assert_eq!(chain.apply_message(&message(a, b)), NEXT);
        assert_eq!(chain.apply_message(&message(b, c)), NEXT);
        let revision = chain.revision();
        assert_eq!(chain.apply_message(&message(a, b)), MessageEffect::Duplicate);
        assert_eq!(chain.revision(), revision);
        assert_eq!(chain.check(chain.end(), c, now()), CheckResult::Consistent);
    }

    #[test]
    fn a_missing_message_is_a_gap_and_the_chain_continues_after_it() {
        let (a, _, c, d) = (at(1), at(2), at(3), at(4));
        let mut chain = chain_at(a);
        assert_eq!(chain.apply_message(&message(at(2), c)), MessageEffect::Gap);
        assert_eq!(chain.apply_message(&message(c, d)), NEXT);
        assert_eq!(chain.check(chain.end(), d, now()), CheckResult::Consistent);
    }

    #[test]
    fn a_number_that_does_not_follow_is_a_gap_even_with_the_right_previous_token() {
        let a = at(1);
        assert_eq!(chain_at(a).apply_message(&message(a, at(3))), MessageEffect::Gap);
    }

    #[test]
    fn a_message_that_arrives_after_the_check_confirms_the_check() {
        let (a, b) = (at(1), at(2));
        let mut chain = chain_at(a);
        let began = now();
        assert_eq!(chain.check(Some(a), b, began), CheckResult::Waiting);
        assert_eq!(chain.apply_message(&message(a, b)), MessageEffect::Apply { consistent_at: Some(began) });
    }

    #[test]
    fn a_message_missing_at_two_checks_flushes_and_twice_in_a_row_resubscribes() {
        let (a, b, c) = (at(1), at(2), at(3));
        let mut chain = chain_at(a);
        assert_eq!(chain.check(Some(a), b, now()), CheckResult::Waiting);
        assert_eq!(chain.check(Some(a), b, now()), CheckResult::Flush(FlushReason::Behind));
        assert!(!chain.is_missing_messages());
        assert_eq!(chain.check(Some(b), c, now()), CheckResult::Waiting);
        assert_eq!(chain.check(Some(b), c, now()), CheckResult::Flush(FlushReason::Behind));
        assert!(chain.is_missing_messages());
    }

    #[test]
    fn messages_that_arrive_during_a_check_do_not_look_like_a_store_that_went_back() {
        let (a, b) = (at(1), at(2));
        let mut chain = chain_at(a);
        let before = chain.end();
        chain.apply_message(&message(a, b));
        assert_eq!(chain.check(before, a, now()), CheckResult::Consistent);
    }

    #[test]
    fn a_store_that_went_back_or_was_emptied_or_replaced_is_flushed() {
        let (a, b) = (at(5), at(6));
        for stored in [a, Sequence::default(), at(6)] {
            let mut chain = chain_at(a);
            chain.apply_message(&message(a, b));
            assert_eq!(chain.check(Some(b), stored, now()), CheckResult::Flush(FlushReason::Replaced), "{stored}");
            assert_eq!(chain.check(Some(stored), stored, now()), CheckResult::Consistent);
        }
    }

    #[test]
    fn a_promoted_replica_that_assigns_the_same_number_again_is_detected() {
        let (a, b, again) = (at(5), at(6), at(6));
        let mut chain = chain_at(a);
        chain.apply_message(&message(a, b));
        assert_eq!(chain.apply_message(&message(a, again)), MessageEffect::Gap);
    }

    #[test]
    fn everything_that_could_outdate_a_read_changes_the_revision() {
        let (a, b) = (at(1), at(2));
        let mut chain = chain_at(a);
        let mut revision = chain.revision();
        let mut has_changed = |chain: &Chain| {
            let before = std::mem::replace(&mut revision, chain.revision());
            chain.revision() > before
        };
        chain.apply_message(&message(a, b));
        assert!(has_changed(&chain));
        chain.apply_message(&message(at(8), at(9)));
        assert!(has_changed(&chain));
        chain.check(chain.end(), Sequence::default(), now());
        assert!(has_changed(&chain));
        chain.reset();
        assert!(has_changed(&chain));
        chain.invalidate_reads();
        assert!(has_changed(&chain));
        chain.apply_message(&message(a, b));
        assert!(has_changed(&chain), "a message before the first check");
    }
}
