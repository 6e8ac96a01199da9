//! LiteLLM's single sign-on variables: people who come from there learn which field of ours does it.

/// One warning for each of LiteLLM's variables, in the order of the names. Their values are not looked at.
pub fn warnings<'v>(names: impl Iterator<Item = &'v str>) -> Vec<String> {
    let mut found: Vec<_> = names.filter_map(|name| Some((name, answer(name)?))).collect();
    found.sort_unstable();
    found.iter().map(|(name, answer)| format!("{name} is LiteLLM's and not read here: {answer}")).collect()
}

const ISSUER: &str = "`providers[].issuer` finds it by discovery";
const CLAIMS: &str = "claims have their standard names here, and a role map turns them into roles and teams (`role_map.file`)";
const SECRET: &str = "use `providers[].client_secret_file`";

const ANSWERS: &[(&str, &str)] = &[
    ("ALLOWED_EMAIL_DOMAINS", "who may enter is said by the role map (`role_map.file`)"),
    ("AUTO_REDIRECT_UI_LOGIN_TO_SSO", "with one entry in `providers` there is no choice to make; leave it out"),
    (
        "GENERIC_AUTHORIZATION_ENDPOINT",
        "`providers[].issuer` finds it by discovery; by hand, or with `kind: oauth2`, it is `providers[].authorization_endpoint`",
    ),
    ("GENERIC_CLIENT_ID", "use `providers[].client_id`"),
    ("GENERIC_CLIENT_SECRET", SECRET),
    ("GENERIC_CLIENT_STATE", "every login has a random state of its own; leave it out"),
    ("GENERIC_CLIENT_USE_PKCE", "PKCE is always on; leave it out"),
    ("GENERIC_INCLUDE_CLIENT_ID", "use `providers[].token_endpoint_auth_method: client_secret_post`"),
    ("GENERIC_ROLE_MAPPINGS_DEFAULT_ROLE", "use `default_role` in the role map (`role_map.file`)"),
    ("GENERIC_ROLE_MAPPINGS_GROUP_CLAIM", "use `rules` in the role map (`role_map.file`)"),
    ("GENERIC_ROLE_MAPPINGS_ROLES", "use `rules` in the role map (`role_map.file`)"),
    ("GENERIC_SCOPE", "use `providers[].scopes`"),
    (
        "GENERIC_SSO_HEADERS",
        "no headers are added to the provider's requests; use `providers[].authorization_params` for its parameters",
    ),
    (
        "GENERIC_TOKEN_ENDPOINT",
        "`providers[].issuer` finds it by discovery; by hand, or with `kind: oauth2`, it is `providers[].token_endpoint`",
    ),
    (
        "GENERIC_USERINFO_ENDPOINT",
        "`providers[].issuer` finds it by discovery; by hand, or with `kind: oauth2`, it is `providers[].userinfo_endpoint`",
    ),
    (
        "GENERIC_USER_DISPLAY_NAME_ATTRIBUTE",
        "OpenID Connect has `preferred_username` for it; with `kind: oauth2` use `providers[].preferred_username_field`",
    ),
    ("GENERIC_USER_EMAIL_ATTRIBUTE", "OpenID Connect has `email` for it; with `kind: oauth2` use `providers[].email_field`"),
    ("GENERIC_USER_ID_ATTRIBUTE", "OpenID Connect names people by `sub`; with `kind: oauth2` use `providers[].subject_field`"),
    ("GENERIC_USER_ROLE_MAPPINGS", "use `rules` in the role map (`role_map.file`)"),
    ("GOOGLE_CLIENT_ID", "use `providers[].client_id` with `issuer: https://accounts.google.com`"),
    ("GOOGLE_CLIENT_SECRET", SECRET),
    ("MICROSOFT_AUTHORIZATION_ENDPOINT", ISSUER),
    ("MICROSOFT_CLIENT_ID", "use `providers[].client_id` with `issuer: https://login.microsoftonline.com/{tenant}/v2.0`"),
    ("MICROSOFT_CLIENT_SECRET", SECRET),
    ("MICROSOFT_TENANT", "write it into `providers[].issuer: https://login.microsoftonline.com/{tenant}/v2.0`"),
    ("MICROSOFT_TOKEN_ENDPOINT", ISSUER),
    ("MICROSOFT_USERINFO_ENDPOINT", ISSUER),
    ("MICROSOFT_USER_DISPLAY_NAME_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_EMAIL_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_FIRST_NAME_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_ID_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_LAST_NAME_ATTRIBUTE", CLAIMS),
    ("PROXY_ADMIN_ID", "who is an administrator is said by the role map (`role_map.file`)"),
    ("PROXY_BASE_URL", "use `public_url`"),
    (
        "PROXY_LOGOUT_URL",
        "sign-out goes on to the provider by itself; see `providers[].logout` and `providers[].end_session_endpoint`",
    ),
    ("UI_PASSWORD", "administrators sign in through a provider"),
    ("UI_USERNAME", "administrators sign in through a provider"),
];

fn answer(name: &str) -> Option<&'static str> {
    let known = ANSWERS.iter().find(|(known, _)| *known == name).map(|(_, answer)| *answer);
    let is_attribute = name.starts_with("GENERIC_USER_") && (name.ends_with("_ATTRIBUTE") || name.ends_with("_ATTRIBUTES"));
    known.or(is_attribute.then_some(CLAIMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_gets_one_warning_that_names_our_field() {
        let names = ["PATH", "PROXY_BASE_URL", "GENERIC_USER_ROLE_ATTRIBUTE", "GENERIC_CLIENT_USE_PKCE", "GENERIC_CLIENT_IDS"];
        let expected = [
            "GENERIC_CLIENT_USE_PKCE is LiteLLM's and not read here: PKCE is always on; leave it out".to_owned(),
            format!("GENERIC_USER_ROLE_ATTRIBUTE is LiteLLM's and not read here: {CLAIMS}"),
            "PROXY_BASE_URL is LiteLLM's and not read here: use `public_url`".to_owned(),
        ];
        assert_eq!(warnings(names.into_iter()), expected);
    }

    #[test]
    fn every_variable_of_the_table_is_answered_once() {
        let names: std::collections::BTreeSet<_> = ANSWERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), ANSWERS.len());
        assert_eq!(warnings(names.into_iter()).len(), ANSWERS.len());
    }

    #[test]
    fn every_variable_of_the_table_is_documented() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-litellm.md");
        let page = std::fs::read_to_string(page).unwrap();
        let missing: Vec<_> = ANSWERS.iter().filter(|(name, _)| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
