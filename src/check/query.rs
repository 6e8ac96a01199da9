//! Parses the query of the check endpoint: the gateway's host, restrictions for one route, and options of the answer.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::access::check_route_name;
use crate::origin::{AuthorityError, NamedHost};
use crate::principal::Grant;

/// The query of an auth request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckQuery<'a> {
    /// The host that the gateway serves on this route.
    pub host: Option<NamedHost<'a>>,
    pub restrictions: RouteRestrictions,
    pub echo: Echo,
}

/// `echo`. If enabled, the answer contains the client's cookies and credentials that the upstream may receive, for gateways
/// that can only copy headers from the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Echo {
    #[default]
    Disabled,
    Enabled,
}

/// `allow_roles`, `allow_teams` and `route`. They never allow more than the access rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteRestrictions {
    /// `None` allows every principal. An empty list allows none.
    pub roles: Option<Vec<String>>,
    pub teams: Option<Vec<String>>,
    /// The name of restrictions in the role map.
    pub route: Option<String>,
}

/// The query of an auth request is invalid. Unknown parameters are refused, since they may be meant as restrictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckQueryError {
    #[error("the check's URL has a parameter other than host, route, allow_roles, allow_teams and echo")]
    UnknownParameter,
    #[error("the check's URL names two hosts; use one route for each host")]
    HostRepeated,
    #[error("the check's URL names an invalid host; write a single host name, or an IP address")]
    Host(AuthorityError),
    #[error("the check's URL names two routes; name one of the role map's `routes`")]
    RouteRepeated,
    #[error("the check's URL names an invalid route; a name has 1 to 32 of the letters a-z, digits and -")]
    Route,
    #[error("the check's URL has an echo that is neither true nor false")]
    Echo,
    #[error("the check's URL has a plus sign; write %20 for a space and %2B for a plus sign")]
    Plus,
    #[error("the check's URL has an invalid percent-encoding")]
    Encoding,
    #[error("the check's URL has the client's query; end the URL of Caddy's `uri` with a question mark")]
    OfClient,
}

impl CheckQueryError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownParameter => "unknown_parameter",
            Self::HostRepeated => "host_repeated",
            Self::Host(_) => "host_invalid",
            Self::RouteRepeated => "route_repeated",
            Self::Route => "route_invalid",
            Self::Echo => "invalid_echo",
            Self::Plus => "plus_sign",
            Self::Encoding => "invalid_percent_encoding",
            Self::OfClient => "query_of_client",
        }
    }
}

impl<'a> CheckQuery<'a> {
    /// Parses the query without its question mark. The values of restrictions are separated by commas, and these parameters
    /// may be repeated. A query with nothing but a host is the common case and allocates nothing.
    pub fn parse(query: &'a str) -> Result<Self, CheckQueryError> {
        let mut parsed = Self::default();
        for parameter in query.split('&').filter(|text| !text.is_empty()) {
            let (name, values) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, values) = (decode(name)?, decode(values)?);
            let list = match &*name {
                "allow_roles" => &mut parsed.restrictions.roles,
                "allow_teams" => &mut parsed.restrictions.teams,
                "host" => {
                    parsed.name_host(values)?;
                    continue;
                }
                "route" => {
                    parsed.restrictions.name_route(&values)?;
                    continue;
                }
                "echo" => {
                    parsed.echo = parse_echo(&values)?;
                    continue;
                }
                _ => return Err(CheckQueryError::UnknownParameter),
            };
            let names = values.split(',').map(str::trim).filter(|v| !v.is_empty());
            list.get_or_insert_default().extend(names.map(str::to_owned));
        }
        Ok(parsed)
    }

    /// A second host is refused even if it is the same. It may come from a client that could extend the check's URL.
    fn name_host(&mut self, host: Cow<'a, str>) -> Result<(), CheckQueryError> {
        match self.host.replace(NamedHost::parse(host).map_err(CheckQueryError::Host)?) {
            None => Ok(()),
            Some(_) => Err(CheckQueryError::HostRepeated),
        }
    }
}

impl RouteRestrictions {
    /// A second route is refused like a second host.
    fn name_route(&mut self, name: &str) -> Result<(), CheckQueryError> {
        check_route_name(name).map_err(|_| CheckQueryError::Route)?;
        match self.route.replace(name.to_owned()) {
            None => Ok(()),
            Some(_) => Err(CheckQueryError::RouteRepeated),
        }
    }

    /// True if the grant has one of the roles and one of the teams, as far as the lists restrict them. The named route is
    /// evaluated with the role map.
    pub fn allows(&self, grant: &Grant) -> bool {
        let by_role = self.roles.as_ref().is_none_or(|roles| {
            let role = grant.role.as_ref();
            role.is_some_and(|role| roles.iter().any(|allowed| allowed == role.as_str()))
        });
        let by_team = self.teams.as_ref().is_none_or(|teams| {
            let mut members = grant.teams.iter();
            members.any(|team| teams.iter().any(|allowed| allowed == team.as_str()))
        });
        by_role && by_team
    }
}

