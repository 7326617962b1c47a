//! The codes of findings. A code never changes its meaning; a retired one is never used again.
//!
//! MR01xx are the file's. Expressions have MR02xx, planning MR03xx, the runtime MR04xx, connectors MR05xx, the wire and the cluster
//! MR06xx, the studio MR07xx: a crate states its own with [`codes!`](crate::codes!), in its own room.

mod file;

pub use file::*;

use crate::diagnostic::Blame;

/// Whether the same again can end better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing changes until somebody mends it.
    Useless,
    /// The cause may pass by itself.
    CanHelp,
}

/// What there is to know of a code without an occurrence of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `MR0101`
    pub code: &'static str,
    /// One line, as a heading in the guide.
    pub title: &'static str,
    pub blame: Blame,
    pub retry: Retry,
}

/// Finds a code in tables such as [`FILE`].
pub fn lookup(code: &str, tables: &[&[Code]]) -> Option<Code> {
    tables.iter().flat_map(|table| table.iter()).find(|known| known.code == code).copied()
}

/// What is wrong with tables of codes: a code that stands twice, or is not `MR` and four digits.
pub fn faults(tables: &[&[Code]]) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut faults = Vec::new();
    for known in tables.iter().flat_map(|table| table.iter()) {
        let digits = known.code.strip_prefix("MR").unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            faults.push(format!("{} is not MR and four digits", known.code));
        }
        if !seen.insert(known.code) {
            faults.push(format!("{} stands twice", known.code));
        }
    }
    faults
}

/// States codes as constants, and all of them as one table: `codes! { pub TABLE; NAME = "MR0101", "title", User, Useless; }`.
#[macro_export]
macro_rules! codes {
    ($(#[$doc:meta])* pub $table:ident; $($name:ident = $code:literal, $title:literal, $blame:ident, $retry:ident;)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*
        $(#[$doc])*
        pub const $table: &[$crate::codes::Code] = &[$($crate::codes::Code {
            code: $code,
            title: $title,
            blame: $crate::diagnostic::Blame::$blame,
            retry: $crate::codes::Retry::$retry,
        },)*];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice_and_all_are_in_the_files_range() {
        assert_eq!(faults(&[FILE]), Vec::<String>::new());
        assert!(FILE.iter().all(|known| known.code.starts_with("MR01")));
    }

    #[test]
    fn a_code_that_stands_twice_or_is_misspelt_is_found() {
        let odd = Code { code: "MR1", title: "odd", blame: Blame::Bug, retry: Retry::Useless };
        assert_eq!(faults(&[&[odd], &[odd]]).len(), 3);
    }
}
