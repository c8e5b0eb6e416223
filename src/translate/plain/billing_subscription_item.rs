use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::billing_plan::Money;
use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};

/// A row of GET /billing/subscription_items (Clerk OpenAPI 2026-05-12, schema CommerceSubscriptionItem): a subscription
/// to a plan. The payment method and the payer's name and address are not read.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BillingSubscriptionItem<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// Such as `active`, `past_due` or `ended`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Id of the plan.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    plan_id: Option<Text<'a>>,
    /// Id of the price.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    price_id: Option<Text<'a>>,
    /// The plan's names.
    #[serde(borrow)]
    plan: Option<Object<PlanOfItem<'a>>>,
    /// `month` or `annual`, an open set.
    #[serde(borrow)]
    plan_period: Option<Text<'a>>,
    /// Clerk's id of the payer.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    payer_id: Option<Text<'a>>,
    /// The user or organization that pays.
    #[serde(borrow)]
    payer: Option<Object<Payer<'a>>>,
    /// Whether it is a free trial.
    is_free_trial: Option<bool>,
    /// Start of the paid period.
    period_start: Option<Time>,
    /// End of the paid period.
    period_end: Option<Time>,
    /// When it was cancelled.
    canceled_at: Option<Time>,
    /// When payment became overdue.
    past_due_at: Option<Time>,
    /// When it ended.
    ended_at: Option<Time>,
    /// The seats it pays for.
    seats: Option<Object<Seats>>,
    /// Total paid so far.
    #[serde(borrow)]
    lifetime_paid: Option<Object<Money<'a>>>,
    /// The next payment.
    #[serde(borrow)]
    next_payment: Option<Object<NextPayment<'a>>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema CommercePlan.
#[derive(Debug, Deserialize, Serialize)]
struct PlanOfItem<'a> {
    /// Id of the plan.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Its slug.
    #[serde(borrow)]
    slug: Option<Text<'a>>,
    /// Its name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

/// Schema CommercePayerResponse.
#[derive(Debug, Deserialize, Serialize)]
struct Payer<'a> {
    /// Id of the user.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    user_id: Option<Text<'a>>,
    /// Id of the organization.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
}

/// Schema CommerceSubscriptionItem, seats.
#[derive(Debug, Deserialize, Serialize)]
struct Seats {
    /// Number of seats; `null` means unlimited.
    quantity: Option<i64>,
}

/// Schema CommerceSubscriptionItem, next_payment.
#[derive(Debug, Deserialize, Serialize)]
struct NextPayment<'a> {
    /// Amount due.
    #[serde(borrow)]
    amount: Option<Object<Money<'a>>>,
    /// Due date.
    date: Option<Time>,
}

impl Plain for BillingSubscriptionItem<'_> {
    const TYPE: ObjectType = ObjectType::BillingSubscriptionItem;
    const DATASET: Dataset = Dataset::BillingSubscriptionItems;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }
}
