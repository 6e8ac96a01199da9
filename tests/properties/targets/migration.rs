//! Manifests of Ingresses and options of oauth2-proxy: they are refused with a reason, or the output is YAML that our reader accepts.

use vestibule::migrate::ingress::{self, IngressSettings, Input, Target};
use vestibule::migrate::oauth2_proxy::{self, OptionSettings, Options};
use vestibule::yaml::{Subset, parse_stream};

pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for target in [Target::Traefik, Target::EnvoyGateway, Target::GatewayApi, Target::Nginx] {
        convert_manifests(&text, target);
    }
    let mut options = Options::default();
    let result = options.read_config(&text);
    assert!(result.is_ok() || result.is_err_and(|error| !error.is_empty()));
    let result = options.read_alpha(&text);
    assert!(result.is_ok() || result.is_err_and(|error| !error.is_empty()));
    let settings =
        OptionSettings { public_url: Some("https://llm.example.com".to_owned()), directory: "/etc/vestibule".to_owned() };
    match oauth2_proxy::convert(&options, &settings) {
        Ok(conversion) => {
            assert_yaml(&conversion.configuration.document(), &text);
            assert_yaml(&conversion.role_map.document(), &text);
        }
        Err(mistakes) => assert!(!mistakes.is_empty(), "{text:?}"),
    }
}

fn convert_manifests(text: &str, target: Target) {
    let mut manifests = Input::default();
    if let Err(error) = manifests.read(text) {
        return assert!(!error.to_string().is_empty(), "{text:?}");
    }
    let settings = IngressSettings {
        target,
        namespace: "llm".to_owned(),
        vestibule: "auth/door".parse().ok(),
        gateway: "gateways/public".parse().ok(),
        dropped: ["configuration-snippet".to_owned()].into(),
    };
    let conversion = ingress::convert(manifests, &settings);
    assert!(conversion.refusals.iter().all(|refusal| !refusal.reasons.is_empty()), "{text:?}");
    assert_yaml(&conversion.text(), text);
}

fn assert_yaml(output: &str, text: &str) {
    let parsed = parse_stream(output, Subset::Plain);
    assert!(parsed.mistakes.is_empty(), "{text:?}: {output}: {:?}", parsed.mistakes);
}
