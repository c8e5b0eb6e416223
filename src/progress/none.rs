//! No display: the function has no terminal, and is built without one.

use std::convert::Infallible;

#[derive(Debug)]
pub(super) struct Display(Infallible);

impl Display {
    pub(super) const fn on_terminal() -> Option<Self> {
        None
    }

    pub(super) const fn unseen() -> Option<Self> {
        None
    }

    pub(super) fn message(&self) -> String {
        match self.0 {}
    }

    pub(super) fn set_message(&self, _message: String) {
        match self.0 {}
    }

    pub(super) fn suspend(&self, _write: impl FnOnce()) {
        match self.0 {}
    }

    pub(super) fn finish(&self) {
        match self.0 {}
    }
}
