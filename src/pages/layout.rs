//! What is round every page: the site's name and logo, and the way to the other pages.

use std::sync::Arc;

use super::{
    Brand,
    assets::{CONTINUE_SCRIPT, PAGE_SCRIPT, STYLE},
};

/// What is round a page. The default has the usual brand and nobody signed in.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    pub brand: Arc<Brand>,
    /// The way to the other pages, for who is signed in.
    pub nav: Option<Nav>,
}

/// Who is signed in, and where they are.
#[derive(Debug, Clone)]
pub struct Nav {
    /// The name, the email or the subject: whichever is known first.
    pub name: String,
    /// Whether they get to see the administrators' pages.
    pub administrator: bool,
    /// Whether there is a page of invitations for them: without local accounts there is none.
    pub invites: bool,
    /// None on pages that stand in no list.
    pub current: Option<Place>,
}

/// A page that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Account,
    Keys,
    Sessions,
    SignIn,
    People,
    Invitations,
    RoleMap,
}

impl Frame {
    pub fn of(brand: &Arc<Brand>) -> Self {
        Self { brand: Arc::clone(brand), nav: None }
    }

    #[must_use]
    pub fn with_nav(self, nav: Nav) -> Self {
        Self { nav: Some(nav), ..self }
    }

    pub(super) fn style_href(&self) -> String {
        STYLE.href()
    }

    pub(super) fn invites(&self) -> bool {
        self.nav.as_ref().is_some_and(|nav| nav.invites)
    }

    pub(super) fn page_script(&self) -> String {
        PAGE_SCRIPT.href()
    }

    pub(super) fn continue_script(&self) -> String {
        CONTINUE_SCRIPT.href()
    }
}

impl Nav {
    /// What administrators have besides their own.
    pub(super) fn administration(&self) -> impl Iterator<Item = Place> {
        [Place::People, Place::Invitations, Place::RoleMap]
            .into_iter()
            .filter(|place| self.invites || *place != Place::Invitations)
    }

    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.current.as_ref() == Some(place)
    }
}

impl Place {
    /// What everybody has.
    pub const OWN: [Self; 4] = [Self::Account, Self::Keys, Self::Sessions, Self::SignIn];

    /// The page's address, which its forms are posted to as well.
    pub const fn href(self) -> &'static str {
        match self {
            Self::Account => "/vestibule/",
            Self::Keys => "/vestibule/keys",
            Self::Sessions => "/vestibule/sessions",
            Self::SignIn => "/vestibule/sign-in",
            Self::People => "/vestibule/people",
            Self::Invitations => "/vestibule/invitations",
            Self::RoleMap => "/vestibule/role-map",
        }
    }

    /// The id of its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Account => "nav-account",
            Self::Keys => "nav-keys",
            Self::Sessions => "nav-sessions",
            Self::SignIn => "nav-sign-in",
            Self::People => "nav-people",
            Self::Invitations => "nav-invitations",
            Self::RoleMap => "nav-role-map",
        }
    }
}
