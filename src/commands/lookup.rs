//! `lookup`: shows one thing as a snapshot would hold it.

use std::collections::BTreeSet;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clerk_snapshot::resource::Resource;
use serde_json::{Map, Value};

use crate::lists::endpoint::Endpoint;
use crate::lists::row_request::RowRequest;
use crate::lists::table::{ENDPOINTS, endpoint};

/// Arguments of `lookup`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-sync lookup users --email-address hcxinzg3y4@example.org --grants"
)]
pub(super) struct Arguments {
    /// What it is, by its name in RESOURCES
    #[arg(value_name = "RESOURCE", value_parser = resources())]
    resource: String,

    /// Its id
    #[arg(long)]
    id: Option<String>,

    /// An e-mail address of the user
    #[arg(long, value_name = "ADDRESS")]
    email_address: Option<String>,

    /// The user's name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,

    /// The user's external id
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,

    /// The organization's slug
    #[arg(long)]
    slug: Option<String>,

    /// The organization that it belongs to
    #[arg(long, value_name = "ID")]
    organization_id: Option<String>,

    /// The user whose membership it is
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,

    /// Show its grants, too: of users, organizations and organization_roles
    #[arg(long)]
    grants: bool,
}

impl Arguments {
    /// The event.
    ///
    /// # Errors
    /// If the options do not say which one, in one of the ways that this resource has.
    pub(super) fn event(&self) -> Result<Value, String> {
        let given = self.given();
        if let Some(endpoint) = Resource::from_name(&self.resource).map(endpoint) {
            let fields: BTreeSet<&str> = given.iter().map(|(field, _)| *field).collect();
            let is_one = |way: &RowRequest| way.fields().collect::<BTreeSet<_>>() == fields;
            if !endpoint.row_requests.iter().any(is_one) {
                return Err(format!("lookup {} takes {}", self.resource, ways_of(endpoint)));
            }
        }
        let mut event = Map::from_iter([
            ("action".to_owned(), "lookup".into()),
            ("resource".to_owned(), self.resource.clone().into()),
        ]);
        for (field, value) in given {
            event.insert(field.to_owned(), value.into());
        }
        if self.grants {
            event.insert("grants".to_owned(), true.into());
        }
        Ok(Value::Object(event))
    }

    /// The event's fields that options are given for, with their values.
    fn given(&self) -> Vec<(&'static str, &str)> {
        [
            ("id", &self.id),
            ("email_address", &self.email_address),
            ("username", &self.username),
            ("external_id", &self.external_id),
            ("slug", &self.slug),
            ("organization_id", &self.organization_id),
            ("user_id", &self.user_id),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field, value.as_deref()?)))
        .collect()
    }
}

/// The resources of which Clerk returns a single one.
fn resources() -> PossibleValuesParser {
    let found = ENDPOINTS.iter().filter(|endpoint| !endpoint.row_requests.is_empty());
    PossibleValuesParser::new(found.map(|endpoint| endpoint.resource.name()))
}

/// The options that say which one, as a person would be told.
fn ways_of(endpoint: &Endpoint) -> String {
    let mut ways: Vec<String> = Vec::new();
    for request in endpoint.row_requests {
        let mut options: Vec<String> =
            request.fields().map(|field| format!("--{}", field.replace('_', "-"))).collect();
        options.dedup();
        let way = options.join(" with ");
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    match ways.as_slice() {
        [way] => way.clone(),
        _ => format!("exactly one of {}", ways.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    // A list that is added with another way to find a row needs an option for it.
    #[test]
    fn every_field_of_a_lookup_has_an_option() {
        let command = Arguments::augment_args(clap::Command::new("lookup"));
        for field in ENDPOINTS.iter().flat_map(|it| it.row_requests).flat_map(RowRequest::fields) {
            let option = field.replace('_', "-");
            let has_it = |arg: &clap::Arg| arg.get_long() == Some(option.as_str());
            assert!(command.get_arguments().any(has_it), "--{option}");
        }
    }

    #[test]
    fn the_ways_are_named_by_their_options() {
        let ways = |resource| ways_of(endpoint(resource));
        assert_eq!(
            ways(Resource::Users),
            "exactly one of --id, --email-address, --username, --external-id"
        );
        assert_eq!(ways(Resource::OrganizationMemberships), "--organization-id with --user-id");
        assert_eq!(ways(Resource::Invitations), "--id");
    }
}
