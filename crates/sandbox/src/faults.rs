//! Injects faults: which requests they hit, and what they do.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::query::Query;

/// A rule: the requests it matches, and its effects on them.
///
/// Each rule counts the requests that match its path and query; [`calls`](FaultRule::calls) selects some of them by
/// number, from 1. All rules that hit a request take effect. If several would replace the answer, the one added first
/// wins.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    path: String,
    query: Vec<(String, Option<String>)>,
    offset_at_least: Option<i64>,
    calls: (u64, u64),
    effects: Vec<Effect>,
}

/// What a fault does to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An error in Clerk's shape.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// Clerk's error code.
        code: String,
        /// The value of `Retry-After`, verbatim.
        retry_after: Option<String>,
    },
    /// An HTML page with this status, as a proxy or load balancer sends it.
    Html(u16),
    /// 200 with this body instead of the right one.
    Body(String),
    /// The correct body without its second half, although complete as far as HTTP is concerned.
    MalformedJson,
    /// The connection is reset before an answer.
    Reset,
    /// This many bytes of the body arrive, then the connection is reset.
    CutBody(usize),
    /// The answer is delayed by this much.
    Delay(Duration),
    /// The answer is delayed by this much per thousand rows of `offset`.
    DelayPerThousandRows(Duration),
    /// A page has at most this many rows.
    TruncatePage(usize),
    /// A query parameter is ignored, as by an older server.
    IgnoreParameter(String),
    /// `total_count` is off by this much.
    ShiftTotal(i64),
    /// `total_count` is this.
    Total(i64),
    /// A field of one row is replaced, or removed if `value` is `None`. `row` counts from 0, and `pointer` is a JSON
    /// pointer (RFC 6901).
    EditRow {
        /// Which row of the page.
        row: usize,
        /// Which field of the row, such as `/public_user_data/user_id`.
        pointer: String,
        /// Its new value.
        value: Option<Value>,
    },
    /// A page contains this row (from 0) twice in succession.
    RepeatRow(usize),
    /// A page omits this row (from 0) and is one row shorter.
    HideRow(usize),
    /// This row (from 0) of a page and the next one are swapped.
    SwapRows(usize),
    /// One bit of the body is flipped as it is sent, so that a compressed body cannot be read. The number wraps around
    /// at the end of the body.
    FlipBit(usize),
}

impl FaultRule {
    /// Hits requests for this path: an exact path (`/v1/users`), one with `*` for any single segment
    /// (`/v1/organizations/*/memberships`), or one that ends in `*` for any path with that prefix.
    pub fn on(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            query: Vec::new(),
            offset_at_least: None,
            calls: (1, u64::MAX),
            effects: Vec::new(),
        }
    }

    /// Limits the rule to requests with this parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>) -> Self {
        self.query.push((name.into(), None));
        self
    }

    /// Limits the rule to requests with this value of this parameter.
    #[must_use]
    pub fn with_value(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), Some(value.into())));
        self
    }

    /// Limits the rule to requests whose `offset` is at least this, in rows.
    #[must_use]
    pub fn past_offset(mut self, rows: i64) -> Self {
        self.offset_at_least = Some(rows);
        self
    }

    /// Limits the rule to the matching request with this number, from 1.
    #[must_use]
    pub fn call(self, number: u64) -> Self {
        self.calls(number, number)
    }

    /// Limits the rule to the matching requests with these numbers, inclusive, from 1.
    #[must_use]
    pub fn calls(mut self, first: u64, last: u64) -> Self {
        self.calls = (first, last);
        self
    }

    /// Adds an effect.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Answers with an error in Clerk's shape, such as an outage or a disabled feature.
    #[must_use]
    pub fn status(self, status: u16, code: impl Into<String>) -> Self {
        self.effect(Effect::Refuse { status, code: code.into(), retry_after: None })
    }

    /// Answers 429 with this `Retry-After` in seconds.
    #[must_use]
    pub fn too_many_requests(self, retry_after_seconds: u64) -> Self {
        let retry_after = Some(retry_after_seconds.to_string());
        self.effect(Effect::Refuse { status: 429, code: "too_many_requests".into(), retry_after })
    }

    /// Rejects the cursor: answers 422 to requests with `starting_after`.
    #[must_use]
    pub fn refuse_cursor(self) -> Self {
        self.with_parameter("starting_after").status(422, "form_param_unknown")
    }

    /// Ignores the cursor, like a server that does not know it.
    #[must_use]
    pub fn ignore_cursor(self) -> Self {
        self.effect(Effect::IgnoreParameter("starting_after".into()))
    }

    /// Resets the connection.
    #[must_use]
    pub fn reset(self) -> Self {
        self.effect(Effect::Reset)
    }

    /// Cuts the body after this many bytes.
    #[must_use]
    pub fn cut_body(self, bytes: usize) -> Self {
        self.effect(Effect::CutBody(bytes))
    }

    /// Delays the answer.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.effect(Effect::Delay(delay))
    }

    /// Shortens pages silently.
    #[must_use]
    pub fn truncate_page(self, rows: usize) -> Self {
        self.effect(Effect::TruncatePage(rows))
    }

    /// Removes a field from one row of each page.
    #[must_use]
    pub fn drop_field(self, row: usize, pointer: impl Into<String>) -> Self {
        self.effect(Effect::EditRow { row, pointer: pointer.into(), value: None })
    }

    fn matches(&self, path: &str, query: &Query) -> bool {
        let parameter = |(name, value): &(String, Option<String>)| {
            query
                .pairs()
                .iter()
                .any(|(key, sent)| key == name && value.as_ref().is_none_or(|value| value == sent))
        };
        let offset = query.first("offset").and_then(|offset| offset.parse().ok()).unwrap_or(0);
        path_matches(&self.path, path)
            && self.query.iter().all(parameter)
            && self.offset_at_least.is_none_or(|least| offset >= least)
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    if let Some(beginning) = pattern.strip_suffix('*') {
        return path.starts_with(beginning);
    }
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == "*" || wanted == given => {}
            _ => return false,
        }
    }
}

