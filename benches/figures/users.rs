//! Users that are signed in without a provider: the product's library writes their records like a pod does.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use vestibule::clock::{Clock, SystemClock};
use vestibule::metrics::Metrics;
use vestibule::principal::IdentityClaims;
use vestibule::role_map::{ConfiguredNames, RoleMaps};
use vestibule::users::{Browser, Limits, Logout, PriorAccess, ProviderSession, Users, VerifiedLogin};

use super::bench_fleet::{check, cookie};
use super::integration::support::fleet::Fleet;
use super::integration::support::http_client;
use super::integration::support::pod::Pod;

const CONCURRENCY: usize = 64;

/// The defaults of a pod.
const LIMITS: Limits =
    Limits { idle: Duration::from_secs(12 * 3600), absolute: Duration::from_secs(7 * 24 * 3600), max_per_user: 100 };
const KEYS_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

pub struct SignedInUsers(Users);

impl SignedInUsers {
    /// Users in the store of this fleet.
    pub async fn of(fleet: &Fleet) -> Self {
        let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
        let role_maps = RoleMaps::new(None, ConfiguredNames::default(), clock.clone(), Arc::clone(&metrics));
        let role_maps = Arc::new(role_maps.expect("no document is invalid"));
        Self(Users::new(fleet.records().await, role_maps, LIMITS, KEYS_MAX_AGE, clock, metrics))
    }

    /// Signs in this number of users, once each, and returns the values of their session cookies.
    pub async fn sign_in(&self, provider: &str, count: usize) -> Vec<String> {
        let sign_ins = stream::iter(0..count).map(|number| self.sign_in_one(provider, number));
        sign_ins.buffer_unordered(CONCURRENCY).collect().await
    }

    async fn sign_in_one(&self, provider: &str, number: usize) -> String {
        let login = VerifiedLogin {
            identity: identity(provider, number),
            provider_session: Some(ProviderSession {
                refresh_token: None,
                flow: subject(number).repeat(2),
                sid: Some(format!("8f14e45f-ceea-467f-ab43-{number:012}")),
                requested: SystemClock.now(),
            }),
            logout: Logout { hint: Some(format!("person-{number}")), id_token: None },
            authenticated_at: None,
            browser: Browser { replaces: None, agent: Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0".to_owned()) },
            prior_access: PriorAccess::Keep,
        };
        let completed = self.0.complete_login(&login).await.expect("every user is granted a role");
        completed.session_token.expose().to_owned()
    }
}

/// Claims like those of a company's Keycloak: a profile in the id_token, roles and groups in the access token.
pub fn identity(provider: &str, number: usize) -> IdentityClaims {
    let id_token = json!({
        "sub": subject(number), "email": format!("person-{number}@example.com"), "email_verified": true,
        "name": format!("Person {number}"), "given_name": "Person", "family_name": number.to_string(),
        "preferred_username": format!("person-{number}"), "acr": "1", "azp": "vestibule",
    });
    let groups: Vec<String> = (0..6).map(|group| format!("/engineering/group-{}", (number + group * 7) % 40)).collect();
    let access_token = json!({
        "sub": subject(number), "azp": "vestibule", "scope": "openid profile email", "groups": groups,
        "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles-corp"]},
        "resource_access": {"litellm": {"roles": ["llm-user"]}, "account": {"roles": ["manage-account", "view-profile"]}},
    });
    let claims = |value: Value| serde_json::from_value(value).expect("it is written as an object");
    IdentityClaims {
        provider: provider.to_owned(),
        issuer: "https://idp.example.com/realms/corp".to_owned(),
        subject: subject(number),
        id_token: claims(id_token),
        access_token: Some(claims(access_token)),
        ..IdentityClaims::default()
    }
}

fn subject(number: usize) -> String {
    format!("3c59dc04-8e88-4024-b98e-{number:012}")
}

/// Sends one check for each session to the pod.
pub async fn check_each(pod: &Pod, sessions: &[String]) {
    let http = http_client();
    let checks = stream::iter(sessions).map(|session| {
        let request = http.get(pod.check("/auth/nginx"));
        let headers = check(pod, "/v1/models", vec![cookie(session)]).headers;
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        async move { request.send().await.expect("the pod responds").status().as_u16() }
    });
    let refused = checks.buffer_unordered(CONCURRENCY).filter(|status| std::future::ready(*status != 200)).count().await;
    assert_eq!(refused, 0, "of {} sessions", sessions.len());
}
