//! Sends commits to Redis, and classifies their outcomes.

use fred::{
    bytes::Bytes,
    prelude::*,
    types::{ClusterHash, CustomCommand},
};

use super::{
    RedisStore, describe, millis,
    scripts::{Script, script_call},
};
use crate::store::{
    Commit, Conflict, EncryptedRecord, Error as StoreError, OPERATION_MEMORY, Precondition, Replication, Sequence, SequenceEffect,
};

impl RedisStore {
    pub(super) async fn try_commit(&self, commit: &Commit) -> Result<Result<Sequence, Conflict>, StoreError> {
        let script = self.scripts.for_intent(commit.intent);
        let (keys, args) = self.script_input(commit);
        let slot = ClusterHash::Custom(fred::util::redis_keyslot(keys[0].as_bytes()));
        let reply = match commit.replication {
            Replication::Asynchronous => self.evaluate(script, slot, keys, args).await,
            Replication::Awaited if self.can_wait_for_replica() => self.evaluate_and_wait(script, slot, keys, args).await,
            Replication::Awaited => {
                self.metrics.unreplicated_revocations.inc();
                self.evaluate(script, slot, keys, args).await
            }
        };
        parse_commit_reply(self.track_timeouts(reply).map_err(|error| self.commit_error(&error))?)
    }

    async fn evaluate(&self, script: &Script, slot: ClusterHash, keys: Vec<String>, args: Vec<Value>) -> Result<Value, Error> {
        let client = self.client();
        let by_hash = CustomCommand::new_static("EVALSHA", slot.clone(), false);
        let reply = client.custom::<Value, _>(by_hash, script_call(&script.sha, &keys, &args)).await;
        match reply {
            // A server that was just promoted or restarted has not loaded the script.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let whole = CustomCommand::new_static("EVAL", slot, false);
                client.custom(whole, script_call(&script.text, &keys, &args)).await
            }
            reply => reply,
        }
    }

    async fn evaluate_and_wait(
        &self,
        script: &Script,
        slot: ClusterHash,
        keys: Vec<String>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let pipeline = self.revocations.now().pipeline();
        let mut options = self.options();
        options.timeout = Some(self.command_timeout + super::REPLICA_WAIT);
        let queue = pipeline.with_options(&options);
        let eval = CustomCommand::new_static("EVAL", slot.clone(), false);
        let wait = CustomCommand::new_static("WAIT", slot, false);
        let wait_args: Vec<Value> = vec![1.into(), i64::try_from(super::REPLICA_WAIT.as_millis()).unwrap_or(i64::MAX).into()];
        queue.custom::<(), _>(eval, script_call(&script.text, &keys, &args)).await?;
        queue.custom::<(), _>(wait, wait_args).await?;
        let mut replies = pipeline.try_all::<Value>().await.into_iter();
        let written = replies.next().unwrap_or_else(|| Err(Error::new_canceled()));
        let replicas = replies.next().and_then(Result::ok).and_then(|replicas| replicas.as_i64()).unwrap_or(0);
        if written.is_ok() && replicas == 0 {
            self.metrics.unreplicated_revocations.inc();
            self.pauses().replica = Some(self.clock.monotonic() + super::REPLICA_PAUSE);
        }
        written
    }

    fn can_wait_for_replica(&self) -> bool {
        self.pauses().replica.is_none_or(|until| until <= self.clock.monotonic())
    }

    fn script_input(&self, commit: &Commit) -> (Vec<String>, Vec<Value>) {
        let channel = match commit.sequencing {
            SequenceEffect::Sequenced => self.channel_name.clone(),
            SequenceEffect::Unsequenced => String::new(),
        };
        let mut args: Vec<Value> = vec![
            commit.token.to_string().into(),
            millis(OPERATION_MEMORY).into(),
            channel.into(),
            commit.shard.number().to_string().into(),
            Bytes::copy_from_slice(&commit.invalidation).into(),
        ];
        args.extend(counts(commit).into_iter().map(|count| Value::from(count.to_string())));
        let capacity = commit.capacity.as_ref();
        args.push(capacity.map_or(0, |capacity| capacity.limit).to_string().into());
        args.push(capacity.map_or_else(|| "0".to_owned(), |capacity| millis(capacity.ttl)).into());
        push_values(&mut args, commit);
        (self.script_keys(commit), args)
    }

    fn script_keys(&self, commit: &Commit) -> Vec<String> {
        let shard = commit.shard.number();
        let mut keys = vec![self.sequence_name(commit.shard), self.name(&format!("{{{shard}}}:op:{}", commit.operation))];
        let counters = commit.capacity.iter().flat_map(|capacity| capacity.windows.iter().chain([&capacity.entered]));
        let records = counters
            .chain(&commit.released)
            .chain(commit.all_preconditions().map(|(key, _)| key))
            .chain(commit.put.iter().map(|(key, ..)| key))
            .chain(commit.reencrypt.iter().map(|(key, _)| key))
            .chain(&commit.delete);
        keys.extend(records.map(|key| self.name(&key.name())));
        let indices = commit.index_add.iter().map(|(index, ..)| index).chain(commit.index_remove.iter().map(|(index, _)| index));
        keys.extend(indices.map(|index| self.name(&index.name())));
        keys
    }

    /// Classifies a failed commit. Only commands that the client never sent, or that the server rejected, certainly did not run.
    pub(super) fn commit_error(&self, error: &Error) -> StoreError {
        const REJECTIONS: [&str; 9] =
            ["NOREPLICAS", "OOM", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "NOPERM"];
        let is_rejection = REJECTIONS.iter().any(|code| error.details().starts_with(code));
        match error.kind() {
            // Routing: the slot is being moved.
            ErrorKind::Canceled | ErrorKind::Backpressure | ErrorKind::Routing => StoreError::Unavailable(describe(error)),
            _ if is_rejection || self.scripts.learn(error.details()) => StoreError::Unavailable(describe(error)),
            _ => StoreError::Unknown(describe(error)),
        }
    }
}

