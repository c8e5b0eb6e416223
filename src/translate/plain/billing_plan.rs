use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, identifier, optional_identifier};

/// A row of Clerk: GET /billing/plans (Clerk OpenAPI 2026-05-12, schema CommercePlan): what users
/// and organizations can subscribe to. Clerk does not say since when.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BillingPlan<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// The name in URLs and in the application's checks.
    #[serde(borrow)]
    slug: Option<Text<'a>>,
    /// What it offers.
    #[serde(borrow)]
    description: Option<Text<'a>>,
    /// The product it belongs to.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    product_id: Option<Text<'a>>,
    /// `user` or `org`, an open set.
    #[serde(borrow)]
    for_payer_type: Option<Text<'a>>,
    /// Whether whoever has no other has this one.
    is_default: Option<bool>,
    /// Whether it is paid again and again.
    is_recurring: Option<bool>,
    /// Whether everybody sees it.
    publicly_visible: Option<bool>,
    /// Whether it costs something at all times.
    has_base_fee: Option<bool>,
    /// By the month.
    #[serde(borrow)]
    fee: Option<Object<Money<'a>>>,
    /// By the month, when paid by the year.
    #[serde(borrow)]
    annual_monthly_fee: Option<Object<Money<'a>>>,
    /// By the year.
    #[serde(borrow)]
    annual_fee: Option<Object<Money<'a>>>,
    /// What it costs by the unit.
    #[serde(borrow)]
    unit_prices: Option<Vec<Object<UnitPrice<'a>>>>,
    /// Whether it can be tried.
    free_trial_enabled: Option<bool>,
    /// For how long.
    free_trial_days: Option<i64>,
    /// What it includes.
    #[serde(borrow)]
    features: Option<Vec<Object<Feature<'a>>>>,
}

/// Schema CommerceMoneyResponse.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Money<'a> {
    /// In the smallest unit of the currency.
    amount: Option<i64>,
    /// ISO 4217.
    #[serde(borrow)]
    currency: Option<Text<'a>>,
}

/// Schema CommercePlanUnitPrice.
#[derive(Debug, Deserialize, Serialize)]
struct UnitPrice<'a> {
    /// What is counted, such as `seats`.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// How many of them are one block.
    block_size: Option<i64>,
    /// What a block costs, from which one on.
    #[serde(borrow)]
    tiers: Option<Vec<Object<Tier<'a>>>>,
}

/// Schema CommercePlanUnitPriceTier.
#[derive(Debug, Deserialize, Serialize)]
struct Tier<'a> {
    /// The first block of the tier.
    starts_at_block: Option<i64>,
    /// The last one; null: there is none.
    ends_after_block: Option<i64>,
    /// For each block.
    #[serde(borrow)]
    fee_per_block: Option<Object<Money<'a>>>,
}

/// Schema FeatureResponse.
#[derive(Debug, Deserialize, Serialize)]
struct Feature<'a> {
    /// The feature.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// By which the application checks for it.
    #[serde(borrow)]
    slug: Option<Text<'a>>,
    /// Name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl Plain for BillingPlan<'_> {
    const TYPE: ObjectType = ObjectType::BillingPlan;
    const DATASET: Dataset = Dataset::BillingPlans;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), self.slug.as_deref()],
            ..About::of(&self.id, None, None)
        }
    }
}
