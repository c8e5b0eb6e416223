//! Words an answer for a person at a terminal: the status first, then what happened, then what to do next. A file for
//! each action.

mod changes;
mod check;
mod lookup;
mod status;
mod sync;
mod text;

use self::text::Text;
use crate::response::Response;

/// The answer in lines of text, with a line break at the end. Characters that could deceive a reader are escaped.
/// `place` is where the snapshots are.
pub(crate) fn of(response: &Response, place: Option<&str>) -> String {
    let mut text = Text::default();
    match response {
        Response::Sync(answer) => sync::write(answer, &mut text),
        Response::Check(checks) => check::write(checks, &mut text),
        Response::Status(answer) => status::write(answer, &mut text),
        Response::Lookup(answer) => lookup::write(answer, &mut text),
        Response::Changes(answer) => changes::write(answer, place, &mut text),
    }
    text.finish()
}
