//! The texts of the pages, by message id. The English ones are in `templates/text/en.ftl`.
//!
//! A translation is one more such file. It begins with its own `language`, which also selects the plural rules. Pages show
//! the messages that it leaves out in English.

use std::{
    fmt,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use unic_langid::LanguageIdentifier;

const ENGLISH_SOURCE: &str = include_str!("../../templates/text/en.ftl");

static ENGLISH: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse(ENGLISH_SOURCE.to_owned()).expect("a test reads the same file"));
static TRANSLATION: OnceLock<Catalog> = OnceLock::new();

/// The value of a message's placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextValue {
    Text(String),
    /// A number, which selects singular or plural.
    Count(u64),
}

/// A message and its values. It is formatted when it is shown.
#[derive(Debug, Clone)]
pub struct Text {
    id: String,
    values: Vec<(&'static str, TextValue)>,
}

/// The messages of one language.
struct Catalog {
    bundle: FluentBundle<FluentResource>,
    ids: Vec<String>,
}

/// The mistakes of a translation, one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub struct CatalogError(pub Vec<String>);

/// The message of this id in the language of the pages.
pub fn text(id: &str, values: &[(&'static str, TextValue)]) -> String {
    let mut args = FluentArgs::with_capacity(values.len());
    for (name, value) in values {
        args.set(*name, value);
    }
    let translated = TRANSLATION.get().and_then(|catalog| catalog.format_message(id, &args).ok().flatten());
    translated.unwrap_or_else(|| format_english(id, &args))
}

/// Sets the translation. Only the first call has an effect, so it must come before the first page.
pub fn translate(source: String) -> Result<(), CatalogError> {
    let _ = TRANSLATION.set(read(source)?);
    Ok(())
}

/// Checks a translation.
pub fn check(source: String) -> Result<(), CatalogError> {
    read(source).map(drop)
}

fn read(source: String) -> Result<Catalog, CatalogError> {
    let catalog = Catalog::parse(source)?;
    let unknown = catalog.ids.iter().filter(|id| !ENGLISH.bundle.has_message(id));
    let unknown: Vec<String> = unknown.map(|id| format!("{id}: no page says this.")).collect();
    if unknown.is_empty() { Ok(catalog) } else { Err(CatalogError(unknown)) }
}

/// A date in UTC, because the user's time zone is unknown.
pub fn date(at: Timestamp) -> String {
    text("date", &date_values(&at.to_zoned(TimeZone::UTC)))
}

/// A date and a time.
pub fn date_time(at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    let mut values = date_values(&at);
    values.extend([("hour", two_digits(at.hour())), ("minute", two_digits(at.minute()))]);
    text("date-time", &values)
}

/// A duration in the largest unit that divides it. Fractions of a second are dropped.
pub fn duration(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400, "duration-days"), (3_600, "duration-hours"), (60, "duration-minutes"), (1, "duration-seconds")];
    let seconds = duration.as_secs();
    let (size, unit) =
        UNITS.into_iter().find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size)).unwrap_or((1, "duration-seconds"));
    text(unit, &[("count", TextValue::Count(seconds / size))])
}

/// A waiting time, rounded up to a useful unit.
pub fn wait(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let step = match seconds {
        0..=120 => 1,
        121..=7_200 => 60,
        _ => 3_600,
    };
    duration(Duration::from_secs(seconds.max(1).div_ceil(step) * step))
}

fn format_english(id: &str, args: &FluentArgs<'_>) -> String {
    let message = ENGLISH.format_message(id, args);
    debug_assert!(matches!(message, Ok(Some(_))), "{id}: {message:?}");
    message.ok().flatten().unwrap_or_else(|| id.to_owned())
}

fn date_values(at: &Zoned) -> Vec<(&'static str, TextValue)> {
    let number = |part: i16| TextValue::Count(part.unsigned_abs().into());
    vec![("day", number(at.day().into())), ("month", number(at.month().into())), ("year", number(at.year()))]
}

fn two_digits(part: i8) -> TextValue {
    TextValue::Text(format!("{part:02}"))
}

impl Text {
    pub fn of(id: impl Into<String>) -> Self {
        Self { id: id.into(), values: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<TextValue>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// Formats a message that contains HTML. Its values are escaped, the message itself is not.
    pub fn as_html(&self) -> String {
        let escaped: Vec<_> = self.values.iter().map(|(name, value)| (*name, value.escape())).collect();
        text(&self.id, &escaped)
    }
}

/// Lets filters of templates take a text or a reference to one.
impl AsRef<Text> for Text {
    fn as_ref(&self) -> &Text {
        self
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.id, &self.values))
    }
}

impl TextValue {
    fn escape(&self) -> Self {
        let Self::Text(text) = self else { return self.clone() };
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '&' | '<' | '>' | '"' | '\'' => escaped.push_str(&format!("&#{};", u32::from(character))),
                _ => escaped.push(character),
            }
        }
        Self::Text(escaped)
    }
}