fn parse_echo(value: &str) -> Result<Echo, CheckQueryError> {
    match value {
        "true" => Ok(Echo::Enabled),
        "false" => Ok(Echo::Disabled),
        _ => Err(CheckQueryError::Echo),
    }
}

/// Decodes a name or a value. A plus sign is refused because it can mean a space or itself, which would make one team name
/// of another.
fn decode(text: &str) -> Result<Cow<'_, str>, CheckQueryError> {
    if text.contains('+') {
        return Err(CheckQueryError::Plus);
    }
    if !is_percent_encoding_valid(text) {
        return Err(CheckQueryError::Encoding);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| CheckQueryError::Encoding)
}

fn is_percent_encoding_valid(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.bytes().take(2);
        digits.filter(u8::is_ascii_hexdigit).count() == 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{Role, Team};
    use proptest::prelude::*;
    use rstest::rstest;

    fn list(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[rstest]
    #[case::nothing("", None, None)]
    #[case::separators("&&", None, None)]
    #[case::roles("allow_roles=a,b", list(&["a", "b"]), None)]
    #[case::teams("allow_teams=x", None, list(&["x"]))]
    #[case::both("allow_roles=a&allow_teams=x,y", list(&["a"]), list(&["x", "y"]))]
    #[case::repeated("allow_roles=a&allow_roles=b", list(&["a", "b"]), None)]
    #[case::empty("allow_roles=", list(&[]), None)]
    #[case::no_value("allow_teams", None, list(&[]))]
    #[case::commas("allow_roles=,a,,b,", list(&["a", "b"]), None)]
    #[case::spaces("allow_roles=a,%20b%20,%20", list(&["a", "b"]), None)]
    #[case::encoded_comma("allow_roles=a%2Cb", list(&["a", "b"]), None)]
    #[case::encoded_value("allow_teams=data%20science%2fml", None, list(&["data science/ml"]))]
    #[case::encoded_plus("allow_teams=C%2B%2B", None, list(&["C++"]))]
    #[case::encoded_name("allow%5Froles=a", list(&["a"]), None)]
    #[case::beyond_ascii("allow_teams=%C3%BCber", None, list(&["\u{fc}ber"]))]
    #[case::equals_sign("allow_teams=a=b", None, list(&["a=b"]))]
    fn the_query_names_roles_and_teams(
        #[case] query: &str,
        #[case] roles: Option<Vec<String>>,
        #[case] teams: Option<Vec<String>>,
    ) {
        let restrictions = RouteRestrictions { roles, teams, route: None };
        let expected = CheckQuery { host: None, restrictions, echo: Echo::Disabled };
        assert_eq!(CheckQuery::parse(query), Ok(expected.clone()));
        let with_echo = format!("{query}&echo=true");
        assert_eq!(CheckQuery::parse(&with_echo), Ok(CheckQuery { echo: Echo::Enabled, ..expected.clone() }));
        let host = NamedHost::parse("llm.example.com".into()).ok();
        let with_host = format!("host=llm.example.com&{query}");
        assert_eq!(CheckQuery::parse(&with_host), Ok(CheckQuery { host, ..expected }));
    }

    #[rstest]
    #[case("host=llm.example.com")]
    #[case("host=LLM.Example.Com.")]
    #[case("host=llm.example.com:8443")]
    #[case("host=llm%2Eexample%2ecom")]
    #[case("h%6Fst=llm.example.com")]
    #[case("allow_roles=a&host=llm.example.com&echo=true")]
    fn the_query_names_one_host(#[case] query: &str) {
        let host = CheckQuery::parse(query).unwrap().host.unwrap();
        assert!(host.matches("llm.example.com") && !host.matches("docs.example.com"));
    }

    #[rstest]
    #[case("host=a&host=a")]
    #[case("host=a&host=b")]
    #[case("host=a&allow_roles=x&h%6Fst=b")]
    fn a_second_host_is_refused(#[case] query: &str) {
        assert_eq!(CheckQuery::parse(query), Err(CheckQueryError::HostRepeated));
    }

    #[rstest]
    #[case("route=data-1", Ok(Some("data-1")))]
    #[case("host=a&r%6Fute=d%61ta&allow_roles=a", Ok(Some("data")))]
    #[case("allow_roles=a", Ok(None))]
    #[case("route=a&route=a", Err(CheckQueryError::RouteRepeated))]
    #[case("route=a&r%6Fute=b", Err(CheckQueryError::RouteRepeated))]
    #[case("route", Err(CheckQueryError::Route))]
    #[case("route=", Err(CheckQueryError::Route))]
    #[case("route=a,b", Err(CheckQueryError::Route))]
    #[case("route=Data", Err(CheckQueryError::Route))]
    #[case("route=data%20science", Err(CheckQueryError::Route))]
    #[case("route=a&route=B", Err(CheckQueryError::Route))]
    #[case("Route=a", Err(CheckQueryError::UnknownParameter))]
    fn the_query_names_one_route(#[case] query: &str, #[case] expected: Result<Option<&str>, CheckQueryError>) {
        let parsed = CheckQuery::parse(query);
        let route = parsed.as_ref().map(|parsed| parsed.restrictions.route.as_deref()).map_err(|error| *error);
        assert_eq!(route, expected);
        let is_restricted = parsed.is_ok_and(|parsed| parsed.restrictions != RouteRestrictions::default());
        assert_eq!(is_restricted, expected.is_ok());
    }

    #[rstest]
    #[case("host")]
    #[case("host=")]
    #[case("host=a,b")]
    #[case("host=a%2Cb")]
    #[case("host=a&host=")]
    #[case("host=*.example.com")]
    #[case("host=a%40b")]
    #[case("host=a%00")]
    #[case("host=%20a")]
    #[case("host=a/b")]
    #[case("host=https://a")]
    #[case("host=::1")]
    fn a_malformed_host_is_refused(#[case] query: &str) {
        assert!(matches!(CheckQuery::parse(query), Err(CheckQueryError::Host(_))), "{query}");
    }

    #[rstest]
    #[case::typo("allow_role=a", CheckQueryError::UnknownParameter)]
    #[case::case("Allow_Roles=a", CheckQueryError::UnknownParameter)]
    #[case::case_of_host("Host=a", CheckQueryError::UnknownParameter)]
    #[case::other("rd=/", CheckQueryError::UnknownParameter)]
    #[case::no_name("=a", CheckQueryError::UnknownParameter)]
    #[case::one_good("allow_roles=a&allow_team=x", CheckQueryError::UnknownParameter)]
    #[case::semicolon("allow_roles;allow_teams=x", CheckQueryError::UnknownParameter)]
    #[case::second_question_mark("?allow_roles=a", CheckQueryError::UnknownParameter)]
    #[case::space_in_name("allow_roles%20=a", CheckQueryError::UnknownParameter)]
    #[case::echo("echo", CheckQueryError::Echo)]
    #[case::echo_in_capitals("echo=True", CheckQueryError::Echo)]
    #[case::plus("allow_teams=C++", CheckQueryError::Plus)]
    #[case::half_encoded("allow_roles=a%2", CheckQueryError::Encoding)]
    #[case::not_encoded("allow_roles=100%", CheckQueryError::Encoding)]
    #[case::bad_digits("allow_roles=%zz", CheckQueryError::Encoding)]
    #[case::percent_percent("allow_roles=%%41", CheckQueryError::Encoding)]
    #[case::not_utf8("allow_teams=%ff", CheckQueryError::Encoding)]
    fn an_invalid_query_is_refused(#[case] query: &str, #[case] expected: CheckQueryError) {
        assert_eq!(CheckQuery::parse(query), Err(expected));
    }

    #[rstest]
    #[case::unrestricted("", Some("a"), &[], true)]
    #[case::unrestricted_without_role("", None, &[], true)]
    #[case::role("allow_roles=a,b", Some("b"), &[], true)]
    #[case::other_role("allow_roles=a,b", Some("c"), &[], false)]
    #[case::case_of_role("allow_roles=a", Some("A"), &[], false)]
    #[case::no_role("allow_roles=a", None, &[], false)]
    #[case::no_roles_listed("allow_roles=", Some("a"), &[], false)]
    #[case::no_roles_listed_and_none_held("allow_roles", None, &[], false)]
    #[case::team("allow_teams=x", None, &["w", "x"], true)]
    #[case::other_team("allow_teams=x", Some("a"), &["y"], false)]
    #[case::no_team("allow_teams=x", Some("x"), &[], false)]
    #[case::no_teams_listed("allow_teams=", Some("a"), &["x"], false)]
    #[case::both("allow_roles=a&allow_teams=x", Some("a"), &["x"], true)]
    #[case::role_alone("allow_roles=a&allow_teams=x", Some("a"), &["y"], false)]
    #[case::team_alone("allow_roles=a&allow_teams=x", Some("b"), &["x"], false)]
    #[case::team_in_place_of_role("allow_roles=x", Some("a"), &["x"], false)]
    fn restrictions_apply_to_a_grant(
        #[case] query: &str,
        #[case] role: Option<&str>,
        #[case] teams: &[&str],
        #[case] expected: bool,
    ) {
        let grant =
            Grant { role: role.map(Role::new), teams: teams.iter().copied().map(Team::new).collect(), ..Grant::default() };
        let restrictions = CheckQuery::parse(query).unwrap().restrictions;
        assert_eq!(restrictions.allows(&grant), expected);
    }

    proptest! {
        #[test]
        fn any_parameter_restricts(query in "(allow_roles=|allow_teams|=|&|a|,|%2C){0,7}") {
            if let Ok(CheckQuery { restrictions, .. }) = CheckQuery::parse(&query) {
                let has_parameter = query.bytes().any(|byte| byte != b'&');
                prop_assert_eq!(restrictions != RouteRestrictions::default(), has_parameter);
                prop_assert_eq!(restrictions.allows(&Grant::default()), !has_parameter);
            }
        }
    }
}
