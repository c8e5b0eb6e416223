//! Checks the lines of a part.

use std::borrow::Cow;
use std::collections::BTreeMap;

use clerk_snapshot::digest::ContentDigest;
use clerk_snapshot::resource::{Dataset, Resource};
use hashbrown::DefaultHashBuilder;
use serde_json::Value;

use super::check::Problems;
use super::ids::Ids;
use super::schema::{Schema, WrittenBy};
use crate::archive::{Lines, ScanError};
use crate::schemas;

/// What the lines of a dataset are held against.
#[derive(Debug)]
pub struct Expected {
    /// The dataset.
    pub dataset: Dataset,
    /// Its schema.
    pub schema: Schema,
    /// Which version wrote the lines.
    pub by: WrittenBy,
    /// Makes the hashes of ids.
    pub hasher: DefaultHashBuilder,
    /// The ids that grants may name.
    pub references: References,
}

/// The ids of the datasets that grants name. Only those are here that have all of them.
#[derive(Debug, Default)]
pub struct References {
    /// Ids of principals and resources.
    pub objects: BTreeMap<Dataset, Ids>,
    /// Ids of entitlements.
    pub entitlements: Option<Ids>,
    /// The types of resources that all have their entitlements.
    pub entitled: Vec<&'static str>,
}

/// What was found in the lines of a part.
#[derive(Debug, Default)]
pub struct PartFacts {
    /// Digest of the lines.
    pub digest: ContentDigest,
    /// Their ids.
    pub ids: Ids,
    /// Lines that break the schema.
    pub schema: Problems,
    /// Grants that name what is not there.
    pub references: Problems,
}

/// The objects that grants name, by the type that stands in them.
const OBJECTS: [(&str, Dataset, Resource); 5] = [
    ("user", Dataset::Users, Resource::Users),
    ("organization", Dataset::Organizations, Resource::Organizations),
    ("organization_role", Dataset::OrganizationRoles, Resource::OrganizationRoles),
    (
        "organization_permission",
        Dataset::OrganizationPermissions,
        Resource::OrganizationPermissions,
    ),
    ("machine", Dataset::Machines, Resource::Machines),
];

impl References {
    /// Whether grants name ids of this dataset.
    #[must_use]
    pub fn needs(dataset: Dataset) -> bool {
        OBJECTS.iter().any(|it| it.1 == dataset)
    }

    /// The types of resources that have entitlements if these resources are opted in.
    #[must_use]
    pub fn entitled(resources: &[Resource]) -> Vec<&'static str> {
        OBJECTS.iter().filter(|it| resources.contains(&it.2)).map(|it| it.0).collect()
    }
}

/// Reads a part and checks each line.
///
/// # Errors
/// [`ScanError`] if the part is not what was written.
pub fn read(lines: &mut Lines, expected: &Expected) -> Result<PartFacts, ScanError> {
    let mut facts = PartFacts::default();
    while let Some(line) = lines.next_line()? {
        facts.digest.add_line(line);
        let value: Option<Value> = serde_json::from_slice(line).ok();
        let Some(value) = value else {
            let place = lines.place();
            facts.schema.add(|| format!("{place} is not JSON"));
            continue;
        };
        let id = id_of(&value, expected.dataset);
        if let Some(id) = &id {
            facts.ids.push(&expected.hasher, id);
        }
        let missing = missing(&value, expected);
        let problem = expected.schema.problem(&value, expected.by);
        if problem.is_some() || !missing.is_empty() {
            let place = lines.place();
            if let Some(problem) = problem {
                facts.schema.add(|| format!("{place} {problem}"));
            }
            for missing in missing {
                let id = id.as_deref().unwrap_or_default();
                facts.references.add(|| format!("the grant {id} in {place} names {missing}"));
            }
        }
    }
    Ok(facts)
}

/// The id of a record. Of a metric it is its name and its day.
#[must_use]
pub fn id_of(value: &Value, dataset: Dataset) -> Option<Cow<'_, str>> {
    if dataset == Dataset::DailyActiveUsers {
        let (name, date) = (value["name"].as_str()?, value["date"].as_str()?);
        return Some(format!("{name} {date}").into());
    }
    value["id"].as_str().map(Cow::Borrowed)
}

/// What a grant names and is not there.
fn missing(grant: &Value, expected: &Expected) -> Vec<String> {
    let mut missing = Vec::new();
    if expected.dataset != Dataset::Grants {
        return missing;
    }
    let (references, hasher) = (&expected.references, &expected.hasher);
    for name in ["principal", "resource"] {
        let object_type = grant[name]["type"].as_str().unwrap_or_default();
        let dataset = OBJECTS.iter().find(|it| it.0 == object_type).map(|it| it.1);
        let ids = dataset.and_then(|dataset| references.objects.get(&dataset));
        let id = grant[name]["id"].as_str().unwrap_or_default();
        if ids.is_some_and(|ids| !ids.may_hold(hasher, id)) {
            missing.push(format!("the {object_type} {id}, which is not there"));
        }
    }
    let id = grant["entitlement_id"].as_str().unwrap_or_default();
    let resource = grant["resource"]["type"].as_str().unwrap_or_default();
    if references.entitled.contains(&resource)
        && references.entitlements.as_ref().is_some_and(|ids| !ids.may_hold(hasher, id))
    {
        missing.push(format!("the entitlement {id}, which is not there"));
    }
    missing
}

impl Expected {
    /// What the lines of a dataset are held against.
    #[must_use]
    pub fn new(
        dataset: Dataset,
        by: WrittenBy,
        hasher: DefaultHashBuilder,
        references: References,
    ) -> Self {
        Self { dataset, schema: Schema::new(schemas::of(dataset)), by, hasher, references }
    }
}
