//! Where a pipeline's state lies: beside its file, or where `state` under `[pipeline]` says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_model::file::{CheckOptions, check};
use millrace_model::{Catalog, Diagnostic};
use millrace_objects::{Address, Bucket, Environment, Remote, open};
use millrace_runtime::checkpoint::codes;
use millrace_runtime::files::Files;
use millrace_state::StateResult;
use millrace_state::store::{FolderStore, Store};
use tokio::runtime::Handle;

/// Where one pipeline's state lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatePlace {
    Folder(PathBuf),
    /// In a bucket. The folder is for what needs to be on this machine only.
    Bucket {
        address: Address,
        here: PathBuf,
    },
}

impl StatePlace {
    /// The place of the pipeline in `file`, whose `state` that is.
    ///
    /// # Errors
    /// If it leads out of the folders that pipelines may use, or is no address.
    pub fn of(files: &Files, file: &str, state: Option<&str>) -> Result<StatePlace, Diagnostic> {
        let name = state_name(file);
        let beside = |kind: &str| files.folder().join(".millrace").join(kind).join(&name);
        let refuse = |message: String| Diagnostic::error(codes::BAD_PLACE, message).field("pipeline.state");
        let Some(state) = state else { return Ok(StatePlace::Folder(beside("state"))) };
        if Address::is_one(state) {
            let mut address = Address::parse(state).map_err(|why| refuse(format!("`state` names no bucket: {why}")))?;
            address.prefix.push(name.clone());
            return Ok(StatePlace::Bucket { address, here: beside("remote") });
        }
        let folder = state.strip_prefix("file://").unwrap_or(state);
        if folder.is_empty() || folder.contains("://") {
            let finding = refuse("`state` names no place that state can lie in".to_owned());
            return Err(finding.expected("a folder, or s3://BUCKET/PREFIX"));
        }
        let folder = files.opened_by_path(Path::new(folder)).map_err(|error| refuse(format!("`state` cannot be used: {error}")))?;
        Ok(StatePlace::Folder(folder.join(name)))
    }

    /// The place of a pipeline that is not looked at otherwise. A text that is none has the default.
    pub fn of_text(files: &Files, file: &str, text: &str) -> Result<StatePlace, Diagnostic> {
        let env = |name: &str| std::env::var(name).ok();
        let options = CheckOptions { file: None, catalog: &Catalog::default(), env: &env, overrides: &[] };
        let state = check(text, &options).pipeline.and_then(|pipeline| pipeline.settings.state);
        StatePlace::of(files, file, state.as_deref())
    }

    /// Takes it, for one process of this machine at a time. Blocks; a client of a bucket works on `runtime`.
    pub fn open(&self, runtime: &Handle) -> StateResult<Arc<dyn Store>> {
        match self {
            StatePlace::Folder(folder) => Ok(Arc::new(FolderStore::open(folder)?)),
            StatePlace::Bucket { address, here } => {
                let bucket = bucket(address, runtime)?;
                let store = Remote::open(bucket.clone(), here)?;
                bucket.check()?;
                Ok(Arc::new(store))
            }
        }
    }

    /// Looks in while another process may have it.
    pub fn visit(&self, runtime: &Handle) -> StateResult<Arc<dyn Store>> {
        match self {
            StatePlace::Folder(folder) => Ok(Arc::new(FolderStore::visit(folder))),
            StatePlace::Bucket { address, here } => Ok(Arc::new(Remote::visit(bucket(address, runtime)?, here))),
        }
    }

    /// What the control group calls a run whose state lies there: a bucket is the same from everywhere, a folder is a node's own.
    pub fn deployment(&self, node: &str) -> String {
        match self {
            StatePlace::Folder(folder) => format!("{node}:{}", folder.display()),
            StatePlace::Bucket { address, .. } => address.to_string(),
        }
    }

    /// Whether nothing can be there.
    pub fn is_missing(&self) -> bool {
        matches!(self, StatePlace::Folder(folder) if !folder.is_dir())
    }
}

fn bucket(address: &Address, runtime: &Handle) -> StateResult<Bucket> {
    open(address, &Environment::of_process(), runtime.clone())
}

/// The file's name without what follows its first dot, in letters that every file system takes.
fn state_name(file: &str) -> String {
    let name = Path::new(file).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = name.strip_suffix(".millrace.toml").or_else(|| name.strip_suffix(".toml")).unwrap_or(&name);
    let plain = |letter: char| if letter.is_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let stem: String = stem.trim_start_matches('.').chars().map(plain).collect();
    if stem.is_empty() { "pipeline".to_owned() } else { stem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_beside_the_file_or_where_it_says_and_in_no_folder_that_is_not_allowed() {
        let project = tempfile::tempdir().unwrap();
        let files = Files::for_folder(project.path(), &[]).unwrap();
        let root = files.folder().to_path_buf();
        let of = |state: Option<&str>| StatePlace::of(&files, "daily.millrace.toml", state);
        assert_eq!(of(None).unwrap(), StatePlace::Folder(root.join(".millrace/state/daily")));
        let elsewhere = root.join("elsewhere").display().to_string();
        for state in ["elsewhere", "./elsewhere", &elsewhere, &format!("file://{elsewhere}")] {
            assert_eq!(of(Some(state)).unwrap(), StatePlace::Folder(root.join("elsewhere/daily")), "{state}");
        }
        let StatePlace::Bucket { address, here } = of(Some("s3://state/mine/")).unwrap() else { panic!("a bucket") };
        assert_eq!((address.to_string().as_str(), here), ("s3://state/mine/daily", root.join(".millrace/remote/daily")));
        for wrong in ["", "../out", "/etc", "file:///etc", "gs://state", "s3://", "s3://KEY:hush@state"] {
            let finding = of(Some(wrong)).unwrap_err();
            assert_eq!((finding.code.as_ref(), finding.message.contains("hush")), (codes::BAD_PLACE, false), "{wrong}");
        }
    }
}
