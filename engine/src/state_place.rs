//! Where a pipeline's state lies: beside its file.

use std::path::{Path, PathBuf};

/// `.millrace/state/NAME` in the pipeline's folder.
pub fn state_folder(folder: &Path, file: &str) -> PathBuf {
    folder.join(".millrace").join("state").join(state_name(file))
}

/// The file's name without what follows its first dot, in letters that every file system takes.
fn state_name(file: &str) -> String {
    let name = Path::new(file).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = name.strip_suffix(".millrace.toml").or_else(|| name.strip_suffix(".toml")).unwrap_or(&name);
    let plain = |letter: char| if letter.is_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let stem: String = stem.trim_start_matches('.').chars().map(plain).collect();
    if stem.is_empty() { "pipeline".to_owned() } else { stem }
}
