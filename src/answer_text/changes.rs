//! Words the answer to `changes`.

use clerk_snapshot::compare::Summary;

use super::text::{Text, clerk_access, grouped, number, words};
use crate::response::{ChangesAnswer, ChangesStatus, OwedAnswer};

pub(super) fn write(answer: &ChangesAnswer, place: Option<&str>, text: &mut Text) {
    match answer {
        ChangesAnswer::Owed(answer) => write_owed(answer, place, text),
        ChangesAnswer::Summary(summary) => write_summary(summary, place, text),
    }
}

fn write_owed(answer: &OwedAnswer, place: Option<&str>, text: &mut Text) {
    let status = match answer.status {
        ChangesStatus::Complete => "complete",
        ChangesStatus::Partial => "partial",
    };
    text.line(&format!("{status}: {}", answer.message));
    if !answer.made.is_empty() {
        text.gap();
        text.rows(answer.made.iter().map(|id| vec![words(&**id)]).collect());
    }
    match answer.status {
        ChangesStatus::Complete => {
            let diff = clerk_access(place, "diff");
            text.next(&format!("nothing; {diff} shows what changed"));
        }
        ChangesStatus::Partial => text.next("run the same command again; it continues"),
    }
}

fn write_summary(summary: &Summary, place: Option<&str>, text: &mut Text) {
    let whole = if summary.complete { "complete" } else { "incomplete" };
    let changes: u64 = summary.events.values().sum();
    let (from, to) = (&summary.from.snapshot_id, &summary.to.snapshot_id);
    text.line(&format!("{whole}: {} changes from {from} to {to}", grouped(changes)));
    if !summary.events.is_empty() {
        text.gap();
        let events = summary.events.iter();
        text.rows(events.map(|(event, &count)| vec![words(&**event), number(count)]).collect());
    }
    let unsaid: Vec<_> = summary
        .datasets
        .iter()
        .filter_map(|(dataset, entry)| {
            Some(vec![words(dataset.name()), words(entry.reason.as_deref()?)])
        })
        .collect();
    if !unsaid.is_empty() {
        text.gap();
        text.line("Not compared, or not in full:");
        text.rows(unsaid);
    }
    if summary.privileged_granted > 0 {
        text.gap();
        let granted = grouped(summary.privileged_granted);
        text.line(&format!("Grants of a privileged permission: {granted}"));
    }
    let diff = clerk_access(place, &format!("diff {from} {to}"));
    text.next(&format!("{diff} shows each of them"));
}
