//! The way to the API server: as the pod's ServiceAccount, or as a kubeconfig says.

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("there is neither a ServiceAccount's token in this pod nor a kubeconfig: {0}")]
    Config(#[from] kube::config::InferConfigError),
    #[error("no client for the API server can be made: {0}")]
    Client(#[from] kube::Error),
}
