//! Regular expressions as DuckDB's engine (RE2) reads them, for Rust's, which is linear in the text as well.

use regex::{Regex, RegexBuilder};

/// Most bytes that a compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// Compiles a pattern with DuckDB's options: `i` ignores case, `c` does not, `s` lets `.` match a line's end, `l` takes it literally.
/// The problem comes in words.
pub(crate) fn regex(pattern: &str, options: &str) -> Result<Regex, String> {
    let (mut ignore_case, mut dot_all, mut literal) = (false, false, false);
    for option in options.chars() {
        match option {
            'i' => ignore_case = true,
            'c' => ignore_case = false,
            's' => dot_all = true,
            'l' => literal = true,
            other => return Err(format!("there is no option `{other}`; known are c, i, l and s")),
        }
    }
    let pattern = if literal { regex::escape(pattern) } else { translated(pattern) };
    RegexBuilder::new(&pattern)
        .case_insensitive(ignore_case)
        .dot_matches_new_line(dot_all)
        .size_limit(MAX_COMPILED_BYTES)
        .nest_limit(64)
        .build()
        .map_err(|problem| problem.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned())
}

/// RE2's classes of digits, words and space are of ASCII only, and its brackets know no operators (`&&`, `--`, `~~`) and no nesting.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut letters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str("[\\t\\n\\x0C\\r ]"),
                Some('S') => out.push_str("[^\\t\\n\\x0C\\r ]"),
                Some('b') if !in_class => out.push_str("(?-u:\\b)"),
                Some('Q') if !in_class => quoted(&mut letters, &mut out),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that comes first is one of the class.
                if letters.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' if letters.peek() == Some(&':') => {
                out.push('[');
                for letter in letters.by_ref() {
                    out.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    out
}

/// `\Q..\E`: literally.
fn quoted(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    while let Some(letter) = letters.next() {
        if letter == '\\' && letters.next_if_eq(&'E').is_some() {
            return;
        }
        out.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
    }
}
