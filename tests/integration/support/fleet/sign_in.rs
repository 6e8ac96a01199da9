//! Signs users in to a fleet and out again.

use super::super::agent::{Agent, Page};
use super::super::steps::{ALICE, TestUser, session_header, session_of};
use super::Fleet;

/// A signed-in browser.
pub struct Browser {
    pub agent: Agent,
    /// The value of its session cookie.
    pub cookie: String,
}

impl Fleet {
    /// Opens the path at the public URL, signs in if the identity provider requests it, and returns the final page.
    pub async fn open(&self, agent: &Agent, path: &str, user: TestUser) -> Page {
        let page = agent.get(&self.url(path)).await;
        let issuer = self.idp().issuer().to_owned();
        let page = agent.follow_until(page, |to| to.as_str().starts_with(&issuer)).await;
        let callback = self.idp().sign_in(agent, page, user.name, user.password).await;
        agent.follow(callback).await
    }

    /// A browser that is newly signed in at the public URL.
    pub async fn signed_in(&self, user: TestUser) -> Agent {
        let agent = Agent::new();
        let page = self.open(&agent, &self.login_path("/vestibule/"), user).await;
        assert!(page.body.contains("<title>Your account "), "{}: {}: {}", user.name, page.url, page.body);
        agent
    }

    /// The cookie header of a browser that is newly signed in at the public URL.
    pub async fn session_header(&self, user: TestUser) -> String {
        session_header(&self.signed_in(user).await)
    }

    /// Signs alice in; all requests go to this pod.
    pub async fn sign_in(&self, pod: usize) -> Browser {
        let agent = Agent::new();
        let callback = self.callback(pod, &agent).await;
        let page = agent.get(&callback).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let cookie = session_of(&agent);
        Browser { agent, cookie }
    }

    /// Runs a login flow of alice up to the callback URL, which is on this pod.
    pub async fn callback(&self, pod: usize, agent: &Agent) -> String {
        let page = agent.get(&self.pods[pod].public(&self.login_path("/"))).await;
        let back = self.idp().sign_in(agent, page, ALICE.name, ALICE.password).await;
        let mut callback = back.location().unwrap_or_else(|| panic!("no callback: {}", back.body));
        callback.set_port(Some(self.pods[pod].public_port())).expect("http has ports");
        callback.to_string()
    }

    /// The form of the logout page, with its anti-CSRF token.
    pub async fn logout_form(&self, pod: usize, browser: &Browser) -> Vec<(String, String)> {
        browser.agent.get(&self.pods[pod].public("/sso/logout")).await.form().fields
    }

    pub async fn confirm_logout(&self, pod: usize, browser: &Browser, form: &[(String, String)]) -> Page {
        let fields: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        browser.agent.post(&self.pods[pod].public("/sso/logout"), &fields).await
    }

    pub async fn sign_out(&self, pod: usize, browser: &Browser) {
        let form = self.logout_form(pod, browser).await;
        let page = self.confirm_logout(pod, browser, &form).await;
        assert_eq!(page.status, 303, "{}", page.body);
    }

    fn login_path(&self, rd: &str) -> String {
        let provider = &self.pods[0].options().providers.first().expect("the fleet was built with a provider").id;
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("provider", provider).append_pair("rd", rd).finish();
        format!("/sso/login?{query}")
    }
}
