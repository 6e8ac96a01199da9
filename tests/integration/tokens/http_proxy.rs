//! The HTTP proxy between a pod and its provider and token issuer, and the hosts that are contacted without it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{CLI, PATIENCE, ask_for_tokens, check_token, text};
use crate::support::agent::Agent;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::forward_proxy::ForwardProxy;
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};
use crate::support::ports;
use crate::support::scratch::Scratch;
use crate::support::steps::{assert_signed_in, at, begin};
use crate::support::tls_terminator::TlsTerminator;
use crate::support::wait::until;

const PROVIDER: &str = "https://idp.internal";
const ISSUER: &str = "https://issuer.internal";
/// Nothing listens there (RFC 5737).
const UNREACHABLE: &str = "http_proxy: \"http://192.0.2.1:3128\"\n";

/// The hosts that are contacted directly, as fields at the top level and of the two sections.
struct Exceptions {
    top_level: &'static str,
    of_provider: &'static [&'static str],
    of_issuer: Value,
}

/// A provider and a token issuer on different loopback ports.
struct Servers {
    provider: FaultyIdp,
    issuer: FaultyIdp,
}

impl Servers {
    async fn start() -> Self {
        let (provider, issuer) = tokio::join!(FaultyIdp::start(), FaultyIdp::start());
        Self { provider, issuer }
    }

    /// Starts a pod with these top-level fields and these fields of the two sections.
    async fn pod(&self, top_level: &str, of_provider: &[&str], of_issuer: Value) -> Pod {
        let mut options = PodOptions::new();
        let further = of_provider.iter().map(|line| (*line).to_owned()).collect();
        options.providers.push(ProviderSection { further, ..ProviderSection::corp(self.provider.issuer(), random_key()) });
        options.further = format!("{top_level}token_issuers: [{}]\n", tools(self.issuer.issuer(), of_issuer));
        Pod::start(options).await
    }

    async fn assert_both_work(&self, pod: &Pod) {
        assert_login(pod, &self.provider, &json!({})).await;
        assert_token(pod, &self.issuer, &json!({})).await;
    }
}

/// The section of a token issuer with further fields.
fn tools(issuer: &str, further: Value) -> Value {
    let mut section = json!({"id": "tools", "issuer": issuer, "audiences": ["litellm"], "workload": false});
    let Value::Object(further) = further else { panic!("{further} is no section") };
    section.as_object_mut().expect("a section").extend(further);
    section
}

async fn assert_login(pod: &Pod, idp: &FaultyIdp, claims: &Value) {
    let agent = Agent::new();
    let question = begin(&agent, pod, "/ui/").await.location().expect("begin gives a redirect");
    let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
    let code = callback.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    idp.fault(&code, &json!({"idToken": {"claims": claims}})).await;
    assert_signed_in(&agent.get(&at(pod, &callback)).await);
}

