//! The error for wrong settings.

use std::fmt;

/// Everything that is wrong with the settings, in the order of the documentation; never empty.
#[derive(Debug, thiserror::Error)]
pub struct InvalidConfig {
    problems: Vec<Problem>,
}

/// One thing that is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The environment variable.
    pub variable: &'static str,
    /// What is wrong with it: the rest of a sentence that begins with the name of the variable.
    pub what: String,
    /// What is accepted instead.
    pub accepted: String,
    /// The two in one sentence of its own, where that is clearer.
    pub sentence: Option<String>,
}

impl InvalidConfig {
    /// `problems` in the order in which to report them.
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// One problem.
    pub(crate) fn of(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }

    /// The problems, one or more.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sentence {
            Some(sentence) => formatter.write_str(sentence),
            None => {
                write!(formatter, "{} {} (accepted: {})", self.variable, self.what, self.accepted)
            }
        }
    }
}
