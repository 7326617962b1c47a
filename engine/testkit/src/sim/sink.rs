//! A sink of text on a simulated disk, which does as `file_sink` does with a folder: hidden parts, renamed at their commit.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::id::QUARANTINED_PORT;
use millrace_model::{Category, ChangeMode, Diagnostics, KindInfo};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, OutputPort};
use millrace_runtime::batch::quarantine_schema;
use millrace_runtime::checkpoint::codes::COMMITTED_LATER;
use millrace_runtime::connector::{BadRecord, Committable, ConnectorContext, Finality, Sink, SinkFactory};
use millrace_runtime::{Batch, RunError, RunResult};
use millrace_state::store::Disk;
use serde_json::{Value, json};

use super::SimDisk;
use super::disk::fingerprint;
use crate::memory::info;
use crate::table::Table;

/// The code of a sink that could not write.
const SINK_FAILED: &str = "MR0597";

/// Kind `keep`: rows as lines, in a folder of the node's name below `/out`.
#[derive(Clone)]
pub struct SimSink {
    info: KindInfo,
    disk: Arc<dyn Disk>,
}

impl SimSink {
    pub fn new(disk: Arc<dyn Disk>) -> SimSink {
        SimSink { info: info("keep", Category::Sink), disk }
    }

    fn folder(&self, context: &ConnectorContext) -> Folder {
        let path = Path::new("/out").join(context.node.as_str());
        Folder { disk: self.disk.clone(), path, run: context.run_start_us }
    }
}

impl Kind for SimSink {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, _: &BindInput<'_>, _: &mut Diagnostics) -> Option<Bound> {
        let outputs = vec![OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false)];
        Some(Bound { outputs, distribution: Distribution::Any, payload: Payload::new(()) })
    }
}

/// Where one node's rows lie.
struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    run: i64,
}

fn failed(error: &io::Error) -> RunError {
    RunError::connector(SINK_FAILED, "write rows", error, true)
}

impl Folder {
    fn names(&self) -> RunResult<Vec<String>> {
        match self.disk.list(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            names => names.map_err(|error| failed(&error)),
        }
    }

    fn make(&self) -> io::Result<()> {
        self.disk.make_folders(&self.path)?;
        let above = self.path.ancestors().skip(1);
        above.into_iter().try_for_each(|folder| self.disk.sync_folder(folder))
    }

    /// A part with its fingerprint as the last line, durable under its hidden name.
    fn prepare(&self, task: u32, epoch: u64, lines: &str) -> io::Result<String> {
        self.make()?;
        let (temporary, name) = (self.path.join(format!(".{}-{task}.tmp", self.run)), format!("{}-{epoch}-{task}", self.run));
        let text = format!("{lines}{:016x}\n", fingerprint(lines.as_bytes()));
        self.disk.write_synced(&temporary, text.as_bytes())?;
        self.disk.rename(&temporary, &self.path.join(format!(".{name}.ready")))?;
        self.disk.sync_folder(&self.path)?;
        Ok(name)
    }

    /// Gives a part its visible name, unless it has it.
    fn show(&self, name: &str) -> RunResult<()> {
        let (ready, part) = (self.path.join(format!(".{name}.ready")), format!("part-{name}"));
        match self.disk.rename(&ready, &self.path.join(&part)) {
            Err(error) if error.kind() == ErrorKind::NotFound => match self.names()?.contains(&part) {
                true => Ok(()),
                false => Err(RunError::connector(SINK_FAILED, format!("find {part}"), error, false)),
            },
            shown => shown.map_err(|error| failed(&error)),
        }
    }

    /// The names of the run's parts, and whether each is visible.
    fn own<'a>(&self, name: &'a str) -> Option<(u64, bool, &'a str)> {
        let hidden = name.strip_prefix('.').and_then(|name| name.strip_suffix(".ready"));
        let rest = hidden.or_else(|| name.strip_prefix("part-"))?.strip_prefix(&format!("{}-", self.run))?;
        Some((rest.split_once('-')?.0.parse().ok()?, hidden.is_none(), name))
    }
}

