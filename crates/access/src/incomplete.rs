//! What an answer needs and the snapshots have not got whole, as programs and as people read it.

use std::fmt;

use clerk_snapshot::compare::verdict::NOT_IN_RESOURCES;
use clerk_snapshot::resource::{Dataset, Resource};
use serde::{Serialize, Serializer};

/// A dataset that the answer needs and that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete {
    /// The dataset.
    pub dataset: Named,
    /// One of the words below.
    pub status: String,
    /// Why, if it is known.
    pub reason: Option<String>,
    /// The names of the rules that need it, of findings.
    needed_by: Vec<&'static str>,
    /// Whether it is two snapshots that do not say the same of it, and not one that has not got it.
    is_of_comparison: bool,
}

/// A dataset by its name: those that this version does not know are behind those that it knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Named {
    /// One that this version knows.
    Known(Dataset),
    /// One that a newer version wrote.
    Unknown(String),
}

/// The status of a dataset that no snapshot of the question has.
pub const NOT_IN_SNAPSHOT: &str = "not_in_snapshot";
/// The status of a dataset of which only part is there, or can be compared.
pub const PARTIAL: &str = "partial";
/// The status of a dataset about which a comparison says nothing.
pub const NOT_COMPARED: &str = "not_compared";
/// The status of a dataset that Clerk refused.
const SKIPPED: &str = "skipped";
/// The status of a dataset that could not be read.
const FAILED: &str = "failed";
/// The status of a dataset that changed faster than clerk-sync could follow.
const DRIFTED: &str = "drifted";

/// The reason of a dataset that this version does not know.
pub const BY_A_NEWER_VERSION: &str = "newer_version";
/// The reason of a comparison with a snapshot that is gone.
pub const PREVIOUS_GONE: &str = "previous_gone";

impl Incomplete {
    /// What is not whole, and why.
    #[must_use]
    pub fn new(dataset: impl Into<Named>, status: &str, reason: Option<String>) -> Self {
        let (dataset, status) = (dataset.into(), status.to_owned());
        Self { dataset, status, reason, needed_by: Vec::new(), is_of_comparison: false }
    }

    /// What two snapshots do not both have whole, or not in the same form, and why.
    #[must_use]
    pub fn between(dataset: impl Into<Named>, status: &str, reason: Option<String>) -> Self {
        Self { is_of_comparison: true, ..Self::new(dataset, status, reason) }
    }

    /// The same, with the rules that need it.
    #[must_use]
    pub fn needed_by(self, rules: Vec<&'static str>) -> Self {
        Self { needed_by: rules, ..self }
    }

    /// Whether programs read the same.
    #[must_use]
    pub fn reads_as(&self, other: &Self) -> bool {
        (&self.dataset, &self.status, self.whole_reason())
            == (&other.dataset, &other.status, other.whole_reason())
    }

