//! Quotas for password attempts, shared by all pods. Browsers that have signed in before have their own quota, so that an
//! attacker cannot lock a user out (OWASP's device cookies).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    client_address::ClientAddress,
    secret::{Digest, KeyRing, MacPurpose, random_bytes},
    store::{self, Quota, QuotaUsage, RecordKey, RecordKind, Records, Shard},
};

const MINUTE: u64 = 60;

/// Attempts of one known browser at one account.
const DEVICE_QUOTA: Quota = Quota { limit: 10, window: Duration::from_secs(15 * MINUTE) };

/// Attempts of all other browsers together at one account.
const UNKNOWN_BROWSERS_QUOTA: Quota = Quota { limit: 20, window: Duration::from_secs(60 * MINUTE) };

/// Attempts from one address at one account, so that one address cannot use up the quota of all others.
const ADDRESS_AND_ACCOUNT_QUOTA: Quota = Quota { limit: 10, window: Duration::from_secs(60 * MINUTE) };

/// Attempts from one address at all accounts. An office may share one address.
const ADDRESS_QUOTA: Quota = Quota { limit: 100, window: Duration::from_secs(15 * MINUTE) };

const NONCE_LEN: usize = 16;

/// The origin of an attempt.
pub struct Origin<'a> {
    /// The device cookie's value.
    pub device: Option<&'a str>,
    /// The client's address, if a trusted proxy reports it.
    pub address: Option<ClientAddress>,
}

/// An attempt at an account's password.
pub struct Attempt {
    account: Digest,
    /// The nonce of a valid device cookie for this account.
    device: Option<String>,
    address: Option<ClientAddress>,
}

/// The decision on an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum AttemptDecision {
    Granted,
    Exceeded { retry_after: Duration },
}

/// Creates the value of a device cookie, which marks a browser that has signed in to an account.
pub fn device_cookie(ring: &KeyRing, account: &Digest) -> String {
    let mut value = random_bytes::<NONCE_LEN>().to_vec();
    value.extend(ring.mac(MacPurpose::Device, &[&value, account.as_bytes()]));
    URL_SAFE_NO_PAD.encode(value)
}

impl Attempt {
    pub fn new(ring: &KeyRing, account: Digest, origin: &Origin<'_>) -> Self {
        let device = origin.device.and_then(|cookie| known_device(ring, &account, cookie));
        Self { account, device, address: origin.address }
    }

    /// True if the browser has signed in to the account before.
    pub fn is_by_known_browser(&self) -> bool {
        self.device.is_some()
    }
}

/// Counts an attempt before the password is verified.
pub async fn spend(records: &Records, Attempt { account, device, address }: &Attempt) -> Result<AttemptDecision, store::Error> {
    if let Some(device) = device {
        let key = counter(account, format!("guess:device:{device}"));
        if let QuotaUsage::Within { .. } = records.store().spend(&key, DEVICE_QUOTA).await? {
            return Ok(AttemptDecision::Granted);
        }
        // The browser may still use the quota of unknown browsers.
    }
    if let Some(address) = *address {
        let network = address.network().to_string();
        let network_counter = counter(&Digest::of(network.as_bytes()), format!("guess:address:{network}"));
        let network_and_account_counter = counter(account, format!("guess:account:{}:{network}", account.to_hex()));
        for (key, quota) in [(network_counter, ADDRESS_QUOTA), (network_and_account_counter, ADDRESS_AND_ACCOUNT_QUOTA)] {
            if let QuotaUsage::Exceeded { retry_after } = records.store().spend(&key, quota).await? {
                return Ok(AttemptDecision::Exceeded { retry_after });
            }
        }
    }
    let key = counter(account, format!("guess:account:{}", account.to_hex()));
    Ok(match records.store().spend(&key, UNKNOWN_BROWSERS_QUOTA).await? {
        QuotaUsage::Within { .. } => AttemptDecision::Granted,
        QuotaUsage::Exceeded { retry_after } => AttemptDecision::Exceeded { retry_after },
    })
}

