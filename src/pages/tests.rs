//! Tests every page in every state: hostile text is escaped, nothing is inline, every field has a label.

mod catalog;
mod every_page;
mod html;
mod samples;

use std::collections::HashSet;

use super::*;
use every_page::{Sample, every_page};
use html::{attribute, inner_of, tags};
use samples::{account, frame, home, password_form, provider};

#[test]
fn hostile_text_is_escaped_on_every_page() {
    for Sample { name, html } in every_page() {
        assert!(html.contains("&#60;script&#62;alert(1)"), "{name}: {html}");
        for raw in ["<script>", "<img src=x", "\" onfocus", "'><", " & </title", "&#38;#"] {
            assert!(!html.contains(raw), "{name}: {raw} in {html}");
        }
        assert_eq!(html.matches("</title>").count(), 1, "{name}: {html}");
    }
}

#[test]
fn no_page_has_inline_styles_or_scripts() {
    for Sample { name, html } in every_page() {
        for inline in ["style=", "<style", "<script>", "javascript:", "data:"] {
            assert!(!html.contains(inline), "{name}: {inline} in {html}");
        }
        for tag in tags(&html) {
            let handler = tag.split_whitespace().find(|part| part.starts_with("on") && part.contains("=\""));
            assert_eq!(handler, None, "{name}: {tag}");
        }
        for script in html.split("<script ").skip(1) {
            assert!(script.starts_with("src=\"/vestibule/assets/") && script.contains("defer></script>"), "{name}: {script}");
        }
    }
}

#[test]
fn every_page_has_a_language_a_title_one_heading_and_a_main_landmark() {
    for Sample { name, html } in every_page() {
        for once in ["<html lang=\"en\" dir=\"ltr\">", "<title>", "<h1>", "<main id=\"main\"", "<header ", "class=\"skip\""] {
            assert_eq!(html.matches(once).count(), 1, "{name}: {once} in {html}");
        }
        assert!(html.starts_with("<!DOCTYPE html>"), "{name}: {html}");
        let title = inner_of(&html, "title").expect("a title");
        assert!(title.contains(" · ") && !title.starts_with(" ·"), "{name}: {title}");
    }
}

#[test]
fn every_page_has_balanced_tags_unique_ids_and_valid_references() {
    for Sample { name, html } in every_page() {
        html::assert_balanced(&name, &html);
        let ids: Vec<String> = tags(&html).filter_map(|tag| attribute(tag, "id")).collect();
        let known: HashSet<&String> = ids.iter().collect();
        assert_eq!(known.len(), ids.len(), "{name}: an id stands twice in {ids:?}");
        for reference in ["aria-labelledby", "aria-describedby"] {
            for named in tags(&html).filter_map(|tag| attribute(tag, reference)) {
                assert!(named.split(' ').all(|id| known.contains(&id.to_owned())), "{name}: {reference} {named}");
            }
        }
    }
}

#[test]
fn every_form_except_the_search_is_a_post_with_a_csrf_token() {
    for Sample { name, html } in every_page() {
        for form in html.split("<form").skip(1).map(|rest| rest.split("</form>").next().expect("a beginning")) {
            let is_search = form.contains("role=\"search\"");
            assert_ne!(is_search, form.contains("method=\"post\""), "{name}: {form}");
            assert_ne!(is_search, form.contains("name=\"csrf\""), "{name}: {form}");
        }
    }
}

#[test]
fn every_visible_field_is_inside_a_label() {
    for Sample { name, html } in every_page() {
        let outside: String =
            html.split("<label").map(|part| part.split_once("</label>").map_or(part, |(_, rest)| rest)).collect();
        for tag in tags(&outside) {
            let field = ["<input", "<select", "<textarea"].iter().any(|field| tag.starts_with(field));
            let hidden = attribute(tag, "type").as_deref() == Some("hidden") || tag.contains(" hidden");
            assert!(!field || hidden, "{name}: {tag}");
        }
    }
}

#[test]
fn danger_buttons_are_inside_details_and_at_most_one_button_is_primary() {
    for Sample { name, html } in every_page() {
        let outside: String =
            html.split("<details").map(|part| part.split_once("</details>").map_or(part, |(_, rest)| rest)).collect();
        assert!(!outside.contains("button danger"), "{name}: {outside}");
        assert!(html.matches("button primary").count() <= 1, "{name}: {html}");
    }
}

