//! What the home screen offers: recent projects, and the samples.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use millrace_studio_api::{DirEntry, DirEntryKind, Directory, RecentProject, Sample};
use serde::{Deserialize, Serialize};

/// Most projects remembered.
const MAX_RECENT: usize = 12;
/// Most entries of a folder that are shown.
const MAX_ENTRIES: usize = 2_000;

/// The projects opened lately, kept in the studio's own folder.
#[derive(Debug)]
pub struct Recent {
    file: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    name: String,
    opened_at_ms: f64,
}

impl Recent {
    /// Reads the list; one that is missing or cannot be read is an empty one.
    pub fn load(data_dir: &Path) -> Recent {
        let file = data_dir.join("recent.json");
        let entries = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Recent { file, entries }
    }

    /// Puts a project first. That the list could not be kept is no reason not to open the project: it is logged.
    pub fn opened(&mut self, path: &Path, name: &str, now_ms: f64) {
        self.entries.retain(|entry| entry.path != path);
        self.entries.insert(0, Entry { path: path.to_path_buf(), name: name.to_owned(), opened_at_ms: now_ms });
        self.entries.truncate(MAX_RECENT);
        if let Err(error) = self.store() {
            tracing::warn!(%error, file = %self.file.display(), "the list of recent projects could not be kept");
        }
    }

    fn store(&self) -> io::Result<()> {
        write_whole(&self.file, &serde_json::to_vec_pretty(&self.entries)?)
    }

    pub fn list(&self) -> Vec<RecentProject> {
        let project = |entry: &Entry| RecentProject {
            path: entry.path.display().to_string(),
            name: entry.name.clone(),
            opened_at_ms: entry.opened_at_ms,
            exists: entry.path.is_file(),
        };
        self.entries.iter().map(project).collect()
    }
}

/// Writes a file so that a reader sees the old or the new one, whole.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = folder.join(format!(".{name}.{}.part", std::process::id()));
    let written = (|| {
        use io::Write;
        let mut file = fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if let Ok(before) = fs::metadata(path) {
            file.set_permissions(before.permissions())?;
        }
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A sample: a pipeline and the data that it reads, brought along in the program.
struct Shipped {
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    icon: &'static str,
    pipeline: &'static str,
    data: &'static [(&'static str, &'static [u8])],
}

static SAMPLES: [Shipped; 3] = [
    Shipped {
        id: "departures-2013",
        title: "Departures 2013",
        summary: "A year of real departures from New York, replayed: hourly delays per airport.",
        icon: "plane-takeoff",
        pipeline: include_str!("../../examples/departures-2013.millrace.toml"),
        data: &[("flights.parquet", include_bytes!("../../examples/data/flights.parquet"))],
    },
    Shipped {
        id: "cpu-and-memory",
        title: "CPU and memory",
        summary: "This computer, live: two readings a second as lines, the peak of every ten seconds as bars. It needs no file.",
        icon: "cpu",
        pipeline: include_str!("../../examples/cpu-and-memory.millrace.toml"),
        data: &[],
    },
    Shipped {
        id: "broken-on-purpose",
        title: "Broken on purpose",
        summary: "Bad rows, a stalled input and a slow sink. The studio names all three.",
        icon: "wrench",
        pipeline: include_str!("../../examples/broken-on-purpose.millrace.toml"),
        data: BROKEN_DATA,
    },
];

static BROKEN_DATA: &[(&str, &[u8])] = &[
    ("orders.csv", include_bytes!("../../examples/data/orders.csv")),
    ("sensor.csv", include_bytes!("../../examples/data/sensor.csv")),
    ("clicks.csv", include_bytes!("../../examples/data/clicks.csv")),
];

/// The cards of the home screen.
pub fn samples() -> Vec<Sample> {
    let card = |sample: &Shipped| Sample {
        id: sample.id.to_owned(),
        title: sample.title.to_owned(),
        summary: sample.summary.to_owned(),
        icon: sample.icon.to_owned(),
    };
    SAMPLES.iter().map(card).collect()
}

/// Lays a copy of a sample into the studio's own folder and gives its pipeline file; a copy that is there already, perhaps edited,
/// is opened as it is.
pub fn lay_out_sample(id: &str, data_dir: &Path) -> io::Result<Option<PathBuf>> {
    let Some(sample) = SAMPLES.iter().find(|sample| sample.id == id) else { return Ok(None) };
    let folder = data_dir.join("samples").join(sample.id);
    for (name, bytes) in sample.data {
        let path = folder.join("data").join(name);
        if fs::metadata(&path).map(|data| data.len()).ok() != Some(bytes.len() as u64) {
            write_whole(&path, bytes)?;
        }
    }
    let pipeline = folder.join(format!("{}.millrace.toml", sample.id));
    if !pipeline.exists() {
        write_whole(&pipeline, sample.pipeline.as_bytes())?;
    }
    Ok(Some(pipeline))
}

/// Lists a folder within `top`, folders first. Hidden files are left out.
pub fn list_dir(top: &Path, path: Option<&Path>) -> io::Result<Directory> {
    let top = top.canonicalize()?;
    let folder = path.unwrap_or(&top).canonicalize()?;
    if !folder.starts_with(&top) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} lies outside {}", folder.display(), top.display())));
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(&folder)?.take(MAX_ENTRIES) {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let about = fs::metadata(entry.path())?;
        let kind = match about.is_dir() {
            true => DirEntryKind::Folder,
            false if name.ends_with(".millrace.toml") => DirEntryKind::Pipeline,
            false => DirEntryKind::File,
        };
        entries.push(DirEntry { name, path: entry.path().display().to_string(), kind, size_bytes: about.len() as f64 });
    }
    entries.sort_by_key(|entry| (entry.kind != DirEntryKind::Folder, entry.name.clone()));
    let parent = folder.parent().filter(|parent| parent.starts_with(&top)).map(|parent| parent.display().to_string());
    Ok(Directory { path: folder.display().to_string(), parent, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_projects_are_kept_newest_first_without_doubles() {
        let folder = tempfile::tempdir().unwrap();
        let mut recent = Recent::load(folder.path());
        recent.opened(Path::new("/a.toml"), "a", 1.0);
        recent.opened(Path::new("/b.toml"), "b", 2.0);
        recent.opened(Path::new("/a.toml"), "a", 3.0);
        let names: Vec<String> = Recent::load(folder.path()).list().into_iter().map(|project| project.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_folder_outside_the_project_is_not_listed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        let inner = folder.path().join("inner");
        assert!(list_dir(&inner, None).is_ok());
        assert!(list_dir(&inner, Some(folder.path())).is_err());
        assert!(list_dir(&inner, Some(&inner.join(".."))).is_err());
    }

    #[test]
    fn a_sample_is_laid_out_once_and_an_edited_copy_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = lay_out_sample("cpu-and-memory", folder.path()).unwrap().unwrap();
        fs::write(&path, "millrace = 1\n# mine\n").unwrap();
        lay_out_sample("cpu-and-memory", folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "millrace = 1\n# mine\n");
        assert!(lay_out_sample("nothing", folder.path()).unwrap().is_none());
    }
}
