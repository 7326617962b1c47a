//! Differences of texts, by line.

use millrace_studio_api::{DiffLine, DiffLineKind, LineRange, TextDiff};
use similar::{ChangeTag, TextDiff as Differ};

/// Unchanged lines shown around a change.
const AROUND: usize = 3;

/// What differs, with a few lines around each change.
pub fn text_diff(old: &str, new: &str, titles: (&str, &str)) -> TextDiff {
    let differ = Differ::from_lines(old, new);
    let mut lines = Vec::new();
    let mut last_old = 0u32;
    for group in differ.grouped_ops(AROUND) {
        let first = group.first().map_or(0, |op| op.old_range().start as u32);
        if first > last_old {
            let hidden = first - last_old;
            let words = if hidden == 1 { "1 line".to_owned() } else { format!("{hidden} lines") };
            lines.push(DiffLine { kind: DiffLineKind::Gap, old_line: 0, new_line: 0, text: words });
        }
        for op in &group {
            lines.extend(differ.iter_changes(op).map(|change| DiffLine {
                kind: match change.tag() {
                    ChangeTag::Equal => DiffLineKind::Same,
                    ChangeTag::Delete => DiffLineKind::Removed,
                    ChangeTag::Insert => DiffLineKind::Added,
                },
                old_line: change.old_index().map_or(0, |at| at as u32 + 1),
                new_line: change.new_index().map_or(0, |at| at as u32 + 1),
                text: change.value().trim_end_matches(['\n', '\r']).to_owned(),
            }));
            last_old = op.old_range().end as u32;
        }
    }
    TextDiff { old_title: titles.0.to_owned(), new_title: titles.1.to_owned(), lines }
}

/// Lines of the new text that the old has not.
pub fn changed_lines(old: &str, new: &str) -> Vec<LineRange> {
    let differ = Differ::from_lines(old, new);
    let mut ranges: Vec<LineRange> = Vec::new();
    for change in differ.iter_all_changes().filter(|change| change.tag() == ChangeTag::Insert) {
        let line = change.new_index().map_or(0, |at| at as u32 + 1);
        match ranges.last_mut() {
            Some(last) if last.last + 1 == line => last.last = line,
            _ => ranges.push(LineRange { first: line, last: line }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_changes_with_their_surroundings_and_tells_what_it_leaves_out() {
        let old: String = (1..=20).map(|line| format!("{line}\n")).collect();
        let new = old.replace("10\n", "ten\n");
        let diff = text_diff(&old, &new, ("running", "edited"));
        let shown: Vec<(DiffLineKind, &str)> = diff.lines.iter().map(|line| (line.kind, line.text.as_str())).collect();
        assert_eq!(shown.first(), Some(&(DiffLineKind::Gap, "6 lines")));
        assert!(shown.contains(&(DiffLineKind::Removed, "10")));
        assert!(shown.contains(&(DiffLineKind::Added, "ten")));
        assert_eq!(shown.len(), 1 + 3 + 2 + 3);
        assert_eq!(changed_lines(&old, &new), [LineRange { first: 10, last: 10 }]);
    }
}
