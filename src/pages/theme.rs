//! Derives colors from the operator's accent color that are readable on light and on dark (WCAG 2.2, level AA).

use std::fmt;

/// The minimum contrast of text and its background.
const TEXT: f64 = 4.5;
/// The minimum contrast of a focus ring, or of the edge of a button, and its surroundings.
const EDGE: f64 = 3.0;

const BLACK: Color = Color([0, 0, 0]);
const WHITE: Color = Color([255, 255, 255]);

/// The text is not a color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorError;

/// Red, green and blue of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Color([u8; 3]);

/// The background colors of the stylesheet. A test compares them with it.
struct Background {
    page: Color,
    surface: Color,
    hover: Color,
    text: Color,
    muted: Color,
    /// The color that others are mixed with until they stand out from the background.
    away: Color,
}

/// The colors of the accent on one background.
#[derive(Debug)]
struct Accent {
    button: Color,
    button_hover: Color,
    on_button: Color,
    /// The edge of a button; darker or lighter than the button if that hardly stands out.
    edge: Color,
    /// The color of links, the logo and the focus ring.
    link: Color,
    notice: Color,
    notice_line: Color,
}

const LIGHT: Background = Background {
    page: Color([0xf7, 0xf8, 0xfa]),
    surface: WHITE,
    hover: Color([0xf0, 0xf2, 0xf6]),
    text: Color([0x1a, 0x1d, 0x23]),
    muted: Color([0x56, 0x5d, 0x6a]),
    away: BLACK,
};
const DARK: Background = Background {
    page: Color([0x0f, 0x11, 0x14]),
    surface: Color([0x16, 0x19, 0x1e]),
    hover: Color([0x1f, 0x23, 0x2a]),
    text: Color([0xe6, 0xe8, 0xec]),
    muted: Color([0x9f, 0xa7, 0xb4]),
    away: WHITE,
};

/// The stylesheet that puts this accent, written as `#rrggbb`, in the place of the usual one.
pub fn css(accent: &str) -> Result<String, ColorError> {
    let accent = Color::parse(accent).ok_or(ColorError)?;
    let light = Accent::on(&LIGHT, accent).declarations();
    let dark = Accent::on(&DARK, accent).declarations();
    Ok(format!(":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"))
}

impl Accent {
    fn on(ground: &Background, accent: Color) -> Self {
        let grounds = [ground.page, ground.surface, ground.hover];
        let on_button = accent.readable_on();
        let notice = ground.find_tint(accent);
        let link =
            accent.mix_until(ground.away, |color| grounds.iter().chain([&notice]).all(|ground| color.contrast(*ground) >= TEXT));
        let stands_out = [ground.page, ground.surface].iter().all(|ground| accent.contrast(*ground) >= EDGE);
        Self {
            button: accent,
            button_hover: accent.hover_shade(on_button),
            on_button,
            edge: if stands_out { accent } else { link },
            link,
            notice,
            notice_line: ground.surface.mix(accent, 0.3),
        }
    }

    fn declarations(&self) -> String {
        let named = [
            ("accent", self.button),
            ("accent-hover", self.button_hover),
            ("on-accent", self.on_button),
            ("accent-edge", self.edge),
            ("link", self.link),
            ("notice", self.notice),
            ("notice-line", self.notice_line),
        ];
        named.map(|(name, color)| format!("--{name}:{color}")).join(";")
    }
}

impl Background {
    /// Returns the surface mixed with the largest part of the accent on which text stays readable.
    fn find_tint(&self, accent: Color) -> Color {
        let readable = |tint: Color| [self.text, self.muted].iter().all(|text| text.contrast(tint) >= TEXT);
        let parts = [0.1, 0.08, 0.06, 0.04, 0.02].map(|part| self.surface.mix(accent, part));
        parts.into_iter().find(|tint| readable(*tint)).unwrap_or(self.surface)
    }
}

impl Color {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
        let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
        // `from_str_radix` takes a sign.
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
        Some(Self([part(0)?, part(2)?, part(4)?]))
    }

    /// WCAG's relative luminance.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// WCAG's contrast ratio, from 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Returns white if it is readable on this color, and black otherwise.
    fn readable_on(self) -> Self {
        if self.contrast(WHITE) >= TEXT { WHITE } else { BLACK }
    }

    fn mix(self, other: Self, part: f64) -> Self {
        let mut result = self.0;
        for (own, other) in result.iter_mut().zip(other.0) {
            let value = f64::from(*own) * (1.0 - part) + f64::from(other) * part;
            *own = value.round() as u8;
        }
        Self(result)
    }

    /// Returns the first mix with the other color that is sufficient, or the other color itself.
    fn mix_until(self, other: Self, is_sufficient: impl Fn(Self) -> bool) -> Self {
        const STEPS: u8 = 50;
        let shades = (0..=STEPS).map(|step| self.mix(other, f64::from(step) / f64::from(STEPS)));
        shades.into_iter().find(|color| is_sufficient(*color)).unwrap_or(other)
    }

    /// Returns a shade that differs visibly and keeps the text readable. It prefers shades away from the text color.
    fn hover_shade(self, text: Self) -> Self {
        let (away, toward) = if text == WHITE { (BLACK, WHITE) } else { (WHITE, BLACK) };
        let is_sufficient = |shade: &Self| shade.contrast(self) >= 1.08 && shade.contrast(text) >= TEXT;
        let mut shades = [(away, 0.14), (toward, 0.14), (away, 0.3)].map(|(to, part)| self.mix(to, part)).into_iter();
        shades.find(is_sufficient).unwrap_or_else(|| self.mix(away, 0.3))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl fmt::Display for ColorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be written as #rrggbb, such as #4353c9")
    }
}

