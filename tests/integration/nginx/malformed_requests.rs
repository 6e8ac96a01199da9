//! Malformed requests of one client do not stop the pods for others: nginx keeps sending requests to every pod.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;

use crate::support::fleet::Fleet;
use crate::support::raw_http;

/// Before, the first good request failed after about 450 malformed ones.
const MALFORMED: usize = 3000;
const ATTACKERS: usize = 8;

/// Requests that nginx forwards and a pod's HTTP parser refuses.
fn malformed(path: &str, number: usize) -> Vec<u8> {
    let headers = match number % 2 {
        0 => "A: \u{1b}\r\n".to_owned(),
        _ => (0..150).map(|header| format!("X-{header}: y\r\n")).collect(),
    };
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_good_request_fails_during_malformed_ones() {
    let fleet = Fleet::builder().pods(3).cluster().idp().nginx().start().await;
    let port = fleet.nginx().port();
    for path in ["/sso/session", "/ui/"] {
        let (sent, ended, refused) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        let attack = async || {
            loop {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= MALFORMED {
                    return;
                }
                let answer = raw_http::send_bytes(port, &malformed(path, number)).await;
                if answer.is_some_and(|answer| answer.status >= 400) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let good = async || {
            let mut statuses = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                statuses.push(raw_http::send(port, "GET", path, &[]).await.status);
            }
            statuses
        };
        let attacks = async {
            join_all((0..ATTACKERS).map(|_| attack())).await;
            ended.store(true, Ordering::Relaxed);
        };
        let ((), first, second) = tokio::join!(attacks, good(), good());
        let statuses = [first, second].concat();
        assert!(statuses.len() > 20 && statuses.iter().all(|status| *status == 401), "{path}: {statuses:?}");
        assert!(refused.load(Ordering::Relaxed) > MALFORMED / 2, "{path}: {refused:?}");
    }
}
