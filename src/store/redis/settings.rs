//! Settings of the connection to Redis, which the configuration fills.

use std::time::Duration;

use super::{RedisUrl, TlsSettings};
use crate::secret::ConfiguredSecret;

#[derive(Clone, Debug)]
pub struct RedisSettings {
    pub url: RedisUrl,
    pub username: Option<String>,
    pub password: Option<ConfiguredSecret>,
    pub sentinel_username: Option<String>,
    pub sentinel_password: Option<ConfiguredSecret>,
    pub key_prefix: String,
    /// `None` without TLS.
    pub tls: Option<TlsSettings>,
    pub command_timeout: Duration,
}
