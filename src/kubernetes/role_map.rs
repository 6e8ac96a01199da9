//! The watch of the role map's ConfigMaps.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, watcher};
use kube::{Api, Client};
use tokio::time::Sleep;

use super::connect::ConnectError;
use super::events::{Events, Reason};
use super::index::{Effect, Index, Part, Told};
use crate::causes::causes;
use crate::clock::Clock;
use crate::config::ConfigMapSource;
use crate::metrics::{Metrics, Outcome};
use crate::roles::{Configured, RoleMaps};

/// How long one watch request lasts, in seconds: so late is a connection noticed that died without a word.
const WATCH: u32 = 60;

/// How long one watch may still list after the other has failed.
const MOMENT: Duration = Duration::from_secs(1);

/// How long a lost API server is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Follows ConfigMaps and puts into force what they hold.
pub struct RoleMapWatch {
    config_maps: Api<ConfigMap>,
    events: Events,
    source: ConfigMapSource,
    index: Index,
    maps: Arc<RoleMaps>,
    metrics: Arc<Metrics>,
    /// Whether the API server was in reach when last heard of.
    in_reach: bool,
}

impl RoleMapWatch {
    /// Reads how the API server is reached; it is not asked yet.
    pub async fn new(
        source: ConfigMapSource,
        configured: Configured,
        maps: Arc<RoleMaps>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ConnectError> {
        let client = Client::try_from(kube::Config::infer().await?)?;
        let namespace = source.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        let events = Events::new(Api::namespaced(client.clone(), &namespace), clock);
        let config_maps = Api::namespaced(client, &namespace);
        let index = Index::new(source.clone(), configured);
        metrics.role_map_watch_up(Outcome::Error);
        Ok(Self { config_maps, events, source, index, maps, metrics, in_reach: false })
    }

    /// Follows them for ever, and calls `ready` when everything was listed and there is a good role map.
    ///
    /// After an error both watches begin anew, together and with a list: if each went on by itself, base and fragments
    /// of different times would be judged by each other.
    pub async fn follow(mut self, ready: impl FnOnce() + Send) {
        let mut ready = Some(ready);
        let mut backoff = DefaultBackoff::default();
        loop {
            let told = self.watches();
            self.attempt(told, &mut ready, &mut backoff).await;
            let effect = self.index.interrupted();
            self.put(effect);
            tokio::time::sleep(backoff.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// Follows until an error, and for a moment after it: one watch may still list what the other could not.
    async fn attempt<R: FnOnce()>(
        &mut self,
        told: impl Stream<Item = watcher::Result<Part>>,
        ready: &mut Option<R>,
        backoff: &mut DefaultBackoff,
    ) {
        let mut told = std::pin::pin!(told);
        let mut end: Option<Pin<Box<Sleep>>> = None;
        loop {
            let next = tokio::select! {
                next = told.next() => next,
                () = OptionFuture::from(end.as_mut()).map(drop), if end.is_some() => return,
            };
            match next {
                None => return,
                Some(Err(error)) => {
                    self.lost(&error);
                    end.get_or_insert_with(|| Box::pin(tokio::time::sleep(MOMENT)));
                }
                Some(Ok(part)) => {
                    let effect = self.index.take(part);
                    self.put(effect);
                    if end.is_none() && self.index.is_listed() {
                        self.reached();
                        backoff.reset();
                    }
                    if self.index.is_ready() {
                        ready.take().into_iter().for_each(|ready| ready());
                    }
                }
            }
        }
    }

    fn watches(&self) -> impl Stream<Item = watcher::Result<Part>> + Send + use<> {
        let base = watcher::Config::default().fields(&self.base_field()).timeout(WATCH);
        let base = watcher(self.config_maps.clone(), base).default_backoff().map_ok(Part::Base);
        let fragments = match &self.source.fragments {
            None => stream::pending().left_stream(),
            Some(selector) => {
                let selected = watcher::Config::default().labels(selector).timeout(WATCH);
                watcher(self.config_maps.clone(), selected).default_backoff().map_ok(Part::Fragment).right_stream()
            }
        };
        stream::select(base, fragments)
    }

    /// Leave to list and watch may be for this name alone.
    fn base_field(&self) -> String {
        format!("metadata.name={}", self.source.name)
    }

    fn put(&self, effect: Effect) {
        for Told { about, outcome, after_refusal } in effect.told {
            let config_map = about.name.clone().unwrap_or_default();
            self.metrics.role_map_edited(if outcome.is_ok() { Outcome::Ok } else { Outcome::Error });
            match outcome {
                Ok(()) if after_refusal => {
                    self.maps.mended(&config_map);
                    tracing::info!(config_map, "the role map's ConfigMap is good again");
                    self.write(about, Reason::Accepted, "The edit is in force.".to_owned());
                }
                Ok(()) => {}
                Err(error) => {
                    self.maps.refuse(&config_map, &error);
                    tracing::error!(config_map, %error, "the edited role map is refused; the last good one of this ConfigMap stays");
                    self.write(about, Reason::Refused, format!("The edit is refused, the last good one stays in force. {error}"));
                }
            }
        }
        match effect.map {
            Some(map) if self.index.has_base() => self.maps.put(map),
            Some(_) => self.maps.close(),
            None => {}
        }
    }

    /// Beside the watch, which must not wait for it.
    fn write(&self, about: ObjectReference, reason: Reason, message: String) {
        let events = self.events.clone();
        tokio::spawn(async move { events.write(&about, reason, &message).await });
    }

    fn reached(&mut self) {
        if !self.in_reach {
            tracing::info!("the API server is in reach; the role map is watched");
        }
        self.in_reach = true;
        self.metrics.role_map_watch_up(Outcome::Ok);
    }

    /// What is in force stays. The watch tries again by itself, more and more slowly.
    fn lost(&mut self, error: &watcher::Error) {
        let error = causes(error);
        if self.in_reach {
            tracing::warn!(error, "the watch of the role map is interrupted; the last good one stays in force");
        } else if !self.index.is_ready() {
            tracing::warn!(error, "the role map can't be read yet");
        }
        self.in_reach = false;
        self.metrics.role_map_watch_up(Outcome::Error);
    }
}
