//! A project in a folder that several machines see: marked, so that each of them knows it from another one under the same path.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use millrace_model::Diagnostic;
use millrace_runtime::files::Files;
use millrace_wire::codes;
use millrace_wire::message::SharedPlace;

use crate::node::{hex, random};

/// Where the mark lies, from the project's root.
const MARK: &str = ".millrace/place";

/// The most bytes of a mark.
const MAX_MARK_BYTES: u64 = 128;

/// The project that some files are of, marked if it was not. Blocks.
///
/// # Errors
/// If it can be neither read nor marked.
pub fn of_project(files: &Files) -> Result<SharedPlace, Diagnostic> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| refused(path, &"its name is no UTF-8"));
    let (root, folder) = (text(files.root())?, text(files.folder())?);
    let at = files.root().join(MARK);
    let mark = match mark_of(files)? {
        Some(mark) => mark,
        None => {
            let drawn = random::<16>().map_err(|_| refused(&at, &"there is no randomness"))?;
            put(files, &at, &hex(&drawn)).map_err(|error| refused(&at, &error))?;
            // Another terminal may have been there at the same moment: what stands now is it.
            mark_of(files)?.ok_or_else(|| refused(&at, &"it is gone again"))?
        }
    };
    Ok(SharedPlace { root, folder, mark, deployment: None, handed: None })
}

/// What is written in a project; none if it was not marked.
fn mark_of(files: &Files) -> Result<Option<String>, Diagnostic> {
    let at = files.root().join(MARK);
    let mut mark = String::new();
    match files.open(&at).and_then(|file| file.take(MAX_MARK_BYTES).read_to_string(&mut mark)) {
        Ok(_) => Ok(Some(mark.trim().to_owned()).filter(|mark| !mark.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(&at, &error)),
    }
}

fn put(files: &Files, at: &Path, mark: &str) -> io::Result<()> {
    let beside = at.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = files.create(&beside)?;
    file.write_all(mark.as_bytes())?;
    file.sync_all()?;
    files.rename(&beside, at)
}

fn refused(at: &Path, why: &dyn std::fmt::Display) -> Diagnostic {
    let message = format!("the project cannot be told from others that lie under its path: {}: {why}", at.display());
    Diagnostic::error(codes::OTHER_FOLDER, message).help("see that its folder can be written to")
}

/// The files of a project that a node is asked to run in, if it is the same there. Blocks. `shared` are the folders that the node shares.
///
/// # Errors
/// If it lies elsewhere, or is another one.
pub fn files_at(place: &SharedPlace, shared: &[String]) -> Result<Files, Diagnostic> {
    let not_seen = |why: String| {
        let found = Diagnostic::error(codes::OTHER_FOLDER, format!("this node does not see the project in {}: {why}", place.root));
        found.help("mount the folder on every node of the control group, under one path, and name it with --shared")
    };
    let (root, folder) = (PathBuf::from(&place.root), PathBuf::from(&place.folder));
    let is_plain = |path: &Path| path.canonicalize().is_ok_and(|real| real == *path);
    if !shared.iter().any(|shared| root.starts_with(shared)) {
        return Err(not_seen("it is in none of the folders that it shares".to_owned()));
    }
    if !is_plain(&root) || !is_plain(&folder) {
        return Err(not_seen("there is no such folder".to_owned()));
    }
    let files = Files::rooted(&root, &folder).map_err(|error| not_seen(error.to_string()))?;
    match mark_of(&files)? {
        Some(mark) if mark == place.mark => Ok(files),
        Some(_) => Err(not_seen(format!("what lies there is another project, by its mark in {MARK}"))),
        None => Err(not_seen(format!("there is no mark in {MARK}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_known_by_its_mark_and_only_where_it_is_shared() {
        let shared = tempfile::tempdir().unwrap();
        let root = shared.path().canonicalize().unwrap();
        let project = root.join("project");
        std::fs::create_dir_all(project.join("inner")).unwrap();
        std::fs::create_dir(project.join(".git")).unwrap();
        let files = Files::for_folder(&project.join("inner"), &[]).unwrap();
        let place = of_project(&files).unwrap();
        assert_eq!(of_project(&files).unwrap(), place, "it is marked once");
        let shares = [root.to_str().unwrap().to_owned()];
        assert_eq!(files_at(&place, &shares).unwrap().folder(), project.join("inner"));
        let code = |place: &SharedPlace, shared: &[String]| files_at(place, shared).unwrap_err().code.into_owned();
        assert_eq!(code(&place, &[]), codes::OTHER_FOLDER);
        assert_eq!(code(&SharedPlace { mark: "other".into(), ..place.clone() }, &shares), codes::OTHER_FOLDER);
        let up = format!("{}/../..", place.root);
        assert_eq!(code(&SharedPlace { root: up, ..place.clone() }, &shares), codes::OTHER_FOLDER);
        assert_eq!(code(&SharedPlace { folder: "/".into(), ..place }, &shares), codes::OTHER_FOLDER);
    }
}
