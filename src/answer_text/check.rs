//! Words the answer to `check`.

use super::text::{Text, words};
use crate::response::CheckAnswer;

pub(super) fn write(checks: &[CheckAnswer], text: &mut Text) {
    let failed = checks.iter().filter(|check| !check.ok).count();
    let count = checks.len();
    text.line(&match failed {
        0 => format!("ok: all {count} checks"),
        _ => format!("not ok: {failed} of {count} checks"),
    });
    text.gap();
    let verdict = |check: &CheckAnswer| if check.ok { "ok" } else { "not ok" };
    let rows = checks.iter();
    let rows = rows.map(|it| vec![words(verdict(it)), words(&*it.check), words(&*it.detail)]);
    text.rows(rows.collect());
    match checks.iter().find(|check| !check.ok) {
        None => text.next("clerk-sync sync copies the instance"),
        Some(first) => {
            let name = &first.check;
            text.next(&format!(
                "start with {name}, the first that is not ok; then run clerk-sync check again"
            ));
        }
    }
}
