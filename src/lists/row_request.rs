//! Describes the requests that return a single row of a list.

/// A request for one row, with placeholders for the fields of a `lookup` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRequest {
    /// Path below `/v1`; `{id}` is replaced by the event's field `id`.
    pub path: &'static str,
    /// Parameters, whose values may contain placeholders in the same way.
    pub query: &'static [(&'static str, &'static str)],
    /// What the answer contains.
    pub answer: Answered,
}

/// What the answer to a request for one row contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The row itself, or 404.
    Row,
    /// A page of the rows that match a filter: one, or none.
    Page,
    /// A page of all rows of the list, or of one owner's. The event's `id` selects the row.
    Among,
}

impl RowRequest {
    /// For a row with a path of its own.
    #[must_use]
    pub const fn path(path: &'static str) -> Self {
        Self { path, query: &[], answer: Answered::Row }
    }

    /// For a row selected by a list's filter.
    #[must_use]
    pub const fn filter(
        path: &'static str,
        query: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { path, query, answer: Answered::Page }
    }

    /// For a row of a short list that cannot be filtered.
    #[must_use]
    pub const fn among(path: &'static str, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { path, query, answer: Answered::Among }
    }

    /// The event's fields that the request needs, all of them.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        let values = self.query.iter().map(|(_, value)| *value);
        let picked = (self.answer == Answered::Among).then_some("id");
        std::iter::once(self.path).chain(values).flat_map(fields_in).chain(picked)
    }

    /// Whether a field becomes a segment of the path.
    #[must_use]
    pub fn puts_into_path(&self, field: &str) -> bool {
        fields_in(self.path).any(|it| it == field)
    }
}

/// The names in braces.
fn fields_in(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// Replaces the placeholders of a template by values.
#[must_use]
pub fn filled(template: &str, values: &[(&'static str, String)]) -> String {
    values.iter().fold(template.to_owned(), |text, (field, value)| {
        text.replace(&format!("{{{field}}}"), value)
    })
}

/// The characters allowed in a path segment, for messages.
pub const PATH_SAFE: &str = "letters, digits, - and _";

/// Whether a text is safe as a path segment. Clerk's ids and slugs are.
#[must_use]
pub fn is_path_safe(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_filled_in() {
        let row_request = RowRequest::filter("/a/{a_id}/b", &[("b", "+{b_id}"), ("c", "true")]);
        assert_eq!(row_request.fields().collect::<Vec<_>>(), ["a_id", "b_id"]);
        assert!(row_request.puts_into_path("a_id") && !row_request.puts_into_path("b_id"));
        let values = [("a_id", "a_1".to_owned()), ("b_id", "{a_id}".to_owned())];
        assert_eq!(
            RowRequest::among("/a/{a_id}", &[]).fields().collect::<Vec<_>>(),
            ["a_id", "id"]
        );
        assert_eq!(filled(row_request.path, &values), "/a/a_1/b");
        assert_eq!(filled("+{b_id}", &values), "+{a_id}");
    }

    #[test]
    fn a_text_that_could_leave_its_segment_is_not_safe() {
        assert!(is_path_safe("user_2abcXYZ") && is_path_safe("a-slug"));
        for text in ["", ".", "..", "a/b", "a%2fb", "a?b", "a#b", "a\\b", "a b", "a\n", "é", "a;b"]
        {
            assert!(!is_path_safe(text), "{text:?}");
        }
    }
}
