use rstest::rstest;

use super::*;

#[rstest]
#[case::root("/", Ok("/"))]
#[case::exact("/v1/models", Ok("/v1/models"))]
#[case::trailing_slash("/ui/", Ok("/ui"))]
#[case::wildcards("/files/*/pri?ate", Ok("/files/*/pri?ate"))]
#[case::double_stars("/**/admin/**", Ok("/**/admin/**"))]
#[case::case_is_kept("/V1", Ok("/V1"))]
#[case::other_scripts("/caf\u{e9}", Ok("/caf\u{e9}"))]
#[case::empty("", Err(PathPatternError::Empty))]
#[case::no_slash("ui", Err(PathPatternError::NoSlash))]
#[case::double_star_alone("**", Err(PathPatternError::NoSlash))]
#[case::url("https://a/ui", Err(PathPatternError::NoSlash))]
#[case::doubled_slash("/a//b", Err(PathPatternError::EmptySegment))]
#[case::slashes("//", Err(PathPatternError::EmptySegment))]
#[case::two_trailing_slashes("/a//", Err(PathPatternError::EmptySegment))]
#[case::dot("/a/./b", Err(PathPatternError::DotSegment))]
#[case::double_dot("/a/..", Err(PathPatternError::DotSegment))]
#[case::double_star_in_a_segment("/a/b**", Err(PathPatternError::PartOfSegment))]
#[case::three_stars("/***", Err(PathPatternError::PartOfSegment))]
#[case::percent("/a%2Fb", Err(PathPatternError::Percent))]
#[case::backslash("/a\\*", Err(PathPatternError::Backslash))]
#[case::braces("/{a,b}", Err(PathPatternError::Alternatives))]
#[case::brackets("/[ab]", Err(PathPatternError::Alternatives))]
#[case::number_sign("/a#b", Err(PathPatternError::Fragment))]
#[case::control("/a\u{0}", Err(PathPatternError::Control))]
fn a_path_pattern_is_parsed_or_refused(#[case] text: &str, #[case] expected: Result<&str, PathPatternError>) {
    let parsed = PathPattern::parse(text);
    assert_eq!(parsed.as_ref().map(PathPattern::as_str).map_err(|error| *error), expected);
}

#[test]
fn the_length_of_a_pattern_is_limited() {
    let text = format!("/{}", "a".repeat(MAX_LENGTH));
    assert_eq!(PathPattern::parse(&text), Err(PathPatternError::TooLong));
    assert!(PathPattern::parse(&text[..MAX_LENGTH]).is_ok());
    assert_eq!(HostPattern::parse(&"a".repeat(MAX_LENGTH + 1)), Err(HostPatternError::TooLong));
}

#[rstest]
#[case("llm.example.com", Ok("llm.example.com"))]
#[case("LLM.Example.com.", Ok("llm.example.com"))]
#[case("*.example.com", Ok("*.example.com"))]
#[case("llm-?.example.com", Ok("llm-?.example.com"))]
#[case("my_service", Ok("my_service"))]
#[case("127.0.0.1", Ok("127.0.0.1"))]
#[case("[::1]", Ok("[::1]"))]
#[case("", Err(HostPatternError::Empty))]
#[case("*", Err(HostPatternError::Everything))]
#[case("**", Err(HostPatternError::Everything))]
#[case("**.example.com", Err(HostPatternError::DoubleStar))]
#[case("a:443", Err(HostPatternError::MoreThanHost))]
#[case("::1", Err(HostPatternError::MoreThanHost))]
#[case("https://a", Err(HostPatternError::MoreThanHost))]
#[case("a/ui", Err(HostPatternError::MoreThanHost))]
#[case("a..b", Err(HostPatternError::EmptyLabel))]
#[case(".example.com", Err(HostPatternError::EmptyLabel))]
#[case(".", Err(HostPatternError::EmptyLabel))]
#[case("[::1", Err(HostPatternError::MoreThanHost))]
#[case("[a]", Err(HostPatternError::Character))]
#[case("m\u{fc}nchen.example", Err(HostPatternError::Character))]
#[case("a b", Err(HostPatternError::Character))]
fn a_host_pattern_is_parsed_or_refused(#[case] text: &str, #[case] expected: Result<&str, HostPatternError>) {
    let parsed = HostPattern::parse(text);
    assert_eq!(parsed.as_ref().map(HostPattern::as_str).map_err(|error| *error), expected);
}

#[rstest]
#[case("llm.example.com", "llm.example.com", true)]
#[case("llm.example.com", "LLM.EXAMPLE.COM", true)]
#[case("llm.example.com", "llm.example.com.", true)]
#[case("llm.example.com", "example.com", false)]
#[case("llm.example.com", "xllm.example.com", false)]
#[case("llm.example.com", "llm.example.com.evil", false)]
#[case("*.example.com", "llm.example.com", true)]
#[case("*.example.com", "a.llm.example.com", false)]
#[case("*.example.com", "example.com", false)]
#[case("llm-*.example.com", "llm-eu.example.com", true)]
#[case("llm-?.example.com", "llm-10.example.com", false)]
#[case("[::1]", "[::1]", true)]
fn a_host_is_matched_label_by_label(#[case] pattern: &str, #[case] host: &str, #[case] expected: bool) {
    let pattern = HostPattern::parse(pattern).unwrap();
    assert_eq!(pattern.matches(&normalize_host(host)), expected);
}

#[rstest]
#[case("GET", Ok(()))]
#[case("M-SEARCH", Ok(()))]
#[case("get", Err(MethodError::LowerCase))]
#[case("Get", Err(MethodError::LowerCase))]
#[case("", Err(MethodError::InvalidName))]
#[case("GET POST", Err(MethodError::InvalidName))]
fn a_method_is_an_upper_case_token(#[case] text: &str, #[case] expected: Result<(), MethodError>) {
    assert_eq!(Method::parse(text).map(|method| assert_eq!(method.as_str(), text)), expected);
}

#[rstest]
#[case("GET", "GET", true)]
#[case("GET", "HEAD", true)]
#[case("GET", "get", true)]
#[case("GET", "head", true)]
#[case("HEAD", "GET", false)]
#[case("POST", "HEAD", false)]
#[case("POST", "POST", true)]
#[case("POST", "PUT", false)]
#[case("GET", "GETS", false)]
fn get_matches_head_and_letter_case_is_ignored(#[case] rule: &str, #[case] method: &str, #[case] expected: bool) {
    assert_eq!(Method::parse(rule).unwrap().matches(method), expected);
}
