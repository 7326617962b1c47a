//! Finds the files that a path names.
//!
//! A path with `*`, `?`, `[..]` or `**` is a glob: it is walked folder by folder through [`Files`], so that it leads no further than a
//! plain path would. `**` goes down into folders, not through links to folders.

use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use millrace_engine::runtime::files::Files;

/// Most entries that a glob looks at.
const MAX_ENTRIES: usize = 100_000;
/// Deepest folder that `**` goes down to.
const MAX_DEPTH: usize = 32;

const OPTIONS: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether a path is a glob.
pub fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The files that `path` names, in sorted order; a plain path names itself, there or not.
pub fn expand(path: &str, files: &Files) -> io::Result<Vec<PathBuf>> {
    if !is_glob(path) {
        return Ok(vec![PathBuf::from(path)]);
    }
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    let plain = parts.iter().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).count();
    let base: PathBuf = parts.iter().take(plain).collect();
    let patterns = parts
        .iter()
        .skip(plain)
        .map(|part| Pattern::new(&part.as_os_str().to_string_lossy()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error)))
        .collect::<io::Result<Vec<Pattern>>>()?;
    let mut walk = Walk { files, found: Vec::new(), looked: 0 };
    walk.descend(&base, &patterns, 0)?;
    walk.found.sort();
    walk.found.dedup();
    Ok(walk.found)
}

struct Walk<'a> {
    files: &'a Files,
    found: Vec<PathBuf>,
    looked: usize,
}

impl Walk<'_> {
    fn descend(&mut self, folder: &Path, patterns: &[Pattern], depth: usize) -> io::Result<()> {
        let Some((pattern, deeper)) = patterns.split_first() else { return Ok(()) };
        if depth > MAX_DEPTH {
            return Ok(());
        }
        let any_depth = pattern.as_str() == "**";
        if any_depth {
            self.descend(folder, deeper, depth)?;
        }
        let names = match self.files.list(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }) {
            Ok(names) => names,
            // A name that matched may be no folder.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
            Err(error) => return Err(error),
        };
        for name in names {
            self.looked += 1;
            if self.looked > MAX_ENTRIES {
                return Err(io::Error::other(format!("the glob looks at more than {MAX_ENTRIES} files; name fewer folders")));
            }
            let path = folder.join(&name);
            if any_depth {
                // A link to a folder above would lead round and round, and its files come as often.
                if !name.starts_with('.') && !self.files.is_link(&path) && self.is_folder(&path) {
                    self.descend(&path, patterns, depth + 1)?;
                }
            } else if pattern.matches_with(&name, OPTIONS) {
                if deeper.is_empty() { self.take(path) } else { self.descend(&path, deeper, depth + 1)? }
            }
        }
        Ok(())
    }

    /// A folder is no input.
    fn take(&mut self, path: PathBuf) {
        if !self.is_folder(&path) {
            self.found.push(path);
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.files.is_folder(path).unwrap_or(false)
    }
}
