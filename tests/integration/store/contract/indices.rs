//! Indices, quotas and scans.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use vestibule::store::{Commit, Cursor, Index, Quota, QuotaUsage, RecordKey, RecordKind, Shard, Ttl};

use crate::store::steps::{DEADLINE, SharedStore, any_shard, done, fresh, fresh_id, fresh_in};
use crate::support::wait::until;

pub async fn an_index_is_listed_in_order_and_page_by_page(store: SharedStore) {
    let (index, mut ids) = (Index::new(any_shard(), fresh_id()), Vec::new());
    assert!(store.list(&index, None, 10).await.unwrap().is_empty());
    for number in 0..25 {
        ids.push(format!("{:03}-{}", (number * 7) % 25, fresh_id()));
        let mut commit = Commit::new(index.shard);
        commit.index_add = vec![(index.clone(), ids[number].clone(), Ttl::Forever)];
        done(&store, &commit).await;
    }
    ids.sort();
    let mut listed: Vec<String> = Vec::new();
    loop {
        let page = store.list(&index, listed.last().map(String::as_str), 10).await.unwrap();
        assert!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, ids);
    // A page continues after an id that no longer exists.
    let mut commit = Commit::new(index.shard);
    commit.index_remove = vec![(index.clone(), ids[4].clone())];
    done(&store, &commit).await;
    assert_eq!(store.list(&index, Some(&ids[4]), 3).await.unwrap(), ids[5..8]);
    assert_eq!(store.list(&index, None, 5).await.unwrap(), [&ids[..4], &ids[5..6]].concat());
}

pub async fn an_index_lives_as_long_as_its_longest_lived_member(store: SharedStore) {
    let shard = any_shard();
    let (mixed, lasting) = (Index::new(shard, fresh_id()), Index::new(shard, fresh_id()));
    let (short, long) = (Ttl::For(Duration::from_secs(1)), Ttl::For(Duration::from_secs(5)));
    let add = async |index: &Index, id: &str, ttl| {
        let mut commit = Commit::new(shard);
        commit.index_add = vec![(index.clone(), id.to_owned(), ttl)];
        done(&store, &commit).await;
    };
    let began = Instant::now();
    for (index, members) in [(&mixed, [("a", long), ("b", short)]), (&lasting, [("a", short), ("b", Ttl::Forever)])] {
        for (id, ttl) in members {
            add(index, id, ttl).await;
        }
    }
    add(&lasting, "c", short).await;
    let is_empty = async || store.list(&mixed, None, 9).await.unwrap().is_empty().then_some(());
    until("the index to be gone", DEADLINE, is_empty).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(5), "a short-lived member shortened its lifetime: {took:?}");
    assert_eq!(store.list(&lasting, None, 9).await.unwrap(), ["a", "b", "c"]);
}

pub async fn indices_and_members_are_separate(store: SharedStore) {
    let shard = any_shard();
    let [one, other] = [0; 2].map(|_| Index::new(shard, fresh_id()));
    let mut commit = Commit::new(shard);
    commit.index_add = vec![
        (one.clone(), "a".into(), Ttl::Forever),
        (one.clone(), "a".into(), Ttl::Forever),
        (other.clone(), "b".into(), Ttl::Forever),
    ];
    commit.index_remove = vec![(other.clone(), "never there".into())];
    done(&store, &commit).await;
    let mut last = Commit::new(shard);
    last.index_remove = vec![(other.clone(), "b".into())];
    done(&store, &last).await;
    assert_eq!(store.list(&one, None, 10).await.unwrap(), ["a"]);
    assert!(store.list(&other, None, 10).await.unwrap().is_empty());
}

pub async fn a_quota_is_shared_and_returns_the_time_until_its_reset(store: SharedStore) {
    let quota = Quota { limit: 10, window: Duration::from_secs(60) };
    let (key, other) = (fresh(RecordKind::Counter), fresh(RecordKind::Counter));
    let spent = join_all((0..30).map(|_| store.spend(&key, quota))).await;
    let mut left = Vec::new();
    for spent in spent {
        match spent.unwrap() {
            QuotaUsage::Within { left: still } => left.push(still),
            QuotaUsage::Exceeded { retry_after } => {
                assert!(!retry_after.is_zero() && retry_after <= quota.window, "{retry_after:?}")
            }
        }
    }
    left.sort_unstable();
    assert_eq!(left, (0..10).collect::<Vec<_>>());
    assert_eq!(store.spend(&other, quota).await, Ok(QuotaUsage::Within { left: 9 }));
}

pub async fn a_quota_is_reset_after_its_window(store: SharedStore) {
    let quota = Quota { limit: 1, window: Duration::from_millis(300) };
    let key = fresh(RecordKind::Counter);
    assert_eq!(store.spend(&key, quota).await, Ok(QuotaUsage::Within { left: 0 }));
    let left = until("the window to pass", DEADLINE, async || match store.spend(&key, quota).await.unwrap() {
        QuotaUsage::Within { left } => Some(left),
        QuotaUsage::Exceeded { retry_after } => {
            assert!(retry_after <= quota.window, "{retry_after:?}");
            None
        }
    })
    .await;
    assert_eq!(left, 0);
}

pub async fn a_scan_returns_exactly_the_keys_of_its_kind(store: SharedStore) {
    // No other statement writes identities without expiry.
    let expected: BTreeSet<RecordKey> =
        Shard::all().flat_map(|shard| (0..10).map(move |_| fresh_in(shard, RecordKind::Identity))).collect();
    for shard in Shard::all() {
        let mut commit = Commit::new(shard);
        commit.put = expected.iter().filter(|key| key.shard == shard).map(|key| (key.clone(), vec![1], Ttl::Forever)).collect();
        let lookalike = RecordKey::new(shard, RecordKind::User, format!("}}:identity:{}", fresh_id()));
        commit.put.push((lookalike, vec![1], Ttl::Forever));
        commit.index_add = vec![(Index::new(shard, format!("}}:identity:{}", fresh_id())), "a".into(), Ttl::Forever)];
        done(&store, &commit).await;
    }
    assert_eq!(scan(&store, RecordKind::Identity).await, expected);
    let users = scan(&store, RecordKind::User).await;
    assert!(users.iter().filter(|key| key.id.starts_with("}:identity:")).count() == 64);
}

async fn scan(store: &SharedStore, kind: RecordKind) -> BTreeSet<RecordKey> {
    let (mut found, mut cursor) = (BTreeSet::new(), Cursor::default());
    loop {
        let page = store.scan(kind, cursor).await.unwrap();
        assert!(page.keys.iter().all(|key| key.kind == kind));
        found.extend(page.keys);
        let Some(next) = page.next else { return found };
        cursor = next;
    }
}