/// Returns the nonce of a device cookie that a pod of this deployment created for this account.
fn known_device(ring: &KeyRing, account: &Digest, cookie: &str) -> Option<String> {
    let value = URL_SAFE_NO_PAD.decode(cookie).ok()?;
    let (nonce, mac) = value.split_at_checked(NONCE_LEN)?;
    ring.verify_mac(MacPurpose::Device, &[nonce, account.as_bytes()], mac).then(|| URL_SAFE_NO_PAD.encode(nonce))
}

fn counter(digest: &Digest, id: String) -> RecordKey {
    RecordKey::new(Shard::of(digest), RecordKind::Counter, id)
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use super::*;
    use crate::{
        clock::{Clock, manual::ManualClock},
        store::MemoryStore,
    };

    fn records(clock: &ManualClock) -> Records {
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        Records::new(Arc::new(MemoryStore::new(Arc::clone(&clock))), Arc::new(KeyRing::ephemeral(clock)), "")
    }

    async fn is_granted(records: &Records, account: &Digest, device: Option<&str>, address: Option<&str>) -> bool {
        let address = address.map(|address| address.parse::<IpAddr>().unwrap().into());
        let tried = Attempt::new(records.ring(), *account, &Origin { device, address });
        spend(records, &tried).await.unwrap() == AttemptDecision::Granted
    }

    #[tokio::test]
    async fn known_browsers_have_their_own_quota_and_unknown_browsers_share_one() {
        let clock = ManualClock::new();
        let records = records(&clock);
        let (ada, bob) = (Digest::of(b"ada"), Digest::of(b"bob"));
        let device = device_cookie(records.ring(), &ada);
        for _ in 0..UNKNOWN_BROWSERS_QUOTA.limit {
            assert!(is_granted(&records, &ada, None, None).await);
        }
        assert!(!is_granted(&records, &ada, None, None).await);
        let other_device = device_cookie(records.ring(), &bob);
        for forged in ["", "x", &other_device, &device[1..]] {
            assert!(!is_granted(&records, &ada, Some(forged), None).await);
        }
        for _ in 0..DEVICE_QUOTA.limit {
            assert!(is_granted(&records, &ada, Some(&device), None).await);
        }
        assert!(!is_granted(&records, &ada, Some(&device), None).await, "then it counts as an unknown browser");
        assert!(is_granted(&records, &bob, None, None).await);
        clock.advance(UNKNOWN_BROWSERS_QUOTA.window);
        assert!(is_granted(&records, &ada, None, None).await);
    }

    #[tokio::test]
    async fn each_address_has_a_quota_across_all_accounts() {
        let records = records(&ManualClock::new());
        for number in 0..ADDRESS_QUOTA.limit {
            let account = Digest::of(&number.to_be_bytes());
            assert!(is_granted(&records, &account, None, Some("2001:db8::1")).await);
        }
        let next = Digest::of(b"next");
        assert!(!is_granted(&records, &next, None, Some("2001:db8::ffff:1")).await, "the same network");
        for other in [Some("2001:db8:0:1::1"), Some("192.0.2.1"), Some("::ffff:192.0.2.1"), None] {
            assert!(is_granted(&records, &next, None, other).await);
        }
    }

    #[tokio::test]
    async fn one_address_does_not_exhaust_the_quota_of_other_addresses() {
        let records = records(&ManualClock::new());
        let ada = Digest::of(b"ada");
        for _ in 0..ADDRESS_AND_ACCOUNT_QUOTA.limit {
            assert!(is_granted(&records, &ada, None, Some("192.0.2.1")).await);
        }
        for _ in 0..2 * UNKNOWN_BROWSERS_QUOTA.limit {
            assert!(!is_granted(&records, &ada, None, Some("192.0.2.1")).await);
        }
        assert!(is_granted(&records, &ada, None, Some("192.0.2.2")).await);
    }
}
