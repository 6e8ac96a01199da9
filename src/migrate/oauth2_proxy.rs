//! Converts the options of oauth2-proxy to a configuration and a role map.
//!
//! [`input`] reads options from files, variables and flags, [`option`] lists all of them with their counterparts, and the other
//! modules write one part of the result each. A secret is never printed: the configuration refers to a file.

mod access;
mod alpha;
mod configuration;
mod input;
mod option;
mod provider;
mod restriction;
mod role_map;
mod store;
#[cfg(test)]
mod tests;
mod values;

pub use self::input::{Options, flags_of_text};
use self::option::{Form, OptionEffect};
use crate::yaml::emit::Map;

/// The settings that no option of oauth2-proxy contains.
#[derive(Clone, Debug)]
pub struct OptionSettings {
    /// The origin that browsers use; by default from `redirect-url`.
    pub public_url: Option<String>,
    /// The directory of the role map, and of files with secrets that the options contain as text.
    pub directory: String,
}

#[derive(Clone, Debug)]
pub struct OptionConversion {
    /// Remarks about options without a counterpart, and about further steps.
    pub remarks: Vec<String>,
    pub configuration: Map,
    pub role_map: Map,
    pub role_map_file: String,
}

/// Converts the options, or returns all reasons why they have no conversion.
pub fn convert(options: &Options, settings: &OptionSettings) -> Result<OptionConversion, Vec<String>> {
    let mut remarks = vec![
        "Converted from oauth2-proxy. Register the redirect URI /sso/callback at the provider, and review who may sign in."
            .to_owned(),
    ];
    let provider = provider::convert(options, settings, &mut remarks);
    let public_url = configuration::public_url(options, settings);
    let (provider, public_url) = match (provider, public_url) {
        (Ok(provider), Ok(public_url)) => (provider, public_url),
        (provider, public_url) => return Err(provider.err().into_iter().chain(public_url.err()).collect()),
    };
    let role_map_file = format!("{}/roles.yaml", settings.directory.trim_end_matches('/'));
    let role_map = role_map::convert(options, &provider, &mut remarks)?;
    let configuration = configuration::convert(options, settings, &public_url, provider, &role_map_file, &mut remarks);
    remarks.extend(without_counterpart(options));
    Ok(OptionConversion { remarks, configuration, role_map, role_map_file })
}

/// Renders the options, and the fields of the alpha configuration, as Markdown for the documentation.
pub fn reference() -> String {
    option::reference() + &alpha::reference()
}

/// Returns a remark for each option that is set and not converted. Its value may be a secret and is not repeated.
fn without_counterpart(options: &Options) -> Vec<String> {
    let is_relevant = |entry: &&option::OptionEntry| {
        let is_off = entry.form == Form::Switch && entry.effect == OptionEffect::Missing && !options.is_on(entry.flag);
        entry.effect != OptionEffect::Converted && options.is_set(entry.flag) && !is_off
    };
    let remarks = option::all().filter(is_relevant).map(|entry| format!("{} is not converted: {}", entry.flag, entry.text));
    options.remarks().iter().cloned().chain(remarks).collect()
}