#[test]
fn referenced_assets_are_served_as_immutable() {
    let brand = Brand::new("Acme", Some(b"<svg/>".to_vec()), Some("#aa3300")).expect("a brand");
    let frame = Frame::of(&std::sync::Arc::new(brand.clone()));
    let keys = KeysPage { frame: frame.clone(), ..samples::keys_page() };
    let page = render(&keys) + &render(&AccountPage { frame, ..home() });
    let names: HashSet<&str> = page.split(ASSETS).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(names.len(), 4, "style, theme, logo, script: {names:?}");
    for name in names {
        let asset = asset(&brand, name).expect("the page refers to it");
        assert!(asset.cache_control.contains("immutable"), "{name}");
        assert!(!asset.body.is_empty(), "{name}");
    }
}

#[test]
fn only_pages_that_need_a_script_load_one() {
    for Sample { name, html } in every_page() {
        let expected = ["keys", "invitations", "app-key-given-before"].iter().any(|page| name.starts_with(page));
        assert_eq!(html.contains("<script "), expected, "{name}");
        assert!(expected || !html.contains("data-copied"), "{name}: a copy button needs the script");
    }
}

#[test]
fn the_navigation_marks_the_current_page_and_hides_administration_pages_from_users() {
    let at = |administrator| {
        let nav = Nav { name: "Ada".to_owned(), administrator, invites: administrator, current: Some(SitePage::Keys) };
        render(&AccountPage { frame: Frame::default().with_nav(nav), ..home() })
    };
    for page in [at(true), at(false)] {
        assert_eq!(page.matches("aria-current=\"page\"").count(), 1, "{page}");
        assert!(page.contains("<a href=\"/vestibule/keys\" aria-current=\"page\">Keys</a>"), "{page}");
        assert!(page.contains("<a href=\"/sso/logout\">Sign out</a>"), "{page}");
    }
    assert!(at(true).contains("/vestibule/role-map") && !at(false).contains("/vestibule/role-map"));
    assert!(!render(&AccountPage { frame: Frame::default(), ..home() }).contains("<nav"));
}

#[test]
fn one_provider_is_a_button_and_several_providers_are_a_list() {
    let one = render(&SignInPage { frame: frame(), providers: vec![provider()], password: None, notice: None });
    assert!(one.contains("Continue with <bdi>Corp SSO</bdi>"), "{one}");
    let providers = vec![provider(), provider()];
    let two = render(&SignInPage { frame: frame(), providers, password: None, notice: None });
    assert!(!two.contains("Continue with"), "{two}");
    assert_eq!(two.matches("provider=corp&#38;rd=%2F").count(), 2, "{two}");
}

#[test]
fn the_password_button_is_primary_only_without_providers() {
    let page = |providers: Vec<ProviderLink>| {
        render(&SignInPage { frame: frame(), providers, password: Some(password_form(None)), notice: None })
    };
    let alone = page(Vec::new());
    assert!(alone.contains("<button class=\"button primary\" type=\"submit\">Sign in</button>"), "{alone}");
    let beside = page(vec![provider()]);
    let (before, form) = beside.split_once("class=\"or\"").expect("a divider");
    assert!(before.contains("Continue with") && form.contains("name=\"password\"") && !form.contains("primary"), "{beside}");
}

#[test]
fn a_refused_sign_in_keeps_the_email_but_not_the_password() {
    let form = PasswordForm {
        email: "ada@example.com".to_owned(),
        ..password_form(Some(Problem::of("sign-in-problem-wrong").field("password")))
    };
    let page = render(&SignInPage { frame: frame(), providers: Vec::new(), password: Some(form), notice: None });
    assert!(page.contains("name=\"user_email\" value=\"ada@example.com\""), "{page}");
    let password = tags(&page).find(|tag| tag.contains("type=\"password\"")).expect("a field");
    assert_eq!(attribute(password, "value"), None);
    assert!(page.contains("role=\"alert\""), "{page}");
}