    /// The reason, and after it the rules.
    fn whole_reason(&self) -> Option<String> {
        let rules = (!self.needed_by.is_empty())
            .then(|| format!("needed by {}", self.needed_by.join(", ")));
        let reasons: Vec<String> = self.reason.iter().cloned().chain(rules).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn is_like(&self, other: &Self) -> bool {
        (&self.status, &self.reason, self.is_of_comparison)
            == (&other.status, &other.reason, other.is_of_comparison)
    }
}

/// A sentence or two for each reason why something is missing, which say what to do about it.
#[must_use]
pub fn sentences(all: &[Incomplete]) -> Vec<String> {
    let mut groups: Vec<Vec<&Incomplete>> = Vec::new();
    for missing in all {
        match groups.iter_mut().find(|group| group[0].is_like(missing)) {
            Some(group) => group.push(missing),
            None => groups.push(vec![missing]),
        }
    }
    let mut sentences: Vec<String> = groups.iter().map(|group| sentence(group)).collect();
    if all.iter().any(|missing| !missing.needed_by.is_empty()) {
        sentences.push("Or choose rules that need none of this with --rule.".to_owned());
    }
    sentences
}

/// What is missing for one reason.
fn sentence(group: &[&Incomplete]) -> String {
    let datasets = list(group.iter().map(|missing| missing.dataset.name()));
    let reason = group[0].reason.as_deref();
    let in_brackets = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let resources = Resources::of(group);
    match (group[0].status.as_str(), reason) {
        (_, Some(BY_A_NEWER_VERSION)) => {
            format!("A newer version of clerk-sync wrote {datasets}. Update clerk-access.")
        }
        (NOT_IN_SNAPSHOT, _) => format!(
            "The snapshot has no {datasets}, because RESOURCES did not name {resources}. {}",
            resources.to_do()
        ),
        (PARTIAL, _) if group[0].is_of_comparison => format!(
            "Of {datasets}, only part can be compared, because the snapshots were made with other \
             settings{in_brackets}."
        ),
        (PARTIAL, Some(resource)) if resource == Resource::OrganizationMemberships.name() => {
            format!(
                "The snapshot has no memberships, because RESOURCES did not name {resource}. Add it to RESOURCES \
                 and run clerk-sync sync again."
            )
        }
        (PARTIAL, _) => format!("Of {datasets}, only part can be used{in_brackets}."),
        (SKIPPED, _) => format!(
            "Clerk refused {datasets}{in_brackets}, as it does where a feature is off. Switch it on in Clerk and \
             run clerk-sync sync again."
        ),
        (FAILED, _) => {
            format!("clerk-sync could not read {datasets}{in_brackets}. Run clerk-sync sync again.")
        }
        (DRIFTED, _) => format!(
            "Clerk changed {datasets} faster than clerk-sync could follow{in_brackets}. Run clerk-sync sync again."
        ),
        (NOT_COMPARED, Some(NOT_IN_RESOURCES)) => format!(
            "Not both snapshots have {datasets}, because RESOURCES did not name {resources} for both. {}",
            resources.to_do()
        ),
        (NOT_COMPARED, Some(PREVIOUS_GONE)) => format!(
            "What happened to {datasets} before the oldest snapshot is not known, because the one before it was \
             removed."
        ),
        (NOT_COMPARED, _) => {
            format!("Not both snapshots have {datasets}, so they are not compared{in_brackets}.")
        }
        _ => format!(
            "The snapshot says of {datasets} what this version does not understand{in_brackets}. Update clerk-access."
        ),
    }
}

/// The resources that write some datasets.
struct Resources {
    names: Vec<&'static str>,
    /// Whether they are called as the datasets are.
    are_the_same: bool,
}

impl Resources {
    fn of(group: &[&Incomplete]) -> Self {
        let mut names: Vec<_> =
            group.iter().filter_map(|missing| missing.dataset.resource()).collect();
        names.dedup();
        let are_the_same =
            group.iter().map(|missing| missing.dataset.name()).eq(names.iter().copied());
        Self { names, are_the_same }
    }

    fn to_do(&self) -> String {
        let what = if self.are_the_same { "them".to_owned() } else { self.to_string() };
        format!("Add {what} to RESOURCES and run clerk-sync sync again.")
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.are_the_same {
            true => formatter.write_str("them"),
            false => formatter.write_str(&list(self.names.iter().copied())),
        }
    }
}

impl Named {
    fn name(&self) -> &str {
        match self {
            Self::Known(dataset) => dataset.name(),
            Self::Unknown(name) => name,
        }
    }

