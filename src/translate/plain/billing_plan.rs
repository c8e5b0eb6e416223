use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, identifier, optional_identifier};

/// A row of GET /billing/plans (Clerk OpenAPI 2026-05-12, schema CommercePlan): a plan that users or organizations can
/// subscribe to. Clerk gives no times for it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BillingPlan<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// The name in URLs and in the application's checks.
    #[serde(borrow)]
    slug: Option<Text<'a>>,
    /// Its description.
    #[serde(borrow)]
    description: Option<Text<'a>>,
    /// Id of the product it belongs to.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    product_id: Option<Text<'a>>,
    /// `user` or `org`, an open set.
    #[serde(borrow)]
    for_payer_type: Option<Text<'a>>,
    /// Whether it applies to everyone without another plan.
    is_default: Option<bool>,
    /// Whether it renews.
    is_recurring: Option<bool>,
    /// Whether everyone can see it.
    publicly_visible: Option<bool>,
    /// Whether it has a base fee.
    has_base_fee: Option<bool>,
    /// Fee per month.
    #[serde(borrow)]
    fee: Option<Object<Money<'a>>>,
    /// Fee per month when paid yearly.
    #[serde(borrow)]
    annual_monthly_fee: Option<Object<Money<'a>>>,
    /// Fee per year.
    #[serde(borrow)]
    annual_fee: Option<Object<Money<'a>>>,
    /// Prices per unit.
    #[serde(borrow)]
    unit_prices: Option<Vec<Object<UnitPrice<'a>>>>,
    /// Whether there is a free trial.
    free_trial_enabled: Option<bool>,
    /// Length of the trial in days.
    free_trial_days: Option<i64>,
    /// Its features.
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
    /// The unit, such as `seats`.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// Units per block.
    block_size: Option<i64>,
    /// Prices of the blocks, by tier.
    #[serde(borrow)]
    tiers: Option<Vec<Object<Tier<'a>>>>,
}

/// Schema CommercePlanUnitPriceTier.
#[derive(Debug, Deserialize, Serialize)]
struct Tier<'a> {
    /// First block of the tier.
    starts_at_block: Option<i64>,
    /// Last block of the tier; `null` means no last one.
    ends_after_block: Option<i64>,
    /// Price of each block.
    #[serde(borrow)]
    fee_per_block: Option<Object<Money<'a>>>,
}

/// Schema FeatureResponse.
#[derive(Debug, Deserialize, Serialize)]
struct Feature<'a> {
    /// Id of the feature.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// The name by which the application checks for it.
    #[serde(borrow)]
    slug: Option<Text<'a>>,
    /// Its name.
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