impl From<&str> for TextValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for TextValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for TextValue {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<'a> From<&'a TextValue> for FluentValue<'a> {
    fn from(value: &'a TextValue) -> Self {
        match value {
            TextValue::Text(text) => Self::from(text.as_str()),
            TextValue::Count(count) => Self::from(*count),
        }
    }
}

impl Catalog {
    fn parse(source: String) -> Result<Self, CatalogError> {
        let language = language_of(&source)?;
        let ids = ids_of(&source).map(str::to_owned).collect();
        let resource = FluentResource::try_new(source).map_err(|(_, errors)| CatalogError::of(&errors))?;
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        bundle.set_use_isolating(false);
        bundle.add_resource(resource).map_err(|errors| CatalogError::of(&errors))?;
        Ok(Self { bundle, ids })
    }

    /// `Ok(None)` if there is no such message, an error if a placeholder has no value.
    fn format_message(&self, id: &str, args: &FluentArgs<'_>) -> Result<Option<String>, CatalogError> {
        let message = self.bundle.get_message(id);
        let Some(pattern) = message.and_then(|message| message.value()) else { return Ok(None) };
        let mut errors = Vec::new();
        let formatted = self.bundle.format_pattern(pattern, Some(args), &mut errors).into_owned();
        if errors.is_empty() { Ok(Some(formatted)) } else { Err(CatalogError::of(&errors)) }
    }
}

/// A message begins with its id at the beginning of a line; nothing else of the syntax does.
fn ids_of(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let id = line.split_once('=')?.0.trim_end();
        let is_id = id.starts_with(|c: char| c.is_ascii_alphabetic()) && !id.contains(|c: char| c.is_whitespace());
        is_id.then_some(id)
    })
}

fn language_of(source: &str) -> Result<LanguageIdentifier, CatalogError> {
    let declared = |line: &str| Some(line.strip_prefix("language")?.trim_start().strip_prefix('=')?.trim().to_owned());
    let language = source.lines().find_map(declared).and_then(|language| language.parse().ok());
    language.ok_or_else(|| CatalogError(vec!["language: must say the language of the messages, such as en".to_owned()]))
}

impl CatalogError {
    fn of(errors: &[impl fmt::Display]) -> Self {
        Self(errors.iter().map(|error| format!("{error}.")).collect())
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl std::error::Error for CatalogError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted_in_their_largest_whole_unit() {
        for (seconds, words) in
            [(0, "0 seconds"), (1, "1 second"), (60, "1 minute"), (5_400, "90 minutes"), (86_400, "1 day"), (604_800, "7 days")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn waiting_times_are_rounded_up_to_a_useful_unit() {
        for (milliseconds, words) in
            [(0, "1 second"), (400, "1 second"), (47_000, "47 seconds"), (121_000, "3 minutes"), (7_201_000, "3 hours")]
        {
            assert_eq!(wait(Duration::from_millis(milliseconds)), words, "{milliseconds}");
        }
    }

    #[test]
    fn dates_have_the_month_as_a_word_and_the_time_zone() {
        let at = "2026-01-09T08:05:00Z".parse().expect("a timestamp");
        assert_eq!(date(at), "9 January 2026");
        assert_eq!(date_time(at), "9 January 2026, 08:05\u{a0}UTC");
    }

    #[test]
    fn values_in_html_messages_are_escaped_and_the_message_is_not() {
        let html = Text::of("rule-named").with("rule", "<a href='x'>&\"").as_html();
        assert_eq!(html, "Granted by rule <code><bdi>&#60;a href=&#39;x&#39;&#62;&#38;&#34;</bdi></code>");
    }

    #[test]
    fn a_translation_uses_its_own_plural_rules_and_may_omit_messages() {
        let polish = "language = pl\nperson-keys = { $count ->\n    [one] klucz\n    [few] klucze\n   *[many] kluczy\n}\n";
        let catalog = Catalog::parse(polish.to_owned()).expect("a catalog");
        for (count, words) in [(1_u64, "klucz"), (3, "klucze"), (5, "kluczy")] {
            let mut args = FluentArgs::new();
            args.set("count", count);
            assert_eq!(catalog.format_message("person-keys", &args), Ok(Some(words.to_owned())));
        }
        assert_eq!(catalog.format_message("email", &FluentArgs::new()), Ok(None));
    }

    #[test]
    fn an_invalid_translation_is_rejected() {
        for (source, mistake) in [
            ("email = E-Mail\n", "language: must say"),
            ("language = de\nemial = E-Mail\n", "emial: no page says this."),
            ("language = de\nemail = { $\n", "."),
            ("language = de\nemail = x\nemail = y\n", "."),
        ] {
            let error = translate(source.to_owned()).expect_err(source).to_string();
            assert!(error.contains(mistake), "{source}: {error}");
        }
    }

    #[test]
    fn a_translated_message_with_a_missing_value_is_an_error() {
        let catalog = Catalog::parse("language = de\nemail = { $email }\n".to_owned()).expect("a catalog");
        assert!(catalog.format_message("email", &FluentArgs::new()).is_err());
    }
}
