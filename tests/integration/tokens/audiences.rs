//! Access tokens without `aud`, and tokens of the client that users sign in with.

use serde_json::{Value, json};

use super::{assert_refused, check_token};
use crate::support::agent::Agent;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};
use crate::support::steps::{at, begin};

/// A pod that accepts tokens of a provider whose tokens can have any claims.
struct AnyTokens {
    fleet: Fleet,
    idp: FaultyIdp,
}

impl AnyTokens {
    /// `fields` are those of the token issuer beside its id and provider.
    async fn start(fields: &str) -> Self {
        let idp = FaultyIdp::start().await;
        let provider = ProviderSection::corp(idp.issuer(), random_key());
        let further = format!(
            "token_issuers: [{{id: corp-api, provider: corp, unregistered: allow, {fields}}}]\nlog: {{level: vestibule=debug}}\n"
        );
        let accepting = |pod: &mut PodOptions| pod.further = further.clone();
        Self { fleet: Fleet::builder().provider(provider).config(accepting).start().await, idp }
    }

    fn pod(&self) -> &Pod {
        self.fleet.pod(0)
    }

    /// The access token and the id_token of a login with these faults.
    async fn tokens(&self, fault: &Value) -> (String, String) {
        let agent = Agent::new();
        let question = begin(&agent, self.pod(), "/ui/").await.location().expect("begin gives a redirect");
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        let code = callback.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        self.idp.fault(&code, fault).await;
        let known = self.idp.issued().await.len();
        agent.get(&at(self.pod(), &callback)).await;
        let issued = self.idp.issued().await.split_off(known);
        (issued[0].clone(), issued[1].clone())
    }

    async fn access_token(&self, claims: Value) -> String {
        self.tokens(&json!({"accessToken": {"claims": claims}})).await.0
    }

    /// Asserts that the token is refused, with this reason in the log.
    async fn assert_refused(&self, token: &str, reason: &str) {
        let known = self.pod().log().lines().count();
        assert_refused(&check_token(self.pod(), token).await);
        let log = self.pod().log();
        let logged = log.lines().skip(known).any(|line| line.contains(reason));
        assert!(logged, "{reason}: {:?}", log.lines().skip(known).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_takes_the_place_of_an_absent_audience() {
    let fleet = AnyTokens::start(
        "audiences: [batch, 'https://llm.example.com'], audience_claim: client_id, required_claims: {token_use: access}",
    )
    .await;
    let cognito = |changed: Value| {
        let mut claims = json!({"aud": null, "azp": null, "client_id": "batch", "token_use": "access"});
        claims.as_object_mut().expect("an object").extend(changed.as_object().expect("an object").clone());
        claims
    };
    for good in [json!({}), json!({"aud": "https://llm.example.com"}), json!({"aud": ["other", "batch"]})] {
        let token = fleet.access_token(cognito(good.clone())).await;
        assert_eq!(check_token(fleet.pod(), &token).await.status, 200, "{good}");
    }
    for (bad, reason) in [
        (json!({"client_id": "other"}), "audience_mismatch"),
        (json!({"client_id": null}), "audience_missing"),
        (json!({"client_id": ["batch"]}), "claim_type_invalid"),
        (json!({"client_id": null, "aud": "batch"}), "audience_missing"),
        (json!({"aud": "https://other.example.com"}), "audience_mismatch"),
        (json!({"token_use": "id"}), "required_claim_mismatch"),
        (json!({"token_use": null}), "required_claim_mismatch"),
        (json!({"nonce": "n"}), "not_an_access_token"),
        (json!({"at_hash": "LDktKdoQak3Pk0cnXxCltA"}), "not_an_access_token"),
    ] {
        let token = fleet.access_token(cognito(bad.clone())).await;
        println!("{bad}");
        fleet.assert_refused(&token, reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_audience_is_refused_by_name() {
    let fleet = AnyTokens::start("audiences: [litellm]").await;
    for (aud, reason) in
        [(Value::Null, "token has no audience"), (json!([]), "token has no audience"), (json!("other"), "another audience")]
    {
        let token = fleet.access_token(json!({"aud": aud})).await;
        fleet.assert_refused(&token, reason).await;
    }
    let token = fleet.access_token(json!({})).await;
    assert_eq!(check_token(fleet.pod(), &token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_app_registration_access_tokens_pass_and_id_tokens_never_do() {
    let fleet = AnyTokens::start("audiences: [vestibule], access_token_claim: scp").await;
    let entra = json!({"aud": "vestibule", "scp": "user_impersonation"});
    let (access, id) = fleet.tokens(&json!({"accessToken": {"claims": entra}})).await;
    assert_eq!(check_token(fleet.pod(), &access).await.status, 200);
    fleet.assert_refused(&id, "not_an_access_token").await;

    // Without its nonce and hash, the scope distinguishes an id_token.
    let without_marks = json!({"nonce": null, "at_hash": null});
    let (_, unmarked) = fleet.tokens(&json!({"idToken": {"claims": without_marks}})).await;
    fleet.assert_refused(&unmarked, "not_an_access_token").await;
    for (claims, reason) in [
        (json!({"aud": "vestibule"}), "not_an_access_token"),
        (json!({"aud": "vestibule", "scp": null}), "not_an_access_token"),
        (json!({"aud": "vestibule", "scp": "x", "nonce": "n"}), "not_an_access_token"),
        (json!({"aud": "vestibule", "scp": "x", "at_hash": "h"}), "not_an_access_token"),
        (json!({"aud": "litellm", "scp": "x"}), "audience_mismatch"),
    ] {
        let token = fleet.access_token(claims).await;
        fleet.assert_refused(&token, reason).await;
    }
}
