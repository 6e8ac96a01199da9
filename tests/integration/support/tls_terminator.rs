//! Accepts TLS for names in `.internal` and forwards to a plain HTTP server.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::certificates::{make_authority, make_certificate};
use super::scratch::Scratch;
use super::{install_crypto, ports};

pub struct TlsTerminator {
    port: u16,
    scratch: Scratch,
    accepting: JoinHandle<()>,
}

impl TlsTerminator {
    /// `names` are the names in the certificate, such as `DNS:idp.internal`.
    pub async fn start(names: &str, server: u16) -> Self {
        let scratch = Scratch::new("tls");
        make_authority(scratch.path());
        make_certificate(scratch.path(), "server", names);
        let port = ports::free();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is reserved for this server");
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(configuration(&scratch))), server));
        Self { port, scratch, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn ca_file(&self) -> PathBuf {
        self.scratch.path().join("ca.crt")
    }
}

impl Drop for TlsTerminator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn configuration(scratch: &Scratch) -> ServerConfig {
    install_crypto();
    let file = |name: &str| scratch.path().join(name);
    let certificate = CertificateDer::from_pem_file(file("server.crt")).expect("openssl wrote a certificate");
    let key = PrivateKeyDer::from_pem_file(file("server.key")).expect("openssl wrote a key");
    let builder = ServerConfig::builder().with_no_client_auth();
    builder.with_single_cert(vec![certificate], key).expect("the key belongs to the certificate")
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, server: u16) {
    while let Ok((client, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut client = acceptor.accept(client).await.ok()?;
            let mut server = TcpStream::connect(("127.0.0.1", server)).await.ok()?;
            copy_bidirectional(&mut client, &mut server).await.ok()
        });
    }
}
