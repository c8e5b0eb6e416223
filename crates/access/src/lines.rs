//! Understands the lines of the datasets that questions are about.
