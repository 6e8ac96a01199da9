//! One pod with the memory store, and identity providers of its own that a test may vary and disturb.

use crate::support::idp::{Idp, IdpOptions, client, person_with_much_to_tell};
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};

pub struct OnePod {
    pub pod: Pod,
    pub idp: Idp,
    pub other_idp: Option<Idp>,
}

impl OnePod {
    /// With one provider, `corp`.
    pub async fn start(idp: impl FnOnce(&mut IdpOptions), adjust: impl FnOnce(&mut PodOptions)) -> Self {
        let mut options = pod_options();
        let (idp, section) = provider(&options.public_url, "corp", "/sso/callback", idp).await;
        options.providers = vec![section];
        adjust(&mut options);
        Self { pod: Pod::start(options).await, idp, other_idp: None }
    }

    /// With two, `corp` and `partner`.
    pub async fn with_a_choice() -> Self {
        Self::with_two(|_| (), |_| ()).await
    }

    /// The same, and the second provider may be varied.
    pub async fn with_two(other: impl FnOnce(&mut IdpOptions), adjust: impl FnOnce(&mut PodOptions)) -> Self {
        let mut options = pod_options();
        let url = options.public_url.clone();
        let first = provider(&url, "corp", "/sso/callback", |_| ());
        let second = provider(&url, "partner", "/sso/callback/partner", |idp| {
            idp.issuer_path = "/realms/partner".to_owned();
            other(idp);
        });
        let ((idp, corp), (other, partner)) = tokio::join!(first, second);
        options.providers = vec![corp, partner];
        adjust(&mut options);
        Self { pod: Pod::start(options).await, idp, other_idp: Some(other) }
    }

    /// Commands to the store that are no part of the round of each second.
    pub async fn store_commands(&self) -> f64 {
        let mut all = 0.0;
        for operation in ["get", "commit", "list", "spend", "scan"] {
            all += self.pod.metric("vestibule_store_commands_total", &[&format!("operation=\"{operation}\"")]).await;
        }
        all
    }

    pub async fn logins(&self, outcome: &str) -> f64 {
        self.pod.metric("vestibule_logins_total", &[&format!("outcome=\"{outcome}\"")]).await
    }
}

fn pod_options() -> PodOptions {
    PodOptions {
        role_map: Some(crate::support::deployment::ROLE_MAP.replace("  - {claim", "  - {provider: corp, claim")),
        ..PodOptions::new()
    }
}

async fn provider(public_url: &str, id: &str, callback: &str, adjust: impl FnOnce(&mut IdpOptions)) -> (Idp, ProviderSection) {
    let secret = random_key();
    let client = client("vestibule", &secret, &[format!("{public_url}{callback}")], &[format!("{public_url}/sso/logout")]);
    let mut options = IdpOptions { clients: vec![client], ..IdpOptions::default() };
    options.accounts.push(person_with_much_to_tell());
    adjust(&mut options);
    let idp = Idp::start(options).await;
    let section = ProviderSection {
        id: id.to_owned(),
        name: format!("Example {id}"),
        issuer: idp.issuer().to_owned(),
        client_id: "vestibule".to_owned(),
        client_secret: secret,
        further: Vec::new(),
    };
    (idp, section)
}
