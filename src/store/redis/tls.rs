//! TLS to Redis: the trusted authorities, a client certificate that is read again, and the name that servers must have.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::{fetch::FileWatch, secret::read_secret_file};

/// The TLS settings of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The system's authorities are trusted if `None`.
    pub ca_file: Option<PathBuf>,
    pub client_certificate: Option<ClientCertificateFiles>,
    /// The name in the servers' certificates, if it is not the host name or address that a client connects to.
    pub server_name: Option<ServerName<'static>>,
}

/// The PEM files of a client certificate with its chain, and of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("store.ca_file {}: {error}", .path.display())]
    Authorities { path: PathBuf, error: String },
    #[error("store.cert_file {}: {error}", .path.display())]
    Certificate { path: PathBuf, error: String },
    #[error("store.key_file {}: {error}", .path.display())]
    Key { path: PathBuf, error: String },
    #[error("no usable CA certificate: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl TlsError {
    /// The problem without the name of its setting.
    pub fn problem(&self) -> String {
        match self {
            Self::Authorities { error, .. } | Self::Certificate { error, .. } | Self::Key { error, .. } => error.clone(),
            Self::Verifier(error) => error.to_string(),
        }
    }
}

impl TlsSettings {
    /// Builds the settings of rustls. A changed client certificate is used for new connections as long as `watches` live.
    pub fn build(&self, watches: &mut Vec<FileWatch>) -> Result<ClientConfig, TlsError> {
        let roots = Arc::new(self.roots()?);
        let builder = match &self.server_name {
            None => ClientConfig::builder().with_root_certificates(roots),
            Some(name) => {
                let verifier = FixedName { inner: WebPkiServerVerifier::builder(roots).build()?, name: name.clone() };
                ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        Ok(match &self.client_certificate {
            None => builder.with_no_client_auth(),
            Some(files) => builder.with_client_cert_resolver(Arc::new(WatchedCertificate::start(files, watches)?)),
        })
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.ca_file else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        let failed = |error: String| TlsError::Authorities { path: path.clone(), error };
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        Ok(roots)
    }
}

impl ClientCertificateFiles {
    /// Reads both files, and checks that they belong together.
    pub fn read(&self) -> Result<ClientCertificate, TlsError> {
        let of_certificate = |error: String| TlsError::Certificate { path: self.certificate.clone(), error };
        let of_key = |error: String| TlsError::Key { path: self.key.clone(), error };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| of_certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(of_certificate("has no certificate in PEM format".to_owned()));
        }
        let pem = read_key(&self.key).map_err(of_key)?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| of_key("has no unencrypted private key in PEM format".to_owned()))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| of_key(format!("does not belong to store.cert_file, or is not supported: {error}")))?;
        Ok(ClientCertificate { certified: Arc::new(certified), pem })
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, String> {
    use secrecy::ExposeSecret;
    read_secret_file(path).map(|key| Zeroizing::new(key.expose_secret().to_owned())).map_err(|error| error.to_string())
}

/// A client certificate with its key.
pub struct ClientCertificate {
    certified: Arc<CertifiedKey>,
    pem: Zeroizing<String>,
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert && self.pem == other.pem
    }
}

/// The current client certificate, for each new connection.
#[derive(Debug)]
struct WatchedCertificate(Arc<ArcSwap<CertifiedKey>>);

impl WatchedCertificate {
    fn start(files: &ClientCertificateFiles, watches: &mut Vec<FileWatch>) -> Result<Self, TlsError> {
        let initial = files.read()?;
        let current = Arc::new(ArcSwap::new(Arc::clone(&initial.certified)));
        let (changed, read) = (Arc::clone(&current), files.clone());
        // A renewal replaces both files in one directory. Between the two writes they do not belong together, and the
        // previous certificate stays in use.
        watches.push(FileWatch::start(
            &files.certificate,
            initial,
            move |_| read.read(),
            move |certificate| {
                changed.store(Arc::clone(&certificate.certified));
                tracing::info!(secret = "store.cert_file", "secret reloaded");
            },
        ));
        Ok(Self(current))
    }
}

impl ResolvesClientCert for WatchedCertificate {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let current = self.0.load_full();
        current.key.choose_scheme(schemes).is_some().then_some(current)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Verifies that a server's certificate has a fixed name. Nodes of a cluster often announce addresses that are not in their
/// certificates.
#[derive(Debug)]
struct FixedName {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for FixedName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(certificate, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
