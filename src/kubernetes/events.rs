//! Creates Events on ConfigMaps, so that `kubectl describe` shows the result of an edit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{Api, api::PostParams};

use crate::clock::Clock;
use crate::secret::Digest;

const COMPONENT: &str = "vestibule";

/// The limit of Kubernetes for an Event's message, in characters.
const MAX_MESSAGE_CHARS: usize = 1024;

/// The reason of an Event: the result of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Refused,
    Accepted,
}

#[derive(Clone)]
pub(super) struct Events {
    api: Api<Event>,
    clock: Arc<dyn Clock>,
    /// True once the API server has denied the creation of Events. Events are optional, so this is logged once.
    forbidden: Arc<AtomicBool>,
}

impl Events {
    pub fn new(api: Api<Event>, clock: Arc<dyn Clock>) -> Self {
        Self { api, clock, forbidden: Arc::default() }
    }

    /// Creates an Event unless another pod has created it already: all pods see the same edit, and one Event suffices.
    pub async fn create(&self, object: &ObjectReference, reason: Reason, message: &str) {
        if self.forbidden.load(Ordering::Relaxed) {
            return;
        }
        match self.api.create(&PostParams::default(), &event(object, reason, message, self.clock.now())).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                if !self.forbidden.swap(true, Ordering::Relaxed) {
                    tracing::info!("not permitted to create Events; role map updates are only logged");
                }
            }
            Err(error) => tracing::warn!(%error, "role map Event not created"),
        }
    }
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "RoleMapRefused",
            Self::Accepted => "RoleMapAccepted",
        }
    }

    /// The type of the Event, as Kubernetes defines it.
    fn event_type(self) -> &'static str {
        match self {
            Self::Refused => "Warning",
            Self::Accepted => "Normal",
        }
    }
}

/// Builds the Event. Its name is a digest of its content, so that it exists only once.
fn event(object: &ObjectReference, reason: Reason, message: &str, now: Timestamp) -> Event {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (name, uid, version) = (text(&object.name), text(&object.uid), text(&object.resource_version));
    let id = Digest::of_parts(&[&uid, &version, reason.as_str(), message]).to_hex();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", &name[..name.len().min(200)], &id[..16])),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: object.clone(),
        reason: Some(reason.as_str().to_owned()),
        message: Some(message.chars().take(MAX_MESSAGE_CHARS).collect()),
        type_: Some(reason.event_type().to_owned()),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        reporting_component: Some(COMPONENT.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}
