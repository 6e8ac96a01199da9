//! Redis servers without free memory: ordinary commits are refused, and revocations are not.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vestibule::store::{Commit, CommitIntent, Error, Index, Precondition, RecordKind, Replication, SequenceEffect, Ttl};

use super::steps::{
    DEADLINE, SharedStore, any_shard, done, fresh, fresh_id, fresh_in, put, putting, receive, sequence, value, within,
};
use crate::support::records::{connection, redis_store, start};
use crate::support::redis::{Options, Standalone};
use crate::support::wait::until;

const FLAGS: &[u8] = b"#!lua flags=allow-oom";
/// A line of the same length that no server can compile. Redis 6 answers the flags with the same error.
const NO_FLAGS: &[u8] = b"#?lua flags=allow-oom";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_ordinary_commits_and_runs_revocations() {
    let redis = Standalone::start(Options::default()).await;
    let store = start(&connection(&redis.url()));
    revokes_without_memory(&redis, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_that_does_not_know_script_flags_runs_revocations() {
    let redis = Standalone::start(Options::default()).await;
    let store = start(&connection(&without_flags(redis.node.port()).await));
    revokes_without_memory(&redis, Arc::clone(&store)).await;
    let compiled = redis.node.call(&["INFO", "errorstats"]).await.text();
    assert!(compiled.contains("errorstat_ERR:"), "the server has refused the flags: {compiled}");
}

async fn revokes_without_memory(redis: &Standalone, store: SharedStore) {
    within("the store to be ready", store.ready()).await;
    let shard = any_shard();
    let [user, session, flow] = [RecordKind::User, RecordKind::Session, RecordKind::Flow].map(|kind| fresh_in(shard, kind));
    let index = Index::new(shard, fresh_id());
    let version = put(&store, &user, b"enabled").await;
    let mut open = putting(&session, b"session");
    open.index_add = vec![(index.clone(), session.id.clone(), Ttl::Forever)];
    let before = done(&store, &open).await;
    let mut messages = store.invalidation_messages();
    redis.node.call(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let unsequenced = Commit { sequencing: SequenceEffect::Unsequenced, ..putting(&flow, b"flow") };
    for refused in [putting(&fresh(RecordKind::User), b"new"), unsequenced, putting(&user, b"larger")] {
        assert!(matches!(store.commit(&refused).await, Err(Error::Unavailable(why)) if why.contains("OOM")));
    }
    assert_eq!((value(&store, &flow).await, sequence(&store, shard).await), (None, before));

    for (replication, text) in [(Replication::Awaited, &b"disabled"[..]), (Replication::Asynchronous, b"disabled again")] {
        let mut revocation = Commit { intent: CommitIntent::Revocation, replication, ..putting(&user, text) };
        revocation.delete = vec![session.clone()];
        revocation.index_remove = vec![(index.clone(), session.id.clone())];
        let sequence = done(&store, &revocation).await;
        assert_eq!(value(&store, &user).await.as_deref(), Some(text));
        assert_eq!(done(&store, &revocation).await, sequence, "its outcome is kept");
        assert_eq!(receive(&mut messages, &[revocation.token]).await[0].sequence, sequence);
    }
    assert_eq!((value(&store, &session).await, store.list(&index, None, 2).await.unwrap()), (None, Vec::new()));
    let mut broken = Commit { intent: CommitIntent::Revocation, ..putting(&user, b"lost") };
    broken.preconditions = vec![(user.clone(), Precondition::Version(version))];
    assert!(store.commit(&broken).await.unwrap().is_err(), "a conflict is a conflict");

    redis.node.call(&["CONFIG", "SET", "maxmemory", "0"]).await;
    done(&store, &putting(&user, b"enabled")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_reports_whether_it_has_free_memory() {
    let redis = Standalone::start(Options::default()).await;
    let store = redis_store(&connection(&redis.url())) as SharedStore;
    within("the store to be ready", store.ready()).await;
    assert!(store.has_free_memory().await, "there is no limit");
    for (limit, has_free_memory) in [("1", false), ("0", true), ("1", false), ("100gb", true)] {
        redis.node.call(&["CONFIG", "SET", "maxmemory", limit]).await;
        until("the next reading", DEADLINE, async || (store.has_free_memory().await == has_free_memory).then_some(())).await;
    }
    let calls = async || -> u64 {
        let text = redis.node.call(&["INFO", "commandstats"]).await.text();
        let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls=")?.split(',').next()?.parse().ok());
        line.expect("it counts")
    };
    let before = calls().await;
    for _ in 0..200 {
        store.has_free_memory().await;
    }
    assert!(calls().await - before <= 4, "at most one reading a second");
}

/// A proxy that makes the server refuse the flags of scripts. Returns its URL.
async fn without_flags(server: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 256 * 1024];
                while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                    let sent = &mut buffer[..length];
                    for start in 0..length.saturating_sub(FLAGS.len()) {
                        if sent[start..].starts_with(FLAGS) {
                            sent[start..start + FLAGS.len()].copy_from_slice(NO_FLAGS);
                        }
                    }
                    if to_server.write_all(sent).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("redis://127.0.0.1:{port}")
}
