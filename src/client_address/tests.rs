//! Tests of canonical addresses, of networks and of `X-Forwarded-For`.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn address(text: &str) -> ClientAddress {
    text.parse::<IpAddr>().unwrap().into()
}

fn network(text: &str) -> Result<ProxyNetwork, UnboundedNetworkError> {
    text.parse::<IpNet>().unwrap().try_into()
}

fn proxies(networks: &[&str]) -> TrustedProxies {
    TrustedProxies::new(networks.iter().map(|text| network(text).unwrap()).collect())
}

fn client(networks: &[&str], peer: &str, forwarded_for: &[&[u8]]) -> String {
    proxies(networks).client(address(peer), forwarded_for).to_string()
}

#[rstest]
#[case::no_trusted_proxy(&[], "10.0.0.1", "1.2.3.4", "10.0.0.1")]
#[case::one_proxy(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4", "1.2.3.4")]
#[case::two_proxies(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 10.9.9.9", "1.2.3.4")]
#[case::forged_front(&["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4")]
#[case::with_a_port(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4:5678", "1.2.3.4")]
#[case::in_brackets(&["10.0.0.0/8"], "10.0.0.1", "[2001:db8::1]:443, [2001:db8::2]", "2001:db8::2")]
#[case::with_a_zone(&["10.0.0.0/8"], "10.0.0.1", "fe80::1%eth0", "fe80::1")]
#[case::with_a_zone_in_brackets(&["10.0.0.0/8"], "10.0.0.1", "[fe80::1%25eth0]:443", "fe80::1")]
#[case::mapped_hop(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, ::ffff:10.9.9.9", "1.2.3.4")]
#[case::mapped_hop_with_a_port(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, [::FFFF:10.9.9.9]:80", "1.2.3.4")]
#[case::mapped_hop_in_hexadecimal(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 0:0:0:0:0:ffff:a09:909", "1.2.3.4")]
#[case::mapped_peer(&["10.0.0.0/8"], "::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4")]
#[case::mapped_client(&["10.0.0.0/8"], "::ffff:10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4")]
#[case::mapped_network(&["::ffff:10.0.0.0/104"], "10.0.0.1", "1.2.3.4", "1.2.3.4")]
#[case::mapped_network_and_peer(&["::ffff:10.0.0.0/104"], "::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4")]
#[case::other_mapped_peer(&["10.0.0.0/8"], "::ffff:11.0.0.1", "1.2.3.4", "11.0.0.1")]
#[case::ipv4_compatible_is_not_mapped(&["10.0.0.0/8"], "::10.0.0.1", "1.2.3.4", "::a00:1")]
#[case::garbage(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, x", "10.0.0.1")]
#[case::unknown(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, unknown", "10.0.0.1")]
#[case::empty_element(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, ", "10.0.0.1")]
#[case::brackets_around_ipv4(&["10.0.0.0/8"], "10.0.0.1", "[1.2.3.4]", "10.0.0.1")]
#[case::a_zone_of_ipv4(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4%eth0", "10.0.0.1")]
#[case::a_wrong_port(&["10.0.0.0/8"], "10.0.0.1", "[::1]:x, 1.2.3.4:99999", "10.0.0.1")]
#[case::leading_zeros(&["10.0.0.0/8"], "10.0.0.1", "01.2.3.4", "10.0.0.1")]
#[case::untrusted_peer(&["10.0.0.0/8"], "9.9.9.9", "1.2.3.4", "9.9.9.9")]
#[case::all_trusted(&["10.0.0.0/8"], "10.0.0.1", "10.0.0.3", "10.0.0.3")]
fn the_client_is_the_last_address_that_is_no_trusted_proxy(
    #[case] trusted: &[&str],
    #[case] peer: &str,
    #[case] forwarded: &str,
    #[case] expected: &str,
) {
    assert_eq!(client(trusted, peer, &[forwarded.as_bytes()]), expected);
}

#[test]
fn several_lines_are_one_list_and_a_line_that_is_no_text_is_not_skipped() {
    let trusted = ["10.0.0.0/8"];
    assert_eq!(client(&trusted, "10.0.0.1", &[b"6.6.6.6", b"1.2.3.4", b"10.0.0.2, 10.0.0.3"]), "1.2.3.4");
    assert_eq!(client(&trusted, "10.0.0.1", &[b"6.6.6.6", b"\xff, 1.2.3.4"]), "1.2.3.4");
    assert_eq!(client(&trusted, "10.0.0.1", &[b"6.6.6.6", b"\xff"]), "10.0.0.1");
    assert_eq!(client(&trusted, "10.0.0.1", &[b"6.6.6.6", b""]), "10.0.0.1");
}

