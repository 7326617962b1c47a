//! Tables for a terminal: columns as wide as what stands in them, figures to the right.

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

use Side::Right;

const GAP: &str = "  ";

/// Lines under their titles. A line that is short of cells ends early; nothing trails.
pub fn table(titles: &[(&str, Side)], lines: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count());
        let title = titles.get(at).map_or(0, |(title, _)| title.chars().count());
        cells.fold(title, usize::max)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let written = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).zip(titles).map(|((cell, width), (_, side))| match side {
            Right => format!("{cell:>width$}"),
            Side::Left => format!("{cell:<width$}"),
        });
        padded.collect::<Vec<String>>().join(GAP).trim_end().to_owned()
    };
    let head: Vec<String> = titles.iter().map(|(title, _)| (*title).to_owned()).collect();
    std::iter::once(written(&head)).chain(lines.iter().map(|line| written(line))).collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [vec!["a".to_owned(), "1,000".to_owned()], vec!["hourly".to_owned(), "7".to_owned()]];
        let text = table(&[("NODE", Side::Left), ("ROWS", Right)], &lines);
        assert_eq!(text, "NODE     ROWS\na       1,000\nhourly      7");
    }
}
