//! The same steps through nginx, Traefik, Caddy, Envoy and HAProxy, side by side in front of the same three pods.

mod faults;
mod headers;
mod hosts;
mod paths;
mod requests;
mod sessions;
mod streams;
mod templates;

use std::sync::LazyLock;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::api::{ApiKey, Auth, create_key};
use crate::support::fleet::{Fleet, FleetBuilder, ROLE_MAP};
use crate::support::gateway::{Gateways, RunningGateway};
use crate::support::idp::client;
use crate::support::pod::{PodOptions, random_key};
use crate::support::raw_http::{self, Answer};
use crate::support::steps::{ALICE, BOB, CAROL, SESSION};
use crate::tokens::{CLI, tokens_of};

const ACCESS: &str = "access:
  - {paths: [/admin/**, /v1/admin, /files/*/private], roles: [proxy_admin]}
  - {paths: [/closed/**], allow: nobody}
  - {paths: [/open/**], allow: anyone}
  - {paths: [/static/**], upstream_credential: upstream}
  - {paths: [/**], credentials: [token, session, key]}
";
const TOKEN_ISSUER: &str = "token_issuers: [{id: corp-api, provider: corp, audiences: [litellm], unregistered: allow}]\n";
const UPSTREAM_CREDENTIAL: &str = "Bearer sk-of-the-upstream";
const JSON: (&str, &str) = ("Accept", "application/json");

/// The secret of the client that requests tokens.
static CLIENT_SECRET: LazyLock<String> = LazyLock::new(random_key);

/// The caller of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Anonymous,
    Admin,
    User,
    Viewer,
    Key,
    Token,
    UnknownKey,
}

/// One fleet with all gateways, and credentials of each kind.
struct GatewayFleet {
    gateways: Gateways,
    fleet: Fleet,
    /// Cookie headers.
    admin: String,
    user: String,
    viewer: String,
    /// bob's.
    key: ApiKey,
    /// alice's.
    token: String,
}

impl GatewayFleet {
    /// A fleet for tests that neither stop nor reconfigure a part.
    async fn shared() -> &'static Self {
        static SHARED: OnceCell<GatewayFleet> = OnceCell::const_new();
        SHARED.get_or_init(async || Self::start(Fleet::builder().pods(3).cluster()).await).await
    }

    async fn start(builder: FleetBuilder<'_>) -> Self {
        let cli = client("cli", &CLIENT_SECRET, &[CLI.to_owned()], &[]);
        let configure = |pod: &mut PodOptions| {
            pod.role_map = Some(format!("{ROLE_MAP}{ACCESS}"));
            pod.further.push_str(TOKEN_ISSUER);
            pod.further +=
                &format!("upstream_credential: {{static: [{{name: upstream, authorization: {UPSTREAM_CREDENTIAL}}}]}}\n");
        };
        let fleet = builder.idp_with(|idp| idp.clients.push(cli)).nginx().config(configure).start().await;
        let (admin, user, viewer, token, gateways) = tokio::join!(
            fleet.session_header(ALICE),
            fleet.session_header(BOB),
            fleet.session_header(CAROL),
            tokens_of(fleet.idp(), &CLIENT_SECRET, ALICE),
            Gateways::start(&fleet),
        );
        let session = &user[SESSION.len() + 1..];
        let key = create_key(&fleet.pods[0], Auth::Session(session), json!({})).await;
        Self { gateways, admin, user, viewer, key, token: token.0, fleet }
    }

    /// The header with the caller's credential.
    fn credential(&self, caller: Caller) -> Option<(&'static str, String)> {
        match caller {
            Caller::Anonymous => None,
            Caller::Admin => Some(("Cookie", self.admin.clone())),
            Caller::User => Some(("Cookie", self.user.clone())),
            Caller::Viewer => Some(("Cookie", self.viewer.clone())),
            Caller::Key => Some(("Authorization", format!("Bearer {}", self.key.key))),
            Caller::Token => Some(("Authorization", format!("Bearer {}", self.token))),
            Caller::UnknownKey => Some(("Authorization", format!("Bearer {}", crate::support::steps::unknown_key()))),
        }
    }

    async fn send(&self, to: &RunningGateway, line: (&str, &str), caller: Caller, headers: &[(&str, &str)]) -> Answer {
        let credential = self.credential(caller);
        let credential = credential.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = credential.chain(headers.iter().copied()).collect();
        raw_http::send_to(to.address, line.0, line.1, &headers).await
    }

    /// The request that the upstream received, for a request that must reach it.
    async fn received(&self, to: &RunningGateway, target: &str, caller: Caller, headers: &[(&str, &str)]) -> Value {
        let answer = self.send(to, ("GET", target), caller, &[&[JSON], headers].concat()).await;
        assert!(is_from_upstream(&answer), "{:?}: {target} {headers:?}: {answer:?}", to.gateway);
        answer.json()
    }
}

/// Only the upstream returns the request that it received.
fn is_from_upstream(answer: &Answer) -> bool {
    answer.body.contains("rawHeaders") || answer.body.contains("You reached the upstream")
}

/// Asserts that an answer which is not the upstream's has no header that is meant for the gateway or the upstream.
#[track_caller]
fn assert_no_internal_headers(answer: &Answer, context: &str) {
    let internal = answer.headers.iter().find(|(name, _)| {
        ["x-auth-request-", "x-vestibule-", "x-envoy-"].iter().any(|start| name.starts_with(start)) || name == "set-cookie"
    });
    assert!(internal.is_none(), "{context}: {internal:?}: {answer:?}");
}
