//! Defines the errors of connecting to the API server by the pod's ServiceAccount or a kubeconfig.

/// The reason why no client for the API server exists.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("found neither a ServiceAccount token in this pod nor a kubeconfig: {0}")]
    Config(#[from] kube::config::InferConfigError),
    #[error("failed to create a client for the API server: {0}")]
    Client(#[from] kube::Error),
}
