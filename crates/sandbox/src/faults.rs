//! Things that go wrong on purpose: which requests they strike, and what happens then.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::query::Query;

/// One rule: the requests it matches, and its effects on them.
///
/// Every rule counts the requests that match its path and query; [`calls`](FaultRule::calls)
/// selects among them by number, from 1. Rules stack: all that strike a request take effect, and
/// where two would answer in Clerk's stead the first one added does.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    path: String,
    query: Vec<(String, Option<String>)>,
    offset_at_least: Option<i64>,
    calls: (u64, u64),
    effects: Vec<Effect>,
}

/// What happens to a request that is struck.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An error in Clerk's shape.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// Clerk's error code.
        code: String,
        /// The value of `Retry-After`, as it stands.
        retry_after: Option<String>,
    },
    /// A page of HTML with this status, as a proxy or load balancer answers.
    Html(u16),
    /// 200 with this body instead of the right one.
    Body(String),
    /// The right body with its last half missing, complete as far as HTTP can tell.
    MalformedJson,
    /// The connection is reset before an answer.
    Reset,
    /// This many bytes of the body arrive, then the connection is reset.
    CutBody(usize),
    /// The answer comes later by this much.
    Delay(Duration),
    /// The answer comes later by this much for every thousand rows of `offset`.
    DelayPerThousandRows(Duration),
    /// A page has at most this many rows, however many there are.
    TruncatePage(usize),
    /// A query parameter is ignored, as an older server would.
    IgnoreParameter(String),
    /// `total_count` is off by this much.
    ShiftTotal(i64),
    /// `total_count` is this.
    Total(i64),
    /// A field of one row (`row` from 0, `pointer` as in RFC 6901) is replaced, or removed
    /// (`None`).
    EditRow {
        /// Which row of the page.
        row: usize,
        /// Which field of the row, such as `/public_user_data/user_id`.
        pointer: String,
        /// Its new value.
        value: Option<Value>,
    },
    /// A page shows this row (from 0) twice, one after the other.
    RepeatRow(usize),
    /// A page leaves this row (from 0) out, and is shorter by it.
    HideRow(usize),
    /// This row (from 0) of a page and the one behind it stand in the wrong order.
    SwapRows(usize),
    /// One bit of the body is another one as sent (the number counts around the body's end): a
    /// compressed body can no longer be read.
    FlipBit(usize),
}

impl FaultRule {
    /// Strikes requests of this path: exact (`/v1/users`), with `*` for any one segment
    /// (`/v1/organizations/*/memberships`), or with `*` at the end for anything that begins so.
    pub fn on(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            query: Vec::new(),
            offset_at_least: None,
            calls: (1, u64::MAX),
            effects: Vec::new(),
        }
    }

    /// Only requests that send this parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>) -> Self {
        self.query.push((name.into(), None));
        self
    }

    /// Only requests that send this parameter with this value.
    #[must_use]
    pub fn with_value(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), Some(value.into())));
        self
    }

    /// Only requests whose `offset` is at least this, in rows.
    #[must_use]
    pub fn past_offset(mut self, rows: i64) -> Self {
        self.offset_at_least = Some(rows);
        self
    }

    /// Only the matching request of this number, from 1.
    #[must_use]
    pub fn call(self, number: u64) -> Self {
        self.calls(number, number)
    }

    /// Only the matching requests of these numbers, both included, from 1.
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

    /// Answers an error in Clerk's shape: an outage, or a feature that is off.
    #[must_use]
    pub fn status(self, status: u16, code: impl Into<String>) -> Self {
        self.effect(Effect::Refuse { status, code: code.into(), retry_after: None })
    }

    /// Answers 429 with this `Retry-After`, in seconds.
    #[must_use]
    pub fn too_many_requests(self, retry_after_seconds: u64) -> Self {
        let retry_after = Some(retry_after_seconds.to_string());
        self.effect(Effect::Refuse { status: 429, code: "too_many_requests".into(), retry_after })
    }

    /// Refuses the cursor: 422 to any request with `starting_after`.
    #[must_use]
    pub fn refuse_cursor(self) -> Self {
        self.with_parameter("starting_after").status(422, "form_param_unknown")
    }

    /// Ignores the cursor, as a server that never heard of it.
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

    /// Removes a field from one row of every page struck.
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
/// Effects: `status:CODE[:ERROR_CODE]`, `limit:SECONDS` (429), `html:STATUS`, `body:TEXT`,
/// `malformed`, `reset`, `cut:BYTES`, `delay:MILLISECONDS`, `deep:MILLISECONDS` (for a thousand
/// rows of offset), `truncate:ROWS`, `ignore:PARAMETER`, `shift-total:N`, `total:N`,
/// `drop:POINTER`.
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

/// A fault that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{part:?} is not understood; a fault is `PATH[?NAME[=VALUE]][@FIRST[-LAST]] EFFECT[:ARGUMENT]`"
)]
pub struct FaultSyntax {
    part: String,
}

/// All rules, with how often each has matched.
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

    /// How many requests were struck.
    pub(crate) fn struck(&self) -> u64 {
        self.struck
    }

    /// Counts a request, and says what happens to it.
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

/// All that happens to one request.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) effects: Vec<Effect>,
}

impl Strike {
    /// Whether the body is what an undisturbed request would get.
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

    /// Whether the body is another one than its status promises, apart from fields of rows.
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
    fn paths_match_exactly_by_segment_or_by_beginning() {
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
    fn a_rule_strikes_the_calls_it_names_and_no_other() {
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
    fn the_command_line_form_is_read_or_refused() {
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
