//! Headers of other gateway families, which a client sends and the gateway passes on.

use super::*;

/// Values that would change the request if a dialect read them.
const HOSTILE: [&[u8]; 8] = [
    b"https://evil.example/admin",
    b"DELETE",
    b"http",
    b"evil.example",
    b"/admin",
    b"",
    b"\xff\xfe",
    b"llm.example.com, evil.example",
];

fn foreign(sample: &Sample) -> impl Iterator<Item = GatewayHeader> {
    GatewayHeader::ALL.into_iter().filter(|header| !sample.reads(*header))
}

#[test]
fn headers_of_other_families_have_no_influence() {
    for sample in SAMPLES {
        let expected = sample.parse_with(sample.headers);
        assert!(expected.is_ok());
        for value in HOSTILE {
            let hostile: Vec<_> = foreign(&sample).map(|header| (header, value)).collect();
            let twice = [&hostile, &hostile, sample.headers].concat();
            assert_eq!(sample.parse_with(&twice), expected, "{:?}", sample.dialect);
            let alone = sample.parse_with(&hostile);
            assert!(alone.is_err(), "{:?}: {alone:?}", sample.dialect);
        }
    }
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let written = "(https?|wss?)?(://)?(llm|evil)?(\\.example\\.com)?(:[0-9]{0,3})?/?[a-z/.%?#@]{0,9}";
    prop_oneof![written.prop_map(String::into_bytes), any::<Vec<u8>>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// This also holds if the dialect's own headers are malformed, missing or repeated.
    #[test]
    fn random_headers_of_other_families_never_change_the_request(
        sample in 0..SAMPLES.len(),
        own in proptest::collection::vec((0..GatewayHeader::ALL.len(), any_value()), 0..3),
        others in proptest::collection::vec((0..GatewayHeader::ALL.len(), any_value()), 1..9),
        is_complete in any::<bool>(),
    ) {
        let sample = &SAMPLES[sample];
        let named = |(index, value): &(usize, Vec<u8>)| (GatewayHeader::ALL[*index], value.clone());
        let own: Vec<_> = own.iter().map(named).filter(|(header, _)| sample.reads(*header)).collect();
        let others: Vec<_> = others.iter().map(named).filter(|(header, _)| !sample.reads(*header)).collect();
        let sent = if is_complete { sample.headers } else { &[] };
        let own = own.iter().map(|(header, value)| (*header, value.as_slice()));
        let own: Vec<_> = sent.iter().copied().chain(own).collect();
        let others: Vec<_> = others.iter().map(|(header, value)| (*header, value.as_slice())).collect();
        let (before, after) = ([&others[..], &own].concat(), [&own[..], &others].concat());
        let expected = sample.parse_with(&own);
        prop_assert_eq!(sample.parse_with(&before), expected.clone());
        prop_assert_eq!(sample.parse_with(&after), expected);
    }

    #[test]
    fn envoys_target_is_taken_byte_for_byte(path in "/[!-\"$->@-~]{0,24}", query in proptest::option::of("[!-\"$-~]{0,24}")) {
        let written = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let target = format!("/auth/envoy/llm.example.com{written}");
        let (request, gateway) = parse(&target, "GET", ENVOY).unwrap();
        prop_assert_eq!((request.path, request.query), (path.as_str(), query.as_deref()));
        prop_assert_eq!(gateway, parse("/auth/envoy/llm.example.com/", "GET", ENVOY).unwrap().1);
    }

    #[test]
    fn no_bytes_panic(target in "/auth/(nginx|traefik|caddy|envoy|haproxy|apisix)[ -~\u{e9}]{0,20}", value in any_value()) {
        let headers: Vec<_> = GatewayHeader::ALL.into_iter().map(|header| (header, value.as_slice())).collect();
        let (path, query) = target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
        if CheckUrl::find(path, query, None).is_some() {
            let _ = parse(&target, "GET", &headers);
        }
    }
}
