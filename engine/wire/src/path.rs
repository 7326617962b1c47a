//! Names of files as they travel: relative to the project's root, parts joined by `/`.

/// Longest path that travels, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;

/// Whether `path` may travel: relative, of plain parts, so that it cannot lead out of the folder that it is joined to on any system.
/// The receiver still opens it relative to a directory handle, since a link may stand where a folder was.
pub fn may_travel(path: &str) -> bool {
    !path.is_empty() && path.len() <= MAX_PATH_BYTES && path.split('/').all(is_plain)
}

fn is_plain(part: &str) -> bool {
    let no_dots = part != "." && part != "..";
    // A backslash or a colon would be a separator or a drive elsewhere; control characters belong in no name.
    no_dots && !part.is_empty() && !part.contains(['\\', ':']) && !part.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_relative_paths_travel() {
        for path in ["a", "data/flights.parquet", "a b/ä.csv", ".millrace/quarantine/1/n.jsonl", "..a/b..c"] {
            assert!(may_travel(path), "{path}");
        }
    }

    #[test]
    fn paths_that_could_lead_out_do_not_travel() {
        let long = "a/".repeat(MAX_PATH_BYTES);
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "C:/x", "a\\..\\b", "a\0b", "a\nb", long.as_str()] {
            assert!(!may_travel(path), "{path:?}");
        }
    }
}