/// A fault on the command line: `PATH[?NAME[=VALUE]][@FIRST[-LAST]] EFFECT[:ARGUMENT]`.
///
/// Effects: `status:CODE[:ERROR_CODE]`, `limit:SECONDS` (429), `html:STATUS`, `body:TEXT`, `malformed`, `reset`,
/// `cut:BYTES`, `delay:MILLISECONDS`, `deep:MILLISECONDS` (per thousand rows of offset), `truncate:ROWS`,
/// `ignore:PARAMETER`, `shift-total:N`, `total:N`, `drop:POINTER`.
impl FromStr for FaultRule {
    type Err = FaultSyntax;

    fn from_str(text: &str) -> Result<Self, FaultSyntax> {
        let wrong = |part: &str| FaultSyntax { part: part.to_owned() };
        let (target, effect) = text.trim().split_once(' ').ok_or_else(|| wrong(text))?;
        let (target, calls) = match target.rsplit_once('@') {
            Some((target, calls)) => (target, Some(calls)),
            None => (target, None),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path != "*" && !path.starts_with('/') {
            return Err(wrong(path));
        }
        let mut rule = Self::on(path);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            rule = if value.is_empty() {
                rule.with_parameter(name)
            } else {
                rule.with_value(name, value)
            };
        }
        if let Some(calls) = calls {
            let (first, last) = calls.split_once('-').unwrap_or((calls, calls));
            let number = |text: &str| text.parse().map_err(|_| wrong(calls));
            rule =
                rule.calls(number(first)?, if last.is_empty() { u64::MAX } else { number(last)? });
        }
        let (name, argument) = effect.trim().split_once(':').unwrap_or((effect.trim(), ""));
        let number = || argument.parse::<u64>().map_err(|_| wrong(effect));
        let signed = || argument.parse::<i64>().map_err(|_| wrong(effect));
        let status = |text: &str| {
            text.parse()
                .ok()
                .filter(|status| (200..600).contains(status))
                .ok_or_else(|| wrong(effect))
        };
        Ok(match name {
            "status" => {
                let (code, error) = argument.split_once(':').unwrap_or((argument, "sandbox_fault"));
                rule.status(status(code)?, error)
            }
            "limit" => rule.too_many_requests(number()?),
            "html" => rule.effect(Effect::Html(status(argument)?)),
            "body" => rule.effect(Effect::Body(argument.to_owned())),
            "malformed" => rule.effect(Effect::MalformedJson),
            "reset" => rule.reset(),
            "cut" => rule.cut_body(number()? as usize),
            "delay" => rule.delay(Duration::from_millis(number()?)),
            "deep" => rule.effect(Effect::DelayPerThousandRows(Duration::from_millis(number()?))),
            "truncate" => rule.truncate_page(number()? as usize),
            "ignore" if !argument.is_empty() => {
                rule.effect(Effect::IgnoreParameter(argument.to_owned()))
            }
            "shift-total" => rule.effect(Effect::ShiftTotal(signed()?)),
            "total" => rule.effect(Effect::Total(signed()?)),
            "drop" if argument.starts_with('/') => rule.drop_field(0, argument),
            _ => return Err(wrong(effect)),
        })
    }
}

/// A fault that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{part:?} is not understood; a fault is `PATH[?NAME[=VALUE]][@FIRST[-LAST]] EFFECT[:ARGUMENT]`"
)]
pub struct FaultSyntax {
    part: String,
}

/// All rules, with the number of requests that each has matched.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<(FaultRule, u64)>,
    struck: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.rules.push((rule, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Number of requests that were hit.
    pub(crate) fn struck(&self) -> u64 {
        self.struck
    }

    /// Counts a request against all rules and returns the effects on it.
    pub(crate) fn strike(&mut self, path: &str, query: &Query) -> Strike {
        let mut effects = Vec::new();
        for (rule, matched) in &mut self.rules {
            if rule.matches(path, query) {
                *matched += 1;
                if (rule.calls.0..=rule.calls.1).contains(matched) {
                    effects.extend(rule.effects.iter().cloned());
                }
            }
        }
        self.struck += u64::from(!effects.is_empty());
        Strike { effects }
    }
}

/// All effects on one request.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) effects: Vec<Effect>,
}