#[test]
fn a_client_is_only_reported_by_a_trusted_proxy() {
    let reported = |trusted: &[&str], peer: &str| proxies(trusted).reported_client(address(peer), &[b"1.2.3.4"]);
    assert_eq!(reported(&["10.0.0.0/8"], "::ffff:10.0.0.1"), Some(address("1.2.3.4")));
    assert_eq!(reported(&["10.0.0.0/8"], "192.0.2.1"), Some(address("192.0.2.1")), "a client without the proxy");
    assert_eq!(reported(&[], "10.0.0.1"), None);
}

#[rstest]
#[case::a_node("10.0.0.7", Some("10.0.0.7"))]
#[case::the_farthest_of_several("10.0.0.7, 10.0.0.8, 10.0.0.9", Some("10.0.0.7"))]
#[case::the_proxy_itself("10.0.0.1", Some("10.0.0.1"))]
#[case::after_text("unknown, 10.0.0.8", Some("10.0.0.8"))]
#[case::only_text("10.0.0.7, unknown", None)]
#[case::empty("", None)]
fn a_client_within_the_trusted_networks_is_the_farthest_reported_address(
    #[case] forwarded: &str,
    #[case] expected: Option<&str>,
) {
    let trusted = proxies(&["10.0.0.0/8"]);
    assert_eq!(trusted.reported_client(address("10.0.0.1"), &[forwarded.as_bytes()]), expected.map(address));
    assert_eq!(trusted.reported_client(address("10.0.0.1"), &[]), None, "all clients would share the proxy's address");
}

#[rstest]
#[case("::ffff:10.0.0.0/104", "10.0.0.0/8")]
#[case("::ffff:192.0.2.1/128", "192.0.2.1/32")]
#[case("::ffff:128.0.0.0/97", "128.0.0.0/1")]
#[case("fd00::/8", "fd00::/8")]
#[case("::10.0.0.0/104", "::10.0.0.0/104")]
fn a_network_has_one_form(#[case] text: &str, #[case] canonical: &str) {
    assert_eq!(network(text).unwrap().0, canonical.parse::<IpNet>().unwrap());
}

#[test]
fn a_network_with_every_address_of_a_family_is_refused() {
    for text in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96", "::/1", "::/64", "::fffe:0:0/95"] {
        assert_eq!(network(text), Err(UnboundedNetworkError), "{text}");
    }
}

#[test]
fn loopback_is_detected_in_both_notations() {
    for (text, expected) in [("127.0.0.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("::ffff:10.0.0.1", false)] {
        assert_eq!(is_loopback(text.parse().unwrap()), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn both_notations_are_one_address_and_one_network(bits in any::<u32>(), prefix in 1_u8..=32) {
        let ipv4 = Ipv4Addr::from_bits(bits);
        let mapped = IpAddr::from(ipv4.to_ipv6_mapped());
        prop_assert_eq!(ClientAddress::from(mapped), ClientAddress::from(IpAddr::from(ipv4)));
        prop_assert_eq!(ClientAddress::from(mapped).network(), ClientAddress::from(IpAddr::from(ipv4)).network());
        let plain = ProxyNetwork::try_from(IpNet::new(ipv4.into(), prefix).unwrap().trunc());
        let as_ipv6 = ProxyNetwork::try_from(IpNet::new(mapped, prefix + MAPPED_BITS).unwrap().trunc());
        prop_assert_eq!(plain, as_ipv6);
        prop_assert!(plain.unwrap().contains(mapped.into()));
        for hop in [ipv4.to_string(), format!("{ipv4}:1"), format!("[{mapped}]:65535"), format!("{mapped}"), format!(" {mapped}%0 ")] {
            prop_assert_eq!(ClientAddress::parse_hop(hop.as_bytes()), Some(ClientAddress::from(IpAddr::from(ipv4))));
        }
    }

    #[test]
    fn no_bytes_panic_and_a_peer_that_is_no_proxy_is_the_client(values in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(client(&["10.0.0.0/8"], "::ffff:192.0.2.1", &values), "192.0.2.1");
        let _ = client(&["10.0.0.0/8"], "10.0.0.1", &values);
    }
}