#[async_trait]
impl SinkFactory for SimSink {
    async fn create(&self, _: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Box<dyn Sink>> {
        let folder = self.folder(context);
        let is_first = context.durability.restored_epoch == 0;
        Ok(Box::new(SimSinkTask { folder, context: context.clone(), lines: String::new(), is_first }))
    }

    async fn recover(&self, _: &Arc<BoundNode>, context: &ConnectorContext, _: &[Committable]) -> RunResult<()> {
        let (folder, restored) = (self.folder(context), context.durability.restored_epoch);
        for name in folder.names()? {
            let is_unfinished = name.starts_with(&format!(".{}-", folder.run)) && name.ends_with(".tmp");
            let is_later = match folder.own(&name) {
                Some((epoch, true, _)) if restored > 0 && epoch > restored => {
                    let message = format!("there are rows of epoch {epoch}, and the run would go on from epoch {restored}");
                    return Err(RunError::State { code: COMMITTED_LATER, message, help: "", retryable: false });
                }
                Some((epoch, is_visible, _)) => !is_visible && epoch > restored,
                None => is_unfinished,
            };
            if is_later {
                folder.disk.remove_file(&folder.path.join(&name)).map_err(|error| failed(&error))?;
            }
        }
        // Before the state forgets that there was such a run; an earlier try may have failed to.
        match folder.disk.sync_folder(&folder.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&error)),
            _ => Ok(()),
        }
    }

    async fn commit(&self, _: &Arc<BoundNode>, context: &ConnectorContext, ready: Vec<Committable>, _: Finality) -> RunResult<()> {
        let folder = self.folder(context);
        for name in ready.iter().filter_map(|ready| ready.what["part"].as_str()) {
            folder.show(name)?;
        }
        // A rename that failed to be synced before looks as if it were done.
        if !ready.is_empty() {
            folder.make().and_then(|()| folder.disk.sync_folder(&folder.path)).map_err(|error| failed(&error))?;
        }
        if ready.iter().any(|ready| ready.what["first"] == Value::Bool(true)) {
            for name in folder.names()?.iter().filter(|name| name.starts_with("part-") && folder.own(name).is_none()) {
                folder.disk.remove_file(&folder.path.join(name)).map_err(|error| failed(&error))?;
            }
            folder.disk.sync_folder(&folder.path).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

struct SimSinkTask {
    folder: Folder,
    context: ConnectorContext,
    lines: String,
    is_first: bool,
}

#[async_trait]
impl Sink for SimSinkTask {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        for row in Table::from_frames([batch.frame()]).rows {
            let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
            self.lines.push_str(&cells.join(" | "));
            self.lines.push('\n');
        }
        Ok(Vec::new())
    }

    async fn prepare(&mut self, epoch: u64) -> RunResult<Option<Committable>> {
        let task = self.context.task;
        let part = match self.lines.is_empty() {
            true => None,
            false => Some(self.folder.prepare(task, epoch, &self.lines).map_err(|error| failed(&error))?),
        };
        self.lines.clear();
        let first = std::mem::replace(&mut self.is_first, false);
        Ok(Some(Committable { node: self.context.node.clone(), task, what: json!({ "part": part, "first": first }) }))
    }

    /// Parts of a run that is kept wait for whoever goes on with it.
    async fn abort(&mut self) -> RunResult<()> {
        Ok(())
    }
}

/// The rows that whoever looks at a node's folder sees, as each task wrote them, epoch after epoch.
///
/// # Errors
/// If a part is not whole.
pub fn visible_rows(disk: &SimDisk, node: &str) -> Result<Vec<String>, String> {
    let folder = Path::new("/out").join(node);
    let mut rows = Vec::new();
    // By run, epoch and task.
    let place = |path: &Path| -> Option<Vec<i64>> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(name.strip_prefix("part-")?.split('-').filter_map(|number| number.parse().ok()).collect())
    };
    let mut parts: Vec<_> = disk.all().into_iter().filter(|path| path.starts_with(&folder) && place(path).is_some()).collect();
    parts.sort_by_key(|path| place(path));
    for path in parts {
        let text = String::from_utf8(disk.read(&path).unwrap_or_default()).map_err(|_| format!("{} is torn", path.display()))?;
        let (lines, mark) = text.trim_end_matches('\n').rsplit_once('\n').ok_or_else(|| format!("{} is torn", path.display()))?;
        if mark != format!("{:016x}", fingerprint(format!("{lines}\n").as_bytes())) {
            return Err(format!("{} is torn", path.display()));
        }
        rows.extend(lines.lines().map(str::to_owned));
    }
    Ok(rows)
}
