//! Lines and aligned columns of text for a terminal.

use clerk_store::quoted::for_terminal;

/// A text that grows line by line. What is added is escaped, so that data cannot move the cursor or begin a line.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// A cell of a row, and the side on which it is filled up to the width of its column.
#[derive(Debug)]
pub(super) enum Cell {
    /// Words, at the left of their column.
    Words(String),
    /// A number, at the right.
    Number(String),
}

/// A cell with words.
pub(super) fn words(text: impl Into<String>) -> Cell {
    Cell::Words(text.into())
}

/// A cell with a number, in groups of three digits.
pub(super) fn number(number: u64) -> Cell {
    Cell::Number(grouped(number))
}

/// The number in groups of three digits: `12,019`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The command that asks `question` about the snapshots in `place`. A place that a shell would not take as it is, is left
/// out.
pub(super) fn clerk_access(place: Option<&str>, question: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/._-%".contains(&byte);
    match place.filter(|place| place.bytes().all(is_plain)) {
        Some(place) => format!("clerk-access --url {place} {question}"),
        None => format!("clerk-access {question}"),
    }
}

impl Text {
    /// Adds a line.
    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(&for_terminal(line));
        self.0.push('\n');
    }

    /// Adds an empty line.
    pub(super) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Adds the rows below each other, indented, in columns two spaces apart. Nothing without rows.
    pub(super) fn rows(&mut self, rows: Vec<Vec<Cell>>) {
        let cells: Vec<Vec<(String, bool)>> =
            rows.into_iter().map(|row| row.into_iter().map(Cell::escaped).collect()).collect();
        let columns = cells.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let widths = cells.iter().filter_map(|row| row.get(column));
            widths.map(|(text, _)| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &cells {
            let mut line = String::new();
            for ((text, is_number), &width) in row.iter().zip(&widths) {
                let filling = " ".repeat(width - text.chars().count());
                line.push_str("  ");
                if *is_number {
                    line.push_str(&filling);
                }
                line.push_str(text);
                if !is_number {
                    line.push_str(&filling);
                }
            }
            self.0.push_str(line.trim_end());
            self.0.push('\n');
        }
    }

    /// Adds what to do next.
    pub(super) fn next(&mut self, advice: &str) {
        self.gap();
        self.line(&format!("Next: {advice}"));
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Cell {
    /// Its text, and whether it is a number.
    fn escaped(self) -> (String, bool) {
        match self {
            Self::Words(text) => (for_terminal(&text).into_owned(), false),
            Self::Number(text) => (text, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, text) in [(0, "0"), (999, "999"), (12_019, "12,019"), (1_000_000, "1,000,000")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_data_stays_in_its_line() {
        let mut text = Text::default();
        text.rows(vec![
            vec![words("users"), number(3000), words("a\u{1b}[2Jb")],
            vec![words("organizations"), number(12), words("c\nd")],
            vec![words("é")],
        ]);
        assert_eq!(
            text.finish(),
            "  users          3,000  a\\u{1b}[2Jb\n  organizations     12  c\\u{a}d\n  é\n"
        );
    }
}
