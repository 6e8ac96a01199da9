//! A provider and one pod with the memory store, where a test varies how the provider is configured.

use crate::shared::{ALICE, providers_reached};
use crate::support::agent::Agent;
use crate::support::idp::{Idp, IdpOptions, client};
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};

pub struct Alone {
    pub pod: Pod,
    pub idp: Idp,
}

impl Alone {
    /// `provider` are further lines of the provider's section; `adjust` has the last word.
    pub async fn start(provider: &[&str], adjust: impl FnOnce(&mut PodOptions)) -> Self {
        let mut options = PodOptions::new();
        let secret = random_key();
        let redirect_uri = format!("{}/sso/callback", options.public_url);
        let after_logout = format!("{}/sso/logout", options.public_url);
        let client = client("vestibule", &secret, &[redirect_uri], &[after_logout]);
        let idp = Idp::start(IdpOptions { clients: vec![client], ..IdpOptions::default() }).await;
        options.providers = vec![ProviderSection {
            id: "corp".to_owned(),
            name: "Example Corp".to_owned(),
            issuer: idp.issuer().to_owned(),
            client_id: "vestibule".to_owned(),
            client_secret: secret,
            further: provider.iter().map(|line| (*line).to_owned()).collect(),
        }];
        adjust(&mut options);
        let pod = Pod::start(options).await;
        providers_reached(&pod, 1).await;
        Self { pod, idp }
    }

    pub fn origin(&self) -> String {
        self.pod.public("")
    }

    /// A browser in which alice has just signed in.
    pub async fn signed_in(&self) -> Agent {
        let (agent, (user, password)) = (Agent::new(), ALICE);
        let page = agent.get(&self.pod.public("/sso/login?rd=/vestibule/")).await;
        let callback = self.idp.sign_in(&agent, page, user, password).await;
        let home = agent.follow(callback).await;
        assert!(home.body.contains("<title>Your account "), "{}: {}", home.url, home.body);
        agent
    }
}
