//! `${NAME}` and `${NAME:-default}` in texts; `$$` stands for a dollar sign before a brace.

use std::collections::BTreeSet;

/// What is wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceError {
    Missing(String),
    Unclosed,
    BadName(String),
}

/// Reads the references in a text, and notes each name that it looked up.
pub fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>, names: &mut BTreeSet<String>) -> Result<String, Vec<ReferenceError>> {
    let mut out = String::with_capacity(text.len());
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some(after) = from.strip_prefix("${") {
            let Some((inside, after)) = after.split_once('}') else {
                errors.push(ReferenceError::Unclosed);
                rest = "";
                break;
            };
            match read(inside, env, names) {
                Ok(value) => out.push_str(&value),
                Err(error) => errors.push(error),
            }
            rest = after;
        } else {
            out.push('$');
            rest = from.strip_prefix('$').unwrap_or("");
        }
    }
    out.push_str(rest);
    if errors.is_empty() { Ok(out) } else { Err(errors) }
}

fn read(inside: &str, env: &dyn Fn(&str) -> Option<String>, names: &mut BTreeSet<String>) -> Result<String, ReferenceError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(good) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(ReferenceError::BadName(name.to_owned()));
    }
    names.insert(name.to_owned());
    // As in the shell's `:-`, an empty value counts as absent where there is a default.
    match (env(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ReferenceError::Missing(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Vec<ReferenceError>> {
        let env = |name: &str| (name == "HOME_DIR").then(|| "/home/x".to_owned());
        expand(text, &env, &mut BTreeSet::new())
    }

    #[test]
    fn references_are_read_and_defaults_stand_in_for_missing_ones() {
        assert_eq!(expanded("${HOME_DIR}/a"), Ok("/home/x/a".to_owned()));
        assert_eq!(expanded("${NONE:-b}/a$"), Ok("b/a$".to_owned()));
        assert_eq!(expanded("$${HOME_DIR}"), Ok("${HOME_DIR}".to_owned()));
        assert_eq!(expanded("${NONE}"), Err(vec![ReferenceError::Missing("NONE".to_owned())]));
        assert_eq!(expanded("a ${NONE"), Err(vec![ReferenceError::Unclosed]));
        assert_eq!(expanded("${1x}"), Err(vec![ReferenceError::BadName("1x".to_owned())]));
    }
}
