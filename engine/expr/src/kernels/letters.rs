//! Capital and small letters, one character to one character, as DuckDB has them: `ß` has a capital of its own, `İ` becomes `i`,
//! and a letter whose capital would be several characters keeps its form.

/// Appends the text in capital letters.
pub(crate) fn capitals_into(text: &str, to: &mut String) {
    if text.is_ascii() {
        to.extend(text.bytes().map(|byte| char::from(byte.to_ascii_uppercase())));
    } else {
        to.extend(text.chars().map(capital));
    }
}

/// Appends the text in small letters.
pub(crate) fn fold_into(text: &str, to: &mut String) {
    if text.is_ascii() {
        to.extend(text.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
    } else {
        to.extend(text.chars().map(small));
    }
}

pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

fn capital(letter: char) -> char {
    match letter {
        'ß' => 'ẞ',
        // Greek letters with a iota below: their simple capital has it beside.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(letter, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(letter, 9),
        _ => single(letter.to_uppercase(), letter),
    }
}

fn small(letter: char) -> char {
    match letter {
        'İ' => 'i',
        _ => single(letter.to_lowercase(), letter),
    }
}

fn shifted(letter: char, by: u32) -> char {
    char::from_u32(u32::from(letter) + by).unwrap_or(letter)
}

fn single(mut letters: impl Iterator<Item = char>, otherwise: char) -> char {
    match (letters.next(), letters.next()) {
        (Some(letter), None) => letter,
        _ => otherwise,
    }
}