async fn assert_token(pod: &Pod, idp: &FaultyIdp, claims: &Value) {
    idp.fault("a-tool", &json!({"accessToken": {"claims": claims}})).await;
    let form = [("grant_type", "authorization_code"), ("code", "a-tool"), ("redirect_uri", CLI)];
    let token = text(&ask_for_tokens(idp.issuer(), ("cli", "secret"), &form).await, "access_token");
    let answer = check_token(pod, &token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn port_of(idp: &FaultyIdp) -> u16 {
    idp.issuer().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("the issuer has a port")
}

fn has_target(proxy: &ForwardProxy, idp: &FaultyIdp) -> bool {
    proxy.targets().iter().any(|target| target.starts_with(idp.issuer()))
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_only_the_proxy_resolves_are_reached_through_tunnels() {
    let idp = FaultyIdp::start().await;
    let tls = TlsTerminator::start("DNS:idp.internal,DNS:issuer.internal", port_of(&idp)).await;
    let proxy = ForwardProxy::start(&[("idp.internal", tls.port()), ("issuer.internal", tls.port())]).await;
    assert_reached_through_tunnels(&idp, &tls.ca_file(), &proxy.url(), &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_with_tls_needs_a_certificate_that_is_trusted_for_the_provider() {
    let idp = FaultyIdp::start().await;
    let tls = TlsTerminator::start("DNS:idp.internal,DNS:issuer.internal", port_of(&idp)).await;
    let proxy = ForwardProxy::start(&[("idp.internal", tls.port()), ("issuer.internal", tls.port())]).await;
    let tls_of_proxy = TlsTerminator::start("DNS:localhost", proxy.port()).await;
    let (url, scratch) = (format!("https://localhost:{}", tls_of_proxy.port()), Scratch::new("proxy-ca"));
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("the terminator has written it");
    let both = scratch.write("ca.pem", &[read(tls.ca_file()), read(tls_of_proxy.ca_file())].concat());
    assert_reached_through_tunnels(&idp, &both, &url, &proxy).await;

    let known = proxy.targets().len();
    let pod = Pod::start(behind_proxy(&tls.ca_file(), &url)).await;
    let words = format!("idp.internal does not answer (http_proxy: {url}): ");
    until("the proxy in the log", PATIENCE, async || pod.log().contains(&words).then_some(())).await;
    assert!(pod.log().contains("invalid peer certificate"), "{}", pod.log());
    assert_eq!(proxy.targets().len(), known, "the proxy is not trusted");
}

/// The options of a pod that reaches its provider and its token issuer only through the proxy.
fn behind_proxy(ca_file: &Path, proxy: &str) -> PodOptions {
    let further = vec![format!("ca_file: {}", ca_file.display())];
    let mut options = PodOptions::new();
    options.providers.push(ProviderSection { further, ..ProviderSection::corp(PROVIDER, random_key()) });
    let issuer = tools(ISSUER, json!({"jwks_uri": format!("{ISSUER}/jwks"), "ca_file": ca_file}));
    options.further = format!("http_proxy: \"{proxy}\"\ntoken_issuers: [{issuer}]\n");
    options
}

/// Asserts that a login and a token work, and that all requests come through tunnels of the proxy, which has this URL.
async fn assert_reached_through_tunnels(idp: &FaultyIdp, ca_file: &Path, url: &str, proxy: &ForwardProxy) {
    let discovery = json!({
        "issuer": PROVIDER, "authorization_endpoint": format!("{}/authorize", idp.issuer()),
        "token_endpoint": format!("{PROVIDER}/token"), "jwks_uri": format!("{PROVIDER}/jwks"),
    });
    idp.spoil("/.well-known/openid-configuration", &json!({"body": discovery.to_string()})).await;
    let pod = Pod::start(behind_proxy(ca_file, url)).await;
    assert_login(&pod, idp, &json!({"iss": PROVIDER})).await;
    assert_token(&pod, idp, &json!({"iss": ISSUER})).await;
    let targets = proxy.targets();
    let tunnels = ["idp.internal:443", "issuer.internal:443"];
    assert!(tunnels.iter().all(|name| targets.iter().any(|target| target == name)), "{targets:?}");
    assert!(targets.iter().all(|target| tunnels.contains(&target.as_str())), "nothing else: {targets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_for_the_proxy_are_read_again_and_stay_out_of_the_log() {
    let (servers, scratch) = (Servers::start().await, Scratch::new("proxy-credentials"));
    let proxy = ForwardProxy::start(&[]).await;
    proxy.require("alice:hunter2:x");
    let file = scratch.write("credentials", "alice:hunter2:x\n");
    let verbose = "log: {level: \"trace,notify=warn,inotify=warn\"}\n";
    let top_level = format!("{verbose}http_proxy: \"{}\"\nhttp_proxy_credentials_file: \"{}\"\n", proxy.url(), file.display());
    let pod = servers.pod(&top_level, &[], json!({})).await;
    servers.assert_both_work(&pod).await;
    assert!(has_target(&proxy, &servers.provider) && has_target(&proxy, &servers.issuer), "{:?}", proxy.targets());

    proxy.require("alice:hunter3");
    scratch.write("credentials", "alice:hunter3\n");
    assert_login(&pod, &servers.provider, &json!({})).await;

    // A section with a proxy of its own does not send the credentials to it.
    let own = format!("http_proxy: \"{}\"", proxy.url());
    let other = servers.pod(&top_level, &[&own], json!({})).await;
    let words = format!("does not answer (http_proxy: {}): ", proxy.url());
    until("the refusal in the log", PATIENCE, async || {
        let log = other.log();
        (log.contains(&words) || log.contains("127.0.0.1 answered with status 407")).then_some(())
    })
    .await;
    for pod in [&pod, &other] {
        let log = pod.log();
        let encoded = ["YWxpY2U6aHVudGVyMjp4", "YWxpY2U6aHVudGVyMw"];
        assert!(!log.contains("hunter") && !encoded.iter().any(|text| log.contains(text)), "the log has the credentials");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_in_no_proxy_are_contacted_directly_per_provider_and_issuer() {
    let servers = Servers::start().await;
    let exceptions = |top_level, of_provider, of_issuer| Exceptions { top_level, of_provider, of_issuer };
    let cases = [
        (exceptions("", &[], json!({})), (true, true)),
        (exceptions("", &["no_proxy: [\"127.0.0.0/8\"]"], json!({})), (false, true)),
        (exceptions("", &[], json!({"no_proxy": ["*"]})), (true, false)),
        (exceptions("no_proxy: [\"127.0.0.1\"]\n", &["no_proxy: []"], json!({})), (true, false)),
    ];
    for (Exceptions { top_level: exceptions, of_provider, of_issuer }, expected) in cases {
        let proxy = ForwardProxy::start(&[]).await;
        let top_level = format!("http_proxy: \"{}\"\n{exceptions}", proxy.url());
        let pod = servers.pod(&top_level, of_provider, of_issuer).await;
        servers.assert_both_work(&pod).await;
        let found = (has_target(&proxy, &servers.provider), has_target(&proxy, &servers.issuer));
        assert_eq!(found, expected, "{exceptions:?} {of_provider:?}: {:?}", proxy.targets());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_on_another_machine_never_receives_requests_to_loopback_hosts() {
    let servers = Servers::start().await;
    let pod = servers.pod(UNREACHABLE, &[], json!({})).await;
    servers.assert_both_work(&pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_answer_is_named_in_the_log() {
    let servers = Servers::start().await;
    let closed = format!("http://127.0.0.1:{}", ports::free());
    let pod = servers.pod("", &[&format!("http_proxy: \"{closed}\"")], json!({})).await;
    let words = format!("127.0.0.1 does not answer (http_proxy: {closed}): ");
    until("the proxy in the log", PATIENCE, async || pod.log().contains(&words).then_some(())).await;
    assert_token(&pod, &servers.issuer, &json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_variables_of_the_environment_are_not_used_and_named_without_their_values() {
    let (servers, proxy) = (Servers::start().await, ForwardProxy::start(&[]).await);
    let names = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "https_proxy"];
    let value = format!("http://alice:hunter2@127.0.0.1:{}", proxy.port());
    let mut options = PodOptions::new();
    options.providers.push(ProviderSection::corp(servers.provider.issuer(), random_key()));
    options.further = format!("token_issuers: [{}]\n", tools(servers.issuer.issuer(), json!({})));
    options.environment.extend(names.map(|name| (name.to_owned(), value.clone())));
    let pod = Pod::start(options).await;
    servers.assert_both_work(&pod).await;
    assert_eq!(proxy.targets(), Vec::<String>::new());
    let log = pod.log();
    let warning = format!("{} are ignored: use `http_proxy` and `no_proxy`", names.join(", "));
    assert_eq!(log.matches(&warning).count(), 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}
