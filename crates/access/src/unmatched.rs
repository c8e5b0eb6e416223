//! Arguments that nothing in the snapshot matches, and what they were probably meant to be.

use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::resource::Dataset;
use serde::Serialize;

/// An argument that nothing in the snapshot matches, so that an empty answer is no surprise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// The argument's name, such as `in`.
    pub argument: &'static str,
    /// Its value.
    pub value: String,
    /// What it was probably meant to be, if there is something of nearly that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// The dataset that lists what there is.
    #[serde(skip)]
    listed_in: Option<Dataset>,
}

impl Unmatched {
    /// An argument of this name.
    #[must_use]
    pub fn new(argument: &'static str, value: &str) -> Self {
        Self { argument, value: value.to_owned(), nearest: None, listed_in: None }
    }

    /// The same, with what it was probably meant to be, or else the first of these datasets that the snapshot has and
    /// that lists what there is.
    #[must_use]
    pub fn suggesting(
        self,
        nearest: Option<&str>,
        listed_in: &[Dataset],
        manifest: &Manifest,
    ) -> Self {
        let mut there = listed_in.iter().filter(|dataset| manifest.datasets.contains_key(dataset));
        Self { nearest: nearest.map(str::to_owned), listed_in: there.next().copied(), ..self }
    }

    /// A sentence for a person. A history is about several snapshots.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (argument, value) = (self.argument, &self.value);
        let where_ = if argument == "id" { "these snapshots" } else { "this snapshot" };
        let what = match argument {
            "in" | "role" | "user" => format!("--{argument} {value:?}"),
            "id" => format!("{value:?}"),
            _ => format!("the {argument} {value:?}"),
        };
        let to_do = match (&self.nearest, self.listed_in) {
            (Some(nearest), _) => format!(" Did you mean {nearest}?"),
            (None, Some(dataset)) => {
                format!(" clerk-access export {dataset} lists those that there are.")
            }
            (None, None) => String::new(),
        };
        format!("Nothing in {where_} matches {what}.{to_do}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: an argument is called as it is written on the command line.
    #[test]
    fn options_are_called_by_their_names() {
        for (argument, told) in [
            ("in", "Nothing in this snapshot matches --in \"x\"."),
            ("user", "Nothing in this snapshot matches --user \"x\"."),
            ("person", "Nothing in this snapshot matches the person \"x\"."),
            ("id", "Nothing in these snapshots matches \"x\"."),
        ] {
            assert_eq!(Unmatched::new(argument, "x").sentence(), told);
        }
    }
}
