//! Warns about LiteLLM's single sign-on variables and names the field that replaces each one.

/// Returns one warning per LiteLLM variable, ordered by name. The values are not read.
pub fn warnings<'v>(names: impl Iterator<Item = &'v str>) -> Vec<String> {
    let mut found: Vec<_> = names.filter_map(|name| Some((name, replacement(name)?))).collect();
    found.sort_unstable();
    found.iter().map(|(name, replacement)| format!("{name} is a LiteLLM variable and is ignored: {replacement}")).collect()
}

const ISSUER: &str = "`providers[].issuer` discovers it";
const CLAIMS: &str = "claims have their standard names, and the role map maps them to roles and teams (`role_map.file`)";
const SECRET: &str = "use `providers[].client_secret_file`";

const REPLACEMENTS: &[(&str, &str)] = &[
    ("ALLOWED_EMAIL_DOMAINS", "the role map decides who may sign in (`role_map.file`)"),
    ("AUTO_REDIRECT_UI_LOGIN_TO_SSO", "not needed, since with one entry in `providers` users have no choice to make"),
    (
        "GENERIC_AUTHORIZATION_ENDPOINT",
        "`providers[].issuer` discovers it; to override it, or with `kind: oauth2`, use `providers[].authorization_endpoint`",
    ),
    ("GENERIC_CLIENT_ID", "use `providers[].client_id`"),
    ("GENERIC_CLIENT_SECRET", SECRET),
    ("GENERIC_CLIENT_STATE", "not needed, since every login has a random state"),
    ("GENERIC_CLIENT_USE_PKCE", "not needed, since PKCE is always on"),
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
        "`providers[].issuer` discovers it; to override it, or with `kind: oauth2`, use `providers[].token_endpoint`",
    ),
    (
        "GENERIC_USERINFO_ENDPOINT",
        "`providers[].issuer` discovers it; to override it, or with `kind: oauth2`, use `providers[].userinfo_endpoint`",
    ),
    (
        "GENERIC_USER_DISPLAY_NAME_ATTRIBUTE",
        "OpenID Connect uses `preferred_username`; with `kind: oauth2` use `providers[].preferred_username_field`",
    ),
    ("GENERIC_USER_EMAIL_ATTRIBUTE", "OpenID Connect uses `email`; with `kind: oauth2` use `providers[].email_field`"),
    ("GENERIC_USER_ID_ATTRIBUTE", "OpenID Connect uses `sub`; with `kind: oauth2` use `providers[].subject_field`"),
    ("GENERIC_USER_ROLE_MAPPINGS", "use `rules` in the role map (`role_map.file`)"),
    ("GOOGLE_CLIENT_ID", "use `providers[].client_id` with `issuer: https://accounts.google.com`"),
    ("GOOGLE_CLIENT_SECRET", SECRET),
    ("MICROSOFT_AUTHORIZATION_ENDPOINT", ISSUER),
    ("MICROSOFT_CLIENT_ID", "use `providers[].client_id` with `issuer: https://login.microsoftonline.com/{tenant}/v2.0`"),
    ("MICROSOFT_CLIENT_SECRET", SECRET),
    ("MICROSOFT_TENANT", "use `providers[].issuer: https://login.microsoftonline.com/{tenant}/v2.0`"),
    ("MICROSOFT_TOKEN_ENDPOINT", ISSUER),
    ("MICROSOFT_USERINFO_ENDPOINT", ISSUER),
    ("MICROSOFT_USER_DISPLAY_NAME_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_EMAIL_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_FIRST_NAME_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_ID_ATTRIBUTE", CLAIMS),
    ("MICROSOFT_USER_LAST_NAME_ATTRIBUTE", CLAIMS),
    ("PROXY_ADMIN_ID", "the role map decides who is an administrator (`role_map.file`)"),
    ("PROXY_BASE_URL", "use `public_url`"),
    (
        "PROXY_LOGOUT_URL",
        "not needed, since a sign-out continues at the provider; see `providers[].logout` and `providers[].end_session_endpoint`",
    ),
    ("UI_PASSWORD", "administrators sign in through a provider"),
    ("UI_USERNAME", "administrators sign in through a provider"),
];

fn replacement(name: &str) -> Option<&'static str> {
    let known = REPLACEMENTS.iter().find(|(known, _)| *known == name).map(|(_, replacement)| *replacement);
    let is_attribute = name.starts_with("GENERIC_USER_") && (name.ends_with("_ATTRIBUTE") || name.ends_with("_ATTRIBUTES"));
    known.or(is_attribute.then_some(CLAIMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_gets_one_warning_that_names_the_field() {
        let names = ["PATH", "PROXY_BASE_URL", "GENERIC_USER_ROLE_ATTRIBUTE", "GENERIC_CLIENT_USE_PKCE", "GENERIC_CLIENT_IDS"];
        let expected = [
            "GENERIC_CLIENT_USE_PKCE is a LiteLLM variable and is ignored: not needed, since PKCE is always on".to_owned(),
            format!("GENERIC_USER_ROLE_ATTRIBUTE is a LiteLLM variable and is ignored: {CLAIMS}"),
            "PROXY_BASE_URL is a LiteLLM variable and is ignored: use `public_url`".to_owned(),
        ];
        assert_eq!(warnings(names.into_iter()), expected);
    }

    #[test]
    fn every_variable_of_the_table_has_one_warning() {
        let names: std::collections::BTreeSet<_> = REPLACEMENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), REPLACEMENTS.len());
        assert_eq!(warnings(names.into_iter()).len(), REPLACEMENTS.len());
    }

    #[test]
    fn every_variable_of_the_table_is_documented() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-litellm.md");
        let page = std::fs::read_to_string(page).unwrap();
        let missing: Vec<_> = REPLACEMENTS.iter().filter(|(name, _)| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
