//! The ways in which Clerk is asked for one row of a list by itself.

/// One of these ways: a request in which the fields of a `lookup` event stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRequest {
    /// Below `/v1`; `{id}` stands for the event's field `id`.
    pub path: &'static str,
    /// Parameters, whose values may hold fields likewise.
    pub query: &'static [(&'static str, &'static str)],
    /// What is answered.
    pub answer: Answered,
}

/// What a request for one row is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The row itself, or 404.
    Row,
    /// A page of the rows that a filter leaves: one, or none.
    Page,
    /// A page of all rows that a list has, or one owner has of it: the event's `id` tells which one
    /// is meant.
    Among,
}

impl RowRequest {
    /// A row that has a path of its own.
    #[must_use]
    pub const fn path(path: &'static str) -> Self {
        Self { path, query: &[], answer: Answered::Row }
    }

    /// A row that a filter of a list leaves.
    #[must_use]
    pub const fn filter(
        path: &'static str,
        query: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { path, query, answer: Answered::Page }
    }

    /// A row of a list that cannot be asked for one of them, but is short.
    #[must_use]
    pub const fn among(path: &'static str, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { path, query, answer: Answered::Among }
    }

    /// The event's fields that it takes, all of them.
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

/// A template with values for the fields in it.
#[must_use]
pub fn filled(template: &str, values: &[(&'static str, String)]) -> String {
    values.iter().fold(template.to_owned(), |text, (field, value)| {
        text.replace(&format!("{{{field}}}"), value)
    })
}

/// What a text in a path may be made of, in words.
pub const PATH_SAFE: &str = "letters, digits, - and _";

/// Whether a text can stand in a path and mean nothing but itself. Clerk's ids and slugs can.
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
    fn what_could_leave_its_segment_is_not_safe() {
        assert!(is_path_safe("user_2abcXYZ") && is_path_safe("a-slug"));
        for text in ["", ".", "..", "a/b", "a%2fb", "a?b", "a#b", "a\\b", "a b", "a\n", "é", "a;b"]
        {
            assert!(!is_path_safe(text), "{text:?}");
        }
    }
}