    /// What `RESOURCES` has to name to have it. Several resources write grants and entitlements; those that are missed
    /// here are members and organizations.
    fn resource(&self) -> Option<&'static str> {
        match self {
            Self::Known(Dataset::Grants) => Some(Resource::OrganizationMemberships.name()),
            Self::Known(Dataset::Entitlements) => Some(Resource::Organizations.name()),
            Self::Known(dataset) => Some(dataset.name()),
            Self::Unknown(_) => None,
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

impl From<Dataset> for Named {
    fn from(dataset: Dataset) -> Self {
        Self::Known(dataset)
    }
}

/// A cell of a sheet, which is about this dataset alone.
impl fmt::Display for Incomplete {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is {}", self.dataset.name(), self.status.replace('_', " "))?;
        match self.whole_reason() {
            Some(reason) => write!(formatter, " ({reason})"),
            None => Ok(()),
        }
    }
}

impl Serialize for Incomplete {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            dataset: &'a Named,
            status: &'a str,
            reason: Option<String>,
        }
        let reason = self.whole_reason();
        Document { dataset: &self.dataset, status: &self.status, reason }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(dataset: Dataset, status: &str, reason: &str) -> Incomplete {
        let reason = (!reason.is_empty()).then(|| reason.to_owned());
        Incomplete::new(dataset, status, reason)
    }

    // Promise: what is missing for one reason is one sentence, which says in plain words what to do.
    #[test]
    fn each_reason_is_one_sentence() {
        let all = [
            missing(Dataset::RedirectUrls, NOT_IN_SNAPSHOT, NOT_IN_RESOURCES),
            missing(Dataset::Users, DRIFTED, ""),
            missing(Dataset::Invitations, NOT_IN_SNAPSHOT, NOT_IN_RESOURCES),
            missing(Dataset::ApiKeys, NOT_IN_SNAPSHOT, NOT_IN_RESOURCES),
        ];
        assert_eq!(
            sentences(&all),
            [
                "The snapshot has no redirect_urls, invitations and api_keys, because RESOURCES did not name them. \
                 Add them to RESOURCES and run clerk-sync sync again.",
                "Clerk changed users faster than clerk-sync could follow. Run clerk-sync sync again.",
            ]
        );
    }

    // Promise: what to add to RESOURCES is a name that RESOURCES takes.
    #[test]
    fn resources_are_called_by_their_names() {
        let all = [
            missing(Dataset::Users, NOT_IN_SNAPSHOT, NOT_IN_RESOURCES),
            missing(Dataset::Grants, NOT_IN_SNAPSHOT, NOT_IN_RESOURCES),
        ];
        assert_eq!(
            sentences(&all),
            ["The snapshot has no users and grants, because RESOURCES did not name users and \
              organization_memberships. Add users and organization_memberships to RESOURCES and run clerk-sync \
              sync again."]
        );
        for dataset in Dataset::ALL {
            let resource = Named::from(*dataset).resource().and_then(Resource::from_name);
            assert!(resource.is_some(), "{dataset}");
        }
    }

    // Promise: a partial dataset is one thing in a comparison, and another in a snapshot.
    #[test]
    fn what_is_partial_is_told_by_the_question() {
        let one = missing(Dataset::Grants, PARTIAL, "organization_memberships");
        let two = Incomplete::between(Dataset::Grants, PARTIAL, one.reason.clone());
        assert!(one.reads_as(&two), "programs know what they asked");
        let told = sentences(&[one, two]);
        assert!(told[0].starts_with("The snapshot has no memberships"), "{told:?}");
        assert!(told[1].starts_with("Of grants, only part can be compared"), "{told:?}");
    }

    // Promise: a reader of findings is told that there are other rules; programs read which rules are silent.
    #[test]
    fn findings_name_the_way_round() {
        let one = missing(Dataset::ApiKeys, SKIPPED, "feature_not_enabled");
        let one = one.needed_by(vec!["api-key-unused"]);
        let told = sentences(std::slice::from_ref(&one));
        assert!(told[0].starts_with("Clerk refused api_keys (feature_not_enabled)"), "{told:?}");
        assert!(told[1].contains("--rule"), "{told:?}");
        let document = serde_json::to_value(&one).expect("it is JSON");
        assert_eq!(document["reason"], "feature_not_enabled; needed by api-key-unused");
    }
}
