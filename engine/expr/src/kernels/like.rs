//! LIKE and ILIKE. A pattern is taken apart once; what has no `%` or `_` inside needs no search.

use super::letters::fold;

/// A LIKE pattern, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct LikePattern {
    shape: Shape,
    /// ILIKE: the pattern is in small letters, and so is what it is asked of.
    ignore_case: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(Needle),
    General(Vec<Part>),
}

/// Text with what its search prepared.
#[derive(Debug, Clone)]
struct Needle(Box<memchr::memmem::Finder<'static>>);

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.0.needle() == other.0.needle()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Letter(char),
    /// `_`: one character.
    Any,
    /// `%`: any number of characters.
    Many,
}

impl LikePattern {
    /// None if the pattern ends with its escape.
    pub(crate) fn new(pattern: &str, escape: Option<char>, ignore_case: bool) -> Option<LikePattern> {
        let folded;
        let pattern = if ignore_case {
            folded = fold(pattern);
            &folded
        } else {
            pattern
        };
        let parts = parts(pattern, escape)?;
        Some(LikePattern { shape: shape(parts), ignore_case })
    }

    /// Whether the text matches. The buffer is for ILIKE's small letters, to be used again.
    pub(crate) fn matches(&self, text: &str, buffer: &mut String) -> bool {
        if !self.ignore_case {
            return self.shape.matches(text);
        }
        buffer.clear();
        super::letters::fold_into(text, buffer);
        self.shape.matches(buffer)
    }
}

fn parts(pattern: &str, escape: Option<char>) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            _ if Some(letter) == escape => Part::Letter(letters.next()?),
            '_' => Part::Any,
            '%' if parts.last() == Some(&Part::Many) => continue,
            '%' => Part::Many,
            other => Part::Letter(other),
        });
    }
    Some(parts)
}

fn shape(parts: Vec<Part>) -> Shape {
    let inner = parts.strip_prefix(&[Part::Many]).unwrap_or(&parts);
    let middle = inner.strip_suffix(&[Part::Many]).unwrap_or(inner);
    let letters: Option<String> = middle.iter().map(|part| if let Part::Letter(letter) = part { Some(*letter) } else { None }).collect();
    let Some(text) = letters else { return Shape::General(parts) };
    match (inner.len() < parts.len(), middle.len() < inner.len()) {
        (false, false) => Shape::Equals(text),
        (false, true) => Shape::StartsWith(text),
        (true, false) if !text.is_empty() => Shape::EndsWith(text),
        _ => Shape::Contains(Needle(Box::new(memchr::memmem::Finder::new(text.as_bytes()).into_owned()))),
    }
}

impl Shape {
    fn matches(&self, text: &str) -> bool {
        match self {
            Shape::Equals(other) => text == other,
            Shape::StartsWith(start) => text.starts_with(start.as_str()),
            Shape::EndsWith(end) => text.ends_with(end.as_str()),
            Shape::Contains(needle) => needle.0.find(text.as_bytes()).is_some(),
            Shape::General(parts) => general(parts, text),
        }
    }
}

/// On a mismatch the last `%` takes one character more; what it took before is never looked at again, so that the work is at most
/// the text's length times the pattern's.
fn general(parts: &[Part], text: &str) -> bool {
    let (mut part, mut rest) = (0, text);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let mut letters = rest.chars();
        let letter = letters.next();
        match (parts.get(part), letter) {
            (Some(Part::Many), _) => {
                part += 1;
                retry = Some((part, rest));
                continue;
            }
            (None, None) => return true,
            (Some(Part::Any), Some(_)) => {
                (part, rest) = (part + 1, letters.as_str());
                continue;
            }
            (Some(Part::Letter(wanted)), Some(letter)) if *wanted == letter => {
                (part, rest) = (part + 1, letters.as_str());
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = retry else { return false };
        let mut skipped = from.chars();
        if skipped.next().is_none() {
            return false;
        }
        (part, rest) = (after, skipped.as_str());
        retry = Some((after, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_percent_signs_do_not_explode() {
        let pattern = LikePattern::new(&"%a".repeat(2_000), None, false).unwrap();
        assert!(!pattern.matches(&"a".repeat(1_999), &mut String::new()));
        assert!(pattern.matches(&"a".repeat(2_000), &mut String::new()));
    }
}
