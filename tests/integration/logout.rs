//! Signing out: confirmed on a page, effective on every pod, continued at the identity provider.

mod all_pods;
mod backchannel;
mod forged_logouts;
mod frontchannel;
mod provider;
mod scripted_fleet;
mod store_outage;

use crate::support::agent::{Agent, Form, Page};
use crate::support::auth_request::SECRET_HEADER;
use crate::support::pod::Pod;

/// The form of the sign-out page at this origin: nginx's or a pod's own.
async fn sign_out_form(agent: &Agent, origin: &str) -> Form {
    let page = agent.get(&format!("{origin}/sso/logout")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("<title>Sign out "), "{}", page.body);
    page.form()
}

/// Opens the sign-out page and confirms; returns the answer, normally a redirect.
pub async fn sign_out(agent: &Agent, origin: &str) -> Page {
    let form = sign_out_form(agent, origin).await;
    agent.submit(&form, &[]).await
}

fn origin_of(pod: &Pod) -> String {
    pod.public("")
}

async fn session_status(agent: &Agent, origin: &str) -> u16 {
    agent.get(&format!("{origin}/sso/session")).await.status
}

/// The status of an auth request with the cookie line on this pod.
async fn check_status(agent: &Agent, pod: &Pod, cookie: &str) -> u16 {
    let headers = [("x-original-url", "http://localhost/ui/"), ("x-original-method", "GET"), SECRET_HEADER, ("cookie", cookie)];
    agent.get_with(&pod.check("/auth/nginx"), &headers).await.status
}

/// The values of the session cookie that the answer sets.
fn session_cookies(page: &Page) -> Vec<&str> {
    page.set_cookies().into_iter().filter(|line| line.starts_with("vestibule=")).collect()
}

#[track_caller]
fn assert_removes_the_session_cookie(page: &Page) {
    let [line] = session_cookies(page)[..] else { panic!("not one session cookie: {:?}", page.headers) };
    for part in ["vestibule=;", "Path=/", "Max-Age=0", "HttpOnly", "SameSite=Lax"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[track_caller]
fn assert_refused(page: &Page, status: u16) {
    assert_eq!(page.status, status, "{}", page.body);
    assert_eq!(session_cookies(page), Vec::<&str>::new());
    assert!(page.location().is_none());
}
