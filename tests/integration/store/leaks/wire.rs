//! The traffic between the pods and the provider's token endpoint.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::pod::PodOptions;

/// A proxy in front of the provider's token endpoint that records the traffic.
pub struct RecordingProxy {
    port: u16,
    target: tokio::sync::watch::Sender<Option<u16>>,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl RecordingProxy {
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (target, targets) = tokio::sync::watch::channel(None);
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut targets, kept) = (targets.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let port = targets.wait_for(Option::is_some).await.ok()?.expect("wait_for found a port");
                    let server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::join!(copy(from_client, to_server, &kept), copy(from_server, to_client, &kept));
                    Some(())
                });
            }
        });
        Self { port, target, seen }
    }

    /// Configures this port as the token endpoint, and the other endpoints as in the discovery document.
    pub fn put_between(&self, pod: &mut PodOptions) {
        let provider = &mut pod.providers[0];
        let issuer = provider.issuer.clone();
        provider.further = vec![
            format!("authorization_endpoint: {issuer}/auth"),
            format!("token_endpoint: {}", self.instead_of(&format!("{issuer}/token"))),
            format!("jwks_uri: {issuer}/jwks"),
            format!("userinfo_endpoint: {}", self.instead_of(&format!("{issuer}/me"))),
        ];
    }

    fn instead_of(&self, address: &str) -> Url {
        let mut url = Url::parse(address).expect("an address");
        url.set_port(Some(self.port)).expect("http has ports");
        url
    }

    /// Sets the target, and asserts that the provider's endpoints are the configured ones.
    pub async fn lead_to(&self, fleet: &Fleet) {
        let issuer = fleet.idp().issuer();
        let discovery = http_client().get(format!("{issuer}/.well-known/openid-configuration")).send().await;
        let discovery: Value = discovery.expect("the provider is there").json().await.expect("JSON");
        let endpoints =
            ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"].map(|name| discovery[name].as_str());
        assert_eq!(
            endpoints,
            ["auth", "token", "jwks", "me"].map(|path| format!("{issuer}/{path}")).each_ref().map(|url| Some(url.as_str()))
        );
        self.target.send_replace(Url::parse(issuer).expect("an address").port());
    }

    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("no holder panics")).into_owned()
    }
}

async fn copy(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, kept: &Mutex<Vec<u8>>) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        kept.lock().expect("no holder panics").extend_from_slice(&buffer[..length]);
        to.write_all(&buffer[..length]).await.ok()?;
    }
}
