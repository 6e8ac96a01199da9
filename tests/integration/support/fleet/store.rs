//! The store of a fleet: a separate one, or a part of the cluster that fleets share.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::OnceCell;

use super::super::redis::{Cluster, Options, Standalone};

/// The default key prefix of pods.
const KEY_PREFIX: &str = "vestibule:";
/// Long enough to avoid 503 answers on a busy machine.
const COMMAND_TIMEOUT: &str = "3s";

/// The store that a test requests.
pub enum StoreKind {
    Memory,
    Standalone,
    SharedCluster,
    OwnCluster,
    /// Servers that the test started: a URL for each pod. The last URL also applies to additional pods.
    Urls(Vec<String>),
}

pub enum Store {
    Memory,
    Standalone(Standalone),
    /// The prefix of this fleet's keys and channels.
    SharedCluster(&'static Cluster, String),
    OwnCluster(Cluster),
    Urls(Vec<String>),
}

impl Store {
    pub async fn start(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Memory => Self::Memory,
            StoreKind::Standalone => Self::Standalone(Standalone::start(Options::default()).await),
            StoreKind::SharedCluster => Self::SharedCluster(shared_cluster().await, unused_prefix()),
            StoreKind::OwnCluster => Self::OwnCluster(Cluster::start().await),
            StoreKind::Urls(urls) => Self::Urls(urls),
        }
    }

    pub fn cluster(&self) -> &Cluster {
        match self {
            Self::SharedCluster(cluster, _) => cluster,
            Self::OwnCluster(cluster) => cluster,
            _ => panic!("the fleet was built without a cluster"),
        }
    }

    pub fn cluster_mut(&mut self) -> &mut Cluster {
        match self {
            Self::OwnCluster(cluster) => cluster,
            _ => panic!("the fleet was built without a cluster of its own"),
        }
    }

    pub fn standalone(&self) -> &Standalone {
        match self {
            Self::Standalone(redis) => redis,
            _ => panic!("the fleet was built without a Redis server of its own"),
        }
    }

    pub fn key_prefix(&self) -> &str {
        match self {
            Self::SharedCluster(_, prefix) => prefix,
            _ => KEY_PREFIX,
        }
    }

    /// The URL of the first pod's store.
    pub fn url(&self) -> String {
        self.url_of(0)
    }

    fn url_of(&self, pod: usize) -> String {
        match self {
            Self::Memory => "memory".to_owned(),
            Self::Standalone(redis) => redis.url(),
            Self::SharedCluster(cluster, _) => cluster.url(),
            Self::OwnCluster(cluster) => cluster.url(),
            Self::Urls(urls) => urls[pod.min(urls.len() - 1)].clone(),
        }
    }

    /// The lines of a pod's `store` section.
    pub fn section(&self, pod: usize) -> Vec<String> {
        let url = format!("url: {}", self.url_of(pod));
        match self {
            Self::Memory => vec![url],
            Self::SharedCluster(_, prefix) => {
                vec![url, format!("command_timeout: {COMMAND_TIMEOUT}"), format!("key_prefix: '{prefix}'")]
            }
            _ => vec![url, format!("command_timeout: {COMMAND_TIMEOUT}")],
        }
    }
}

/// The cluster of all tests that neither stop a node nor empty the store.
async fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(Cluster::start).await
}

fn unused_prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("fleet-{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}