impl Strike {
    /// Whether the body is that of an undisturbed request.
    pub(crate) fn spares_body(&self) -> bool {
        self.effects.iter().all(|effect| {
            matches!(
                effect,
                Effect::Delay(_)
                    | Effect::DelayPerThousandRows(_)
                    | Effect::CutBody(_)
                    | Effect::FlipBit(_)
            )
        })
    }

    /// Whether the body is not what its status promises, apart from edited fields of rows.
    pub(crate) fn spoils(&self) -> bool {
        let refuses = self.effects.iter().any(|effect| matches!(effect, Effect::Refuse { .. }));
        self.effects.iter().any(|effect| match effect {
            Effect::Delay(_)
            | Effect::DelayPerThousandRows(_)
            | Effect::Refuse { .. }
            | Effect::EditRow { .. } => false,
            Effect::Html(_)
            | Effect::Body(_)
            | Effect::MalformedJson
            | Effect::Reset
            | Effect::CutBody(_)
            | Effect::FlipBit(_) => true,
            // An error has no rows and no total.
            Effect::TruncatePage(_)
            | Effect::IgnoreParameter(_)
            | Effect::ShiftTotal(_)
            | Effect::Total(_)
            | Effect::RepeatRow(_)
            | Effect::HideRow(_)
            | Effect::SwapRows(_) => !refuses,
        })
    }

    pub(crate) fn ignored(&self) -> Vec<String> {
        let name = |effect: &Effect| match effect {
            Effect::IgnoreParameter(name) => Some(name.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(name).collect()
    }

    pub(crate) fn truncate(&self) -> Option<usize> {
        let rows = |effect: &Effect| match effect {
            Effect::TruncatePage(rows) => Some(*rows),
            _ => None,
        };
        self.effects.iter().filter_map(rows).min()
    }

    pub(crate) fn total(&self, total: usize) -> i64 {
        self.effects.iter().fold(total as i64, |total, effect| match effect {
            Effect::ShiftTotal(shift) => total + shift,
            Effect::Total(total) => *total,
            _ => total,
        })
    }

    pub(crate) fn delay(&self, offset: i64) -> Duration {
        let thousands = offset.max(0) as f64 / 1000.0;
        self.effects
            .iter()
            .map(|effect| match effect {
                Effect::Delay(delay) => *delay,
                Effect::DelayPerThousandRows(delay) => delay.mul_f64(thousands),
                _ => Duration::ZERO,
            })
            .sum()
    }

    pub(crate) fn flipped_bits(&self) -> impl Iterator<Item = usize> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::FlipBit(bit) => Some(*bit),
            _ => None,
        })
    }

    pub(crate) fn cut_after(&self) -> Option<usize> {
        let bytes = |effect: &Effect| match effect {
            Effect::CutBody(bytes) => Some(*bytes),
            _ => None,
        };
        self.effects.iter().filter_map(bytes).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_exactly_by_segment_or_by_prefix() {
        assert!(path_matches("/v1/users", "/v1/users"));
        assert!(!path_matches("/v1/users", "/v1/users/count"));
        assert!(path_matches("/v1/users*", "/v1/users/count"));
        assert!(path_matches(
            "/v1/organizations/*/memberships",
            "/v1/organizations/org_1/memberships"
        ));
        assert!(!path_matches(
            "/v1/organizations/*/memberships",
            "/v1/organizations/org_1/domains"
        ));
        assert!(path_matches("*", "/v1/anything"));
    }

    #[test]
    fn a_rule_hits_exactly_the_calls_it_names() {
        let mut faults = Faults::default();
        faults.add(FaultRule::on("/v1/users").with_parameter("starting_after").calls(2, 3).reset());
        let walk = Query::parse("starting_after=user_1");
        let struck: Vec<bool> =
            (0..4).map(|_| !faults.strike("/v1/users", &walk).effects.is_empty()).collect();
        assert_eq!(struck, [false, true, true, false]);
        assert!(faults.strike("/v1/users", &Query::default()).effects.is_empty());
        assert_eq!(faults.struck(), 2);
    }

    #[test]
    fn the_command_line_form_is_parsed_or_refused() {
        assert_eq!(
            "/v1/users?starting_after@2-3 status:503:internal_error".parse(),
            Ok(FaultRule::on("/v1/users")
                .with_parameter("starting_after")
                .calls(2, 3)
                .status(503, "internal_error"))
        );
        assert_eq!("* reset".parse(), Ok(FaultRule::on("*").reset()));
        assert_eq!(
            "/v1/users@5 cut:100".parse(),
            Ok(FaultRule::on("/v1/users").call(5).cut_body(100))
        );
        for wrong in [
            "",
            "reset",
            "users reset",
            "/v1/users explode",
            "/v1/users@x reset",
            "/v1/users status:9",
            "/v1/users drop:x",
        ] {
            assert!(wrong.parse::<FaultRule>().is_err(), "{wrong:?}");
        }
    }
}