/// The numbers of keys of each kind, in the order of the script's arguments.
fn counts(commit: &Commit) -> [usize; 8] {
    [
        commit.all_preconditions().count(),
        commit.put.len() + commit.reencrypt.len(),
        commit.delete.len(),
        commit.index_add.len(),
        commit.index_remove.len(),
        commit.capacity.as_ref().map_or(0, |capacity| capacity.windows.len()),
        usize::from(commit.capacity.is_some()),
        usize::from(commit.released.is_some()),
    ]
}

fn push_values(args: &mut Vec<Value>, commit: &Commit) {
    args.extend(commit.all_preconditions().map(|(_, expected)| match expected {
        Precondition::Absent => Value::from(String::new()),
        Precondition::Version(version) => format!("{version}:").into(),
    }));
    for (_, ciphertext, ttl) in &commit.put {
        args.push(Bytes::copy_from_slice(ciphertext).into());
        args.push(ttl.millis().into());
    }
    for (_, EncryptedRecord { ciphertext, version }) in &commit.reencrypt {
        args.push(Bytes::from([format!("{version}:").as_bytes(), ciphertext].concat()).into());
        args.push("kept".into());
    }
    for (_, id, ttl) in &commit.index_add {
        args.push(id.clone().into());
        args.push(ttl.millis().into());
    }
    args.extend(commit.index_remove.iter().map(|(_, id)| Value::from(id.clone())));
}

fn parse_commit_reply(reply: Value) -> Result<Result<Sequence, Conflict>, StoreError> {
    let malformed = || StoreError::Unknown("the commit script returned a malformed reply".into());
    let mut parts = reply.into_array().into_iter();
    match parts.next().and_then(|first| first.as_i64()) {
        Some(0) => Ok(Err(Conflict)),
        Some(1) => parts.next().and_then(|text| Sequence::parse(&text.as_str()?)).map(Ok).ok_or_else(malformed),
        Some(2) => Err(StoreError::Full),
        _ => Err(malformed()),
    }
}
