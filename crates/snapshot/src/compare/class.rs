//! The classes of changes.

use crate::resource::named;

named! {
    /// What a change is about, most important first. Its order is the one in which the class of a record is chosen.
    Class, "class":
    /// Who can do what.
    Access = "access",
    /// How people and programs prove who they are, and what could become access.
    Security = "security",
    /// What people and things are called, and everything else.
    Identity = "identity",
    /// What changes with every use.
    Activity = "activity",
}

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes(u8);

impl Classes {
    /// No class.
    pub const NONE: Self = Self(0);
    /// Every class.
    pub const ALL: Self = Self(0b1111);
    /// The classes that a reader usually asks for: access and security.
    pub const DEFAULT: Self = Self(0b11);

    /// Whether the class is in the set.
    #[must_use]
    pub const fn has(self, class: Class) -> bool {
        self.0 & 1 << class as u8 != 0
    }

    /// Whether the sets have a class in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Its classes, most important first.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.iter().copied().filter(move |&class| self.has(class))
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<T: IntoIterator<Item = Class>>(classes: T) -> Self {
        Self(classes.into_iter().fold(0, |set, class| set | 1 << class as u8))
    }
}