impl std::error::Error for ColorError {}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = include_str!("../../templates/style.css");

    /// A grid of colors with all hues, shades and grays.
    fn colors() -> impl Iterator<Item = Color> {
        let steps = || (0..=255_u8).step_by(15);
        steps().flat_map(move |red| steps().flat_map(move |green| steps().map(move |blue| Color([red, green, blue]))))
    }

    /// A property of the stylesheet, in light and in dark.
    fn in_style(name: &str) -> [Color; 2] {
        let values: Vec<&str> = STYLE.split(&format!("  --{name}: ")).skip(1).filter_map(|rest| rest.split(';').next()).collect();
        let expanded = |text: &str| match text.len() {
            4 => text.chars().flat_map(|c| std::iter::repeat_n(c, if c == '#' { 1 } else { 2 })).collect(),
            _ => text.to_owned(),
        };
        let colors: Vec<Color> = values.iter().filter_map(|text| Color::parse(&expanded(text))).collect();
        colors.try_into().unwrap_or_else(|colors| panic!("--{name}: {colors:?} of {values:?}"))
    }

    #[test]
    fn every_accent_is_readable_on_light_and_dark_backgrounds() {
        for accent in colors() {
            for ground in [&LIGHT, &DARK] {
                let colors = Accent::on(ground, accent);
                let pairs = [
                    (colors.on_button, colors.button, TEXT),
                    (colors.on_button, colors.button_hover, TEXT),
                    (colors.link, ground.page, TEXT),
                    (colors.link, ground.surface, TEXT),
                    (colors.link, ground.hover, TEXT),
                    (colors.link, colors.notice, TEXT),
                    (ground.text, colors.notice, TEXT),
                    (ground.muted, colors.notice, TEXT),
                    (colors.edge, ground.page, EDGE),
                    (colors.edge, ground.surface, EDGE),
                ];
                for (one, other, least) in pairs {
                    assert!(one.contrast(other) >= least, "{accent}: {one} on {other}: {}: {colors:?}", one.contrast(other));
                }
                assert_ne!(colors.button, colors.button_hover, "{accent}");
            }
        }
    }

    #[test]
    fn a_button_has_exactly_the_configured_color() {
        for accent in ["#ffe600", "#c0392b", "#101040"] {
            assert_eq!(css(accent).expect("a color").matches(&format!("--accent:{accent}")).count(), 2);
        }
    }

    #[test]
    fn the_colors_of_the_stylesheet_are_readable() {
        for scheme in [0, 1] {
            let color = |name: &str| in_style(name)[scheme];
            let grounds = ["page", "surface", "hover", "notice"];
            for text in ["text", "muted", "link", "danger", "good"] {
                for ground in grounds {
                    let contrast = color(text).contrast(color(ground));
                    assert!(contrast >= TEXT, "--{text} on --{ground} of scheme {scheme}: {contrast}");
                }
            }
            for ground in ["accent", "accent-hover"] {
                assert!(color("on-accent").contrast(color(ground)) >= TEXT, "--{ground} of scheme {scheme}");
            }
            for edge in ["accent-edge", "field-line"] {
                for ground in ["page", "surface"] {
                    assert!(color(edge).contrast(color(ground)) >= EDGE, "--{edge} of scheme {scheme}");
                }
            }
        }
    }

    #[test]
    fn the_background_colors_match_the_stylesheet() {
        let grounds = [&LIGHT, &DARK];
        assert_eq!(in_style("page"), grounds.map(|ground| ground.page));
        assert_eq!(in_style("surface"), grounds.map(|ground| ground.surface));
        assert_eq!(in_style("hover"), grounds.map(|ground| ground.hover));
        assert_eq!(in_style("text"), grounds.map(|ground| ground.text));
        assert_eq!(in_style("muted"), grounds.map(|ground| ground.muted));
    }

    #[test]
    fn invalid_colors_are_rejected() {
        for text in ["", "red", "4353c9", "#4353c", "#4353c9ff", "#+353c9", "#ggg000", "#é353c", "#4353c9;}"] {
            assert_eq!(css(text), Err(ColorError), "{text:?}");
        }
    }
}
