//! The scripts that run in Redis, and the ways to start the commit script.

use std::sync::atomic::{AtomicBool, Ordering};

use fred::prelude::Value;

use crate::store::CommitIntent;

pub(super) const SPEND: &str = include_str!("../spend.lua");
const COMMIT: &str = include_str!("../commit.lua");

/// The first line of the commit script of a revocation, which runs when the server is out of memory. Requires Redis 7.
const ALLOW_OUT_OF_MEMORY: &str = "#!lua flags=allow-oom\n";

/// The same for older servers, which do not know flags: they refuse only the first write of a script for lack of memory, and
/// never this command. It renews the lifetime of an outcome that the script is about to renew itself.
const WRITE_BEFORE_OTHERS: &str = "redis.call('PEXPIRE', KEYS[2], ARGV[2])\n";

/// A script and its digest, by which a server finds it again.
pub(super) struct Script {
    pub text: String,
    pub sha: String,
}

/// The forms of the commit script.
pub(super) struct CommitScripts {
    ordinary: Script,
    revocation: Script,
    revocation_without_flags: Script,
    /// Cleared when a server has refused the flags.
    has_flags: AtomicBool,
}

impl Script {
    fn new(text: String) -> Self {
        Self { sha: fred::util::sha1_hash(&text), text }
    }
}

impl CommitScripts {
    pub(super) fn new() -> Self {
        Self {
            ordinary: Script::new(COMMIT.to_owned()),
            revocation: Script::new(format!("{ALLOW_OUT_OF_MEMORY}{COMMIT}")),
            revocation_without_flags: Script::new(format!("{WRITE_BEFORE_OTHERS}{COMMIT}")),
            has_flags: AtomicBool::new(true),
        }
    }

    pub(super) fn for_intent(&self, intent: CommitIntent) -> &Script {
        match intent {
            CommitIntent::Ordinary => &self.ordinary,
            CommitIntent::Revocation if self.has_flags.load(Ordering::Relaxed) => &self.revocation,
            CommitIntent::Revocation => &self.revocation_without_flags,
        }
    }

    /// Records that a server could not compile the flags. Returns false for any other error.
    pub(super) fn learn(&self, error: &str) -> bool {
        let has_refused_flags = error.contains("Error compiling script") && error.contains("near '#'");
        has_refused_flags && self.has_flags.swap(false, Ordering::Relaxed)
    }
}

pub(super) fn script_call(script: &str, keys: &[String], args: &[Value]) -> Vec<Value> {
    let mut call: Vec<Value> = vec![script.to_owned().into(), keys.len().to_string().into()];
    call.extend(keys.iter().map(|key| Value::from(key.clone())));
    call.extend_from_slice(args);
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of Redis 6.2.
    const REFUSED_FLAGS: &str = "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#' ";

    #[test]
    fn a_server_without_flags_gets_the_script_without_them_from_then_on() {
        let scripts = CommitScripts::new();
        assert!(scripts.for_intent(CommitIntent::Revocation).text.starts_with("#!lua flags=allow-oom\n--"));
        assert!(!scripts.learn("NOSCRIPT No matching script. Please use EVAL."));
        assert!(!scripts.learn("OOM command not allowed when used memory > 'maxmemory'."));
        assert!(scripts.learn(REFUSED_FLAGS), "the commit is tried again");
        assert!(scripts.for_intent(CommitIntent::Revocation).text.starts_with("redis.call('PEXPIRE', KEYS[2], ARGV[2])\n--"));
        assert!(!scripts.learn(REFUSED_FLAGS), "not a second time");
    }

    #[test]
    fn an_ordinary_commit_never_runs_out_of_memory() {
        assert_eq!(CommitScripts::new().for_intent(CommitIntent::Ordinary).text, COMMIT);
    }
}
