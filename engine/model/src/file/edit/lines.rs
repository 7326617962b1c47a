//! Puts the lines that an edit changed into the bytes of the original.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::file::lines::BOM;

/// The original with the difference between `before` and `after` made in it.
///
/// `before` is what the TOML tree writes of the original: it has no byte order mark, no carriage returns, and dotted names stand
/// together. Lines that no edit meant keep their bytes. None if the difference has no clear place in the original.
pub fn merge(original: &str, before: &str, after: &str) -> Option<String> {
    let body = original.trim_start_matches(BOM);
    let (kept, old, new) = (split(body), contents(before), contents(after));
    let plain: Vec<String> = kept.iter().map(|line| line.replace(['\r', '\n'], "")).collect();
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    let places = places(&old, &plain);
    let ending = if body.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };

    let mut hunks: Vec<(Range<usize>, &[&str])> = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if !matches!(op, DiffOp::Equal { .. }) {
            hunks.push((place(op.old_range(), &places)?, new.get(op.new_range())?));
        }
    }
    hunks.sort_by_key(|(range, _)| range.start);

    let mut out = Text { text: original.chars().take_while(|c| *c == BOM).collect(), ending };
    let mut at = 0;
    for (range, lines) in hunks {
        out.keep(kept.get(at..range.start)?);
        for line in lines {
            out.add(line);
        }
        at = range.end;
    }
    out.keep(kept.get(at..)?);
    Some(out.text)
}

/// The whole of `after` with the byte order mark and the line ends of the original: where [`merge`] finds no place.
pub fn dress(original: &str, after: &str) -> String {
    let body = original.trim_start_matches(BOM);
    let mark: String = original.chars().take_while(|c| *c == BOM).collect();
    let crlf = body.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n"));
    mark + &if crlf { after.replace('\n', "\r\n") } else { after.to_owned() }
}

/// Lines of `new` that `old` does not have, from 1, the end not included.
pub fn changed(old: &str, new: &str) -> Vec<Range<u32>> {
    let ops = capture_diff_slices(Algorithm::Myers, &contents(old), &contents(new));
    let changed = ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })).map(|op| op.new_range());
    changed.filter(|range| !range.is_empty()).map(|range| range.start as u32 + 1..range.end as u32 + 1).collect()
}

fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn contents(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// Where each line of `old` stands among `plain`.
fn places(old: &[&str], plain: &[&str]) -> Vec<Option<usize>> {
    if old == plain {
        return (0..old.len()).map(Some).collect();
    }
    let mut places = vec![None; old.len()];
    for op in capture_diff_slices(Algorithm::Myers, old, plain) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            for step in 0..len {
                if let Some(place) = places.get_mut(old_index + step) {
                    *place = Some(new_index + step);
                }
            }
        }
    }
    places
}

/// Where a range of lines stands in the original, if it stands there in one piece.
fn place(range: Range<usize>, places: &[Option<usize>]) -> Option<Range<usize>> {
    let at = |line: usize| places.get(line).copied().flatten();
    if range.is_empty() {
        let after_last = range.start.checked_sub(1).and_then(at).map(|line| line + 1);
        let start = after_last.or_else(|| at(range.start)).or_else(|| places.is_empty().then_some(0))?;
        return Some(start..start);
    }
    let (first, last) = (at(range.start)?, at(range.end - 1)?);
    (last.checked_sub(first)? == range.len() - 1).then_some(first..last + 1)
}

struct Text {
    text: String,
    ending: &'static str,
}

impl Text {
    /// A text that does not end its last line gets the end only when more follows.
    fn end_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(['\n', BOM]) {
            self.text.push_str(self.ending);
        }
    }

    fn keep(&mut self, lines: &[&str]) {
        for line in lines {
            self.end_line();
            self.text.push_str(line);
        }
    }

    fn add(&mut self, line: &str) {
        self.end_line();
        self.text.push_str(line);
        self.text.push_str(self.ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_takes_the_files_line_ends_and_the_others_keep_their_bytes() {
        let original = "\u{feff}a = 1\r\nb = 2\n# c\r\nd = 4";
        let before = "a = 1\nb = 2\n# c\nd = 4\n";
        let after = "a = 1\nb = 3\n# c\nd = 4\ne = 5\n";
        assert_eq!(merge(original, before, after).as_deref(), Some("\u{feff}a = 1\r\nb = 3\r\n# c\r\nd = 4\r\ne = 5\r\n"));
    }

    #[test]
    fn lines_that_the_tree_would_write_elsewhere_stay_where_they_are() {
        let (original, before) = ("a.b = 1\nc = 2\na.d = 3\n", "a.b = 1\na.d = 3\nc = 2\n");
        assert_eq!(merge(original, before, "a.b = 9\na.d = 3\nc = 2\n").as_deref(), Some("a.b = 9\nc = 2\na.d = 3\n"));
    }

    #[test]
    fn changed_lines_are_counted_in_the_new_text() {
        assert_eq!(changed("a\nb\nc\n", "a\nx\ny\nc\n"), vec![2..4]);
        assert_eq!(changed("a\nb\nc\n", "a\nc\n"), Vec::<Range<u32>>::new());
    }
}
