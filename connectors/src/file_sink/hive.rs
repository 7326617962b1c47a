//! Folders that are named after values, `minute=12%3A34`, as Hive, Spark and DuckDB name them.
//!
//! A value is text from outside. All but letters, digits, `_`, `-` and `.` is escaped, so that a name is never two, and what stands before
//! the `=` keeps it from being `..`.

use std::fmt::Write as _;

use crate::format::Cell;

/// What stands for NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Longest name that file systems take, in bytes.
const MOST_NAME_BYTES: usize = 255;

/// Appends the folder's name for a value of a column.
///
/// # Errors
/// In words, where the name would be longer than a file system takes.
pub fn push_name(to: &mut String, column: &str, cell: &Cell<'_>) -> Result<(), String> {
    let begin = to.len();
    escape(to, column);
    to.push('=');
    match cell {
        Cell::Null => to.push_str(NULL),
        Cell::Boolean(value) => to.push_str(if *value { "true" } else { "false" }),
        Cell::Text(text) if looks_null(text) => {
            // Its first letter, escaped, tells it apart.
            text.bytes().take(1).for_each(|byte| push_escaped(to, byte));
            escape(to, text.get(1..).unwrap_or_default());
        }
        Cell::Text(text) => escape(to, text),
        Cell::Time(text) => escape(to, text),
        number => {
            let mut text = Vec::new();
            crate::format::write_number(number, &mut text);
            escape(to, &String::from_utf8_lossy(&text));
        }
    }
    match to.len() - begin {
        ..=MOST_NAME_BYTES => Ok(()),
        bytes => Err(format!("the value of `{column}` makes a folder's name of {bytes} bytes, and {MOST_NAME_BYTES} is the most")),
    }
}

/// Whether a folder's name is one of a column's.
pub fn is_name_of(name: &str, column: &str) -> bool {
    let mut begin = String::new();
    escape(&mut begin, column);
    name.strip_prefix(&begin).is_some_and(|rest| rest.starts_with('='))
}

/// Whether readers would take a text for NULL: the word itself is, too.
fn looks_null(text: &str) -> bool {
    text == NULL || text.eq_ignore_ascii_case("null")
}

fn escape(to: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            to.push(char::from(byte));
        } else {
            push_escaped(to, byte);
        }
    }
}

fn push_escaped(to: &mut String, byte: u8) {
    // Writing to memory cannot fail.
    let _ = write!(to, "%{byte:02X}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(column: &str, cell: &Cell<'_>) -> String {
        let mut to = String::new();
        push_name(&mut to, column, cell).unwrap();
        to
    }

    #[test]
    fn a_value_never_leaves_its_folder() {
        for text in ["..", "../../etc", "/etc/passwd", "a/../../b", "a\\..\\b", "\0", "a\nb", "%2e%2e%2f", "", ".", "a=b", "é/ü", "c:"] {
            let name = name("k", &Cell::Text(text));
            assert!(!name.contains(['/', '\\', '\0', '\n', ':']) && name.starts_with("k="), "{text:?} becomes {name}");
        }
        assert_eq!(name("../k", &Cell::Text("..")), "..%2Fk=..");
        assert_eq!(name("k", &Cell::Text("%2F")), "k=%252F", "what looks escaped is escaped again");
    }

    #[test]
    fn values_that_differ_have_names_that_differ() {
        assert_eq!(name("k", &Cell::Null), "k=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(name("k", &Cell::Text(NULL)), "k=%5F_HIVE_DEFAULT_PARTITION__");
        assert_eq!(name("k", &Cell::Time("2015-07-15 00:01:00".to_owned())), "k=2015-07-15%2000%3A01%3A00");
        assert_eq!((name("k", &Cell::Signed(-5)), name("k", &Cell::Double(0.5))), ("k=-5".to_owned(), "k=0.5".to_owned()));
        assert!(is_name_of("k=1", "k") && !is_name_of("kk=1", "k") && !is_name_of("k", "k"));
    }

    #[test]
    fn a_name_that_no_file_system_takes_is_refused() {
        let mut to = String::new();
        assert!(push_name(&mut to, "k", &Cell::Text(&"x".repeat(253))).is_ok());
        let error = push_name(&mut to, "k", &Cell::Text(&"x".repeat(254))).unwrap_err();
        assert!(error.contains("256 bytes"), "{error}");
        assert!(push_name(&mut to, "k", &Cell::Text(&"/".repeat(90))).is_err(), "as it is written, not as it was");
    }
}