#[test]
fn signing_out_is_a_post_with_a_csrf_token() {
    let page = render(&SignOutPage {
        frame: frame(),
        csrf: "token".to_owned(),
        account: account(),
        at_provider: ProviderLogout::Stays,
        action: "/sso/logout".to_owned(),
        stay_href: "/vestibule/".to_owned(),
    });
    assert!(page.contains(r#"method="post" action="/sso/logout""#), "{page}");
    assert!(page.contains(r#"type="hidden" name="csrf" value="token""#), "{page}");
    assert!(page.contains(r#"href="/vestibule/""#), "{page}");
}

#[test]
fn the_account_page_shows_the_rule_that_granted_the_role() {
    let page = |role: Option<&str>, rule: Option<&str>| {
        let account = AccountSummary { name: "Ada".to_owned(), role: role.map(str::to_owned) };
        render(&AccountPage { account, rule: rule.map(GrantRule::of), ..home() })
    };
    assert!(page(Some("customer"), Some("default_role")).contains("Default role, because"));
    assert!(page(Some("customer"), Some("local.user_role")).contains("Granted by the invitation"));
    let ruled = page(Some("customer"), Some("rules[2]"));
    assert!(ruled.contains("Granted by rule <code><bdi>rules[2]</bdi></code>"), "{ruled}");
    assert!(page(None, None).contains("No rule of the role map matches. Ask an administrator"));
}

#[test]
fn the_account_page_shows_the_expiry_and_the_idle_timeout_of_the_session() {
    let page = render(&AccountPage {
        session_ends: "2026-11-30T14:05:59Z".parse().expect("a timestamp"),
        idle_limit: Some(Duration::from_secs(12 * 3_600)),
        ..home()
    });
    assert!(page.contains("<time datetime=\"2026-11-30T14:05:59Z\">30 November 2026, 14:05\u{a0}UTC</time>"), "{page}");
    assert!(page.contains("if it is not used for 12 hours"), "{page}");
}

#[test]
fn a_new_key_is_shown_with_a_copy_button() {
    let created = NewKey { name: "batch".to_owned(), secret: "sk-x".to_owned() };
    let page = render(&KeysPage { created: Some(created), ..samples::keys_page() });
    assert!(page.contains("<code class=\"secret\">sk-x</code><button class=\"button\" type=\"button\" hidden"), "{page}");
}

#[test]
fn the_user_page_explains_missing_permissions_and_offers_no_forms() {
    for (power, explanation) in
        [(EditPermission::Yourself, "This is your own account"), (EditPermission::Above, "has a higher role than you")]
    {
        let page = render(&UserPage { power, ..samples::user() });
        assert!(page.contains(explanation) && !page.contains("<form"), "{page}");
    }
    let may = render(&UserPage { power: EditPermission::May, ..samples::user() });
    for action in ["disable", "end_sessions", "delete"] {
        assert!(may.contains(&format!("name=\"action\" value=\"{action}\"")), "{action}: {may}");
    }
}

#[test]
fn only_open_invitations_can_be_revoked() {
    for (state, offered) in [(InvitationState::Open, 1), (InvitationState::Accepted, 0), (InvitationState::Expired, 0)] {
        let invitations = vec![InvitationRow { state, ..samples::invitation() }];
        let page = render(&InvitationsPage { invitations, ..samples::invitations_page() });
        assert_eq!(page.matches("value=\"withdraw\"").count(), offered, "{state:?}");
    }
}

#[test]
fn the_url_of_a_user_page_contains_only_the_id() {
    let page =
        render(&UsersPage { frame: frame(), users: samples::users(), query: String::new(), is_cut: false, next_href: None });
    let links: Vec<String> =
        tags(&page).filter_map(|tag| attribute(tag, "href")).filter(|href| href.contains("/people/")).collect();
    assert!(!links.is_empty());
    for link in links {
        let id = link.strip_prefix("/vestibule/people/").expect("a user's page");
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.%".contains(c)), "{link}");
    }
}

#[test]
fn the_consent_page_names_the_command_line() {
    let page = render(&AppKeyPage { application: None, ..samples::app_key(ConsentState::GivenBefore) });
    assert!(page.contains("Continue to <bdi>your command line</bdi>"), "{page}");
}
