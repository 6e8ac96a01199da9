//! Where a credential may stand in a request.

/// One place; its name is the header's, in lower case, or `session` for the session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Authorization,
    XApiKey,
    XLitellmApiKey,
    ApiKey,
    XGoogApiKey,
    Session,
}

/// A set of places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places(u8);

impl Place {
    pub const ALL: [Self; 6] =
        [Self::Authorization, Self::XApiKey, Self::XLitellmApiKey, Self::ApiKey, Self::XGoogApiKey, Self::Session];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::XApiKey => "x-api-key",
            Self::XLitellmApiKey => "x-litellm-api-key",
            Self::ApiKey => "api-key",
            Self::XGoogApiKey => "x-goog-api-key",
            Self::Session => "session",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Places {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self((1 << Place::ALL.len()) - 1);

    pub const fn contains(self, place: Place) -> bool {
        self.0 & place.bit() != 0
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        places.into_iter().fold(Self::NONE, |set, place| Self(set.0 | place.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        assert!(Place::ALL.into_iter().all(|place| Places::ALL.contains(place) && !Places::NONE.contains(place)));
        assert_eq!(Place::ALL.into_iter().collect::<Places>(), Places::ALL);
        let one: Places = [Place::ApiKey].into_iter().collect();
        let two = one.union([Place::Session].into_iter().collect());
        let held: Vec<_> = Place::ALL.into_iter().filter(|place| two.contains(*place)).collect();
        assert_eq!(held, [Place::ApiKey, Place::Session]);
        assert!(Places::NONE.is_empty() && !one.is_empty());
    }

    #[test]
    fn names_are_read_back() {
        for place in Place::ALL {
            assert_eq!(Place::parse(place.as_str()), Some(place));
        }
        assert_eq!(Place::parse("X-Api-Key"), None);
        assert_eq!(Place::parse("cookie"), None);
    }
}
