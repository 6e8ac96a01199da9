//! Watches the ConfigMaps of the role map and activates their content.

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
use super::index::{ConfigMapEdit, ConfigMapIndex, Effect, WatchEvent};
use crate::clock::Clock;
use crate::fetch::causes;
use crate::metrics::{Metrics, Outcome};
use crate::role_map::{ConfiguredNames, RoleMaps};

/// The timeout of one watch request in seconds. It limits the time until a dead connection is detected.
const WATCH_TIMEOUT: u32 = 60;

/// The time for which one watch may still list after the other has failed.
const LISTING_GRACE: Duration = Duration::from_secs(1);

/// The longest pause before reconnecting to the API server.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// A role map in watched ConfigMaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMapSource {
    pub name: String,
    /// If `None`, the namespace of the pod or of the kubeconfig.
    pub namespace: Option<String>,
    /// The key of the document in the ConfigMap and in the fragments' ConfigMaps.
    pub key: String,
    /// The label selector of the ConfigMaps with fragments, which are merged into the role map.
    pub fragments: Option<String>,
}

impl ConfigMapSource {
    /// Returns a description for administrators.
    pub fn description(&self) -> String {
        let namespace = self.namespace.as_deref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let fragments = self.fragments.as_deref().map(|labels| format!(", with fragments {labels}")).unwrap_or_default();
        format!("ConfigMap {namespace}{}, key {}{fragments}", self.name, self.key)
    }
}

/// Watches ConfigMaps and activates their role map.
pub struct RoleMapWatch {
    config_maps: Api<ConfigMap>,
    events: Events,
    source: ConfigMapSource,
    index: ConfigMapIndex,
    maps: Arc<RoleMaps>,
    metrics: Arc<Metrics>,
    /// True if the last request to the API server succeeded.
    is_connected: bool,
}

impl RoleMapWatch {
    /// Loads the connection settings. Sends no request yet.
    pub async fn new(
        source: ConfigMapSource,
        configured: ConfiguredNames,
        maps: Arc<RoleMaps>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ConnectError> {
        let client = Client::try_from(kube::Config::infer().await?)?;
        let namespace = source.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        let events = Events::new(Api::namespaced(client.clone(), &namespace), clock);
        let config_maps = Api::namespaced(client, &namespace);
        let index = ConfigMapIndex::new(source.clone(), configured);
        metrics.role_map_watch_up(Outcome::Error);
        Ok(Self { config_maps, events, source, index, maps, metrics, is_connected: false })
    }

    /// Watches forever. Calls `ready` once both watches have listed and there is a valid role map.
    ///
    /// After an error both watches restart together with a list. If each restarted separately, a base would be validated with
    /// fragments of another time.
    pub async fn follow(mut self, ready: impl FnOnce() + Send) {
        let mut ready = Some(ready);
        let mut backoff = DefaultBackoff::default();
        loop {
            let events = self.watches();
            self.follow_until_error(events, &mut ready, &mut backoff).await;
            let effect = self.index.reset();
            self.apply_effect(effect);
            tokio::time::sleep(backoff.next().unwrap_or(MAX_BACKOFF)).await;
        }
    }

    /// Follows until an error, and for a short time after it, so that the other watch can still finish its list.
    async fn follow_until_error<R: FnOnce()>(
        &mut self,
        events: impl Stream<Item = watcher::Result<WatchEvent>>,
        ready: &mut Option<R>,
        backoff: &mut DefaultBackoff,
    ) {
        let mut events = std::pin::pin!(events);
        let mut end: Option<Pin<Box<Sleep>>> = None;
        loop {
            let next = tokio::select! {
                next = events.next() => next,
                () = OptionFuture::from(end.as_mut()).map(drop), if end.is_some() => return,
            };
            match next {
                None => return,
                Some(Err(error)) => {
                    self.mark_disconnected(&error);
                    end.get_or_insert_with(|| Box::pin(tokio::time::sleep(LISTING_GRACE)));
                }
                Some(Ok(event)) => {
                    let effect = self.index.apply(event);
                    self.apply_effect(effect);
                    if end.is_none() && self.index.is_listed() {
                        self.mark_connected();
                        backoff.reset();
                    }
                    if self.index.is_ready() {
                        ready.take().into_iter().for_each(|ready| ready());
                    }
                }
            }
        }
    }

    fn watches(&self) -> impl Stream<Item = watcher::Result<WatchEvent>> + Send + use<> {
        let base = watcher::Config::default().fields(&self.base_field()).timeout(WATCH_TIMEOUT);
        let base = watcher(self.config_maps.clone(), base).default_backoff().map_ok(WatchEvent::Base);
        let fragments = match &self.source.fragments {
            None => stream::pending().left_stream(),
            Some(selector) => {
                let selected = watcher::Config::default().labels(selector).timeout(WATCH_TIMEOUT);
                watcher(self.config_maps.clone(), selected).default_backoff().map_ok(WatchEvent::Fragment).right_stream()
            }
        };
        stream::select(base, fragments)
    }

    /// Selects the base by name, since the permission to list and watch may be limited to it.
    fn base_field(&self) -> String {
        format!("metadata.name={}", self.source.name)
    }

    fn apply_effect(&self, effect: Effect) {
        for ConfigMapEdit { object, result, after_refusal } in effect.edits {
            let config_map = object.name.clone().unwrap_or_default();
            self.metrics.role_map_edited(if result.is_ok() { Outcome::Ok } else { Outcome::Error });
            match result {
                Ok(()) if after_refusal => {
                    self.maps.clear_refusal(&config_map);
                    tracing::info!(config_map, "role map ConfigMap valid again");
                    self.create_event(object, Reason::Accepted, "The edit is active.".to_owned());
                }
                Ok(()) => {}
                Err(error) => {
                    self.maps.record_refusal(&config_map, &error);
                    tracing::error!(config_map, %error, "role map rejected; keeping last valid version");
                    self.create_event(
                        object,
                        Reason::Refused,
                        format!("The edit is refused; the last valid version stays active. {error}"),
                    );
                }
            }
        }
        match effect.map {
            Some(map) if self.index.has_base() => self.maps.activate(map),
            Some(_) => self.maps.close(),
            None => {}
        }
    }

    /// Creates an Event in a separate task, so that the watch does not wait for it.
    fn create_event(&self, object: ObjectReference, reason: Reason, message: String) {
        let events = self.events.clone();
        tokio::spawn(async move { events.create(&object, reason, &message).await });
    }

    fn mark_connected(&mut self) {
        if !self.is_connected {
            tracing::info!("role map watch connected");
        }
        self.is_connected = true;
        self.metrics.role_map_watch_up(Outcome::Ok);
    }

    /// Records the error. The role map stays active, and the watch reconnects with back-off.
    fn mark_disconnected(&mut self, error: &watcher::Error) {
        let error = causes(error);
        if self.is_connected {
            tracing::warn!(error, "role map watch interrupted; keeping last valid version");
        } else if !self.index.is_ready() {
            tracing::warn!(error, "role map not loaded");
        }
        self.is_connected = false;
        self.metrics.role_map_watch_up(Outcome::Error);
    }
}
