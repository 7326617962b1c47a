//! What the screens ask.

use std::path::Path;

use millrace_engine::model::file::{Edit as FileEdit, EditInput, PastePlace, copy};
use millrace_engine::model::{Diagnostic, NodeId, PortRef};
use millrace_engine::wire::change::Scale;
use millrace_studio_api::{API_VERSION, ApiError, CheckedField, Column, Edit, Event, Home, Reply, Request, Severity, Welcome};
use serde_json::Value;

use super::Studio;
use super::savepoints::Begin;
use crate::document::{OpenDocument, finding, text_diff};
use crate::home::{lay_out_sample, list_dir, samples};
use crate::run::Edge;
use crate::session::{SessionId, api_error};

impl Studio {
    /// Carries out a request. What changes the document or the run answers `Done`; events tell the rest.
    pub(super) async fn ask(&mut self, session: SessionId, request: Request) -> Result<Reply, ApiError> {
        match request {
            Request::Hello { api } => self.hello(session, api),
            Request::Home => Ok(Reply::Home(Home { recent: self.recent.list(), samples: samples() })),
            Request::Open { path } => self.open(Path::new(&path)).await.map(|()| Reply::Done),
            Request::OpenSample { sample } => self.open_sample(&sample).await,
            Request::New => {
                self.open_new().await;
                Ok(Reply::Done)
            }
            Request::Close { discard } => self.close(discard).await.map(|()| Reply::Done),
            Request::Save => self.save().map(|()| Reply::Done),
            Request::SaveAs { path } => self.save_as(Path::new(&path)).await.map(|()| Reply::Done),
            Request::Edit { edits } => self.edit(edits).await,
            Request::SetText { text, base_revision, continues } => self.set_text(text, base_revision, continues).await,
            Request::Undo => self.step(OpenDocument::undo).await,
            Request::Redo => self.step(OpenDocument::redo).await,
            Request::Copy { nodes } => self.copy(&nodes),
            Request::CheckField { node, path, value } => self.check_field(&node, &path, value).await,
            Request::ResolveConflict { choice } => self.resolve_conflict(choice).await.map(|()| Reply::Done),
            Request::Run { .. }
            | Request::Stop { .. }
            | Request::Restart
            | Request::Kill
            | Request::Rescale { .. }
            | Request::LookAtUpgrade
            | Request::Upgrade { .. }
            | Request::RollBack { .. }
            | Request::Savepoint { .. }
            | Request::RestoreFrom { .. } => self.ask_of_run(session, request).await.map(|()| Reply::Done),
            Request::Savepoints => self.savepoints().await.map(Reply::Savepoints),
            Request::DiffRunning => self.diff_running(),
            Request::Tap { from, port, to, on } => {
                let edge = Edge { from: PortRef { node: NodeId::new(from), port }, to: NodeId::new(to) };
                if on {
                    self.tap(edge, session).await
                } else {
                    self.untap(&edge, session).await
                }
                Ok(Reply::Done)
            }
            Request::WatchChart { node, on } => {
                self.watch_chart(session, node, on);
                Ok(Reply::Done)
            }
            Request::ChartRows { node, x_from, x_to, offset, limit } => {
                let chart = self.run.as_ref().and_then(|run| run.charts.get(&node));
                let chart = chart.ok_or_else(|| api_error("not_found", format!("there is no chart of `{node}` in this run")))?;
                Ok(Reply::Rows(chart.page(x_from, x_to, offset as usize, limit.min(10_000) as usize)))
            }
            Request::ListDir { path } => list_dir(&self.options.top, path.as_deref().map(Path::new))
                .map(Reply::Directory)
                .map_err(|error| api_error("denied", error.to_string())),
            Request::Targets => Ok(Reply::Targets(self.targets.list())),
            Request::AddTarget { address, token } => self.add_target(&address, &token).await,
            Request::WatchCluster { target } => {
                self.watch_cluster(session, target);
                Ok(Reply::Done)
            }
            Request::DrainNode { target, member, on } => self.drain_node(target, member, on).map(|()| Reply::Done),
            Request::Ack { frames } => {
                if let Some(outbox) = self.sessions.get_mut(&session) {
                    outbox.acknowledge(frames);
                }
                Ok(Reply::Done)
            }
        }
    }

    /// Begins, changes or ends a run. What comes of it is told by events.
    async fn ask_of_run(&mut self, session: SessionId, request: Request) -> Result<(), ApiError> {
        match request {
            Request::Run { target, replay } => self.start_run(target, replay, Begin::Afresh).await,
            Request::Stop { abort } => self.stop_run(abort).await,
            Request::Restart => self.restart_run().await,
            Request::Kill => self.kill_run(),
            Request::Rescale { parallelism, nodes } => {
                let nodes = nodes.into_iter().map(|(node, tasks)| (NodeId::new(node), tasks)).collect();
                self.rescale_run(Scale { parallelism, nodes })
            }
            Request::LookAtUpgrade => self.look_at_upgrade(),
            Request::Upgrade { revision, allow_state_loss } => self.upgrade_run(revision, allow_state_loss),
            Request::RollBack { savepoint, allow } => self.roll_back_run(session, savepoint, allow),
            Request::Savepoint { name } => self.take_savepoint(name),
            Request::RestoreFrom { name, allow } => self.restore_from(name, allow).await,
            _ => Err(api_error("bad_request", "that is of no run")),
        }
    }

    fn watch_chart(&mut self, session: SessionId, node: String, on: bool) {
        if on {
            self.watched.insert((session, node), None);
            self.charts_due = true;
        } else {
            self.watched.remove(&(session, node));
        }
    }

    fn hello(&mut self, session: SessionId, api: u32) -> Result<Reply, ApiError> {
        if api != API_VERSION {
            return Err(api_error("version", "this page is of another release: reload it"));
        }
        let platform = self.sessions.get(&session).map(|outbox| outbox.platform);
        let platform = platform.ok_or_else(|| api_error("not_open", "the session is over"))?;
        self.greeted.insert(session);
        Ok(Reply::Welcome(Box::new(Welcome {
            api: API_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform,
            catalog: self.catalog.clone(),
            targets: self.targets.list(),
        })))
    }

    /// After a welcome come the events that tell the present state.
    pub(super) async fn after_reply(&mut self, session: SessionId) {
        if self.greeted.remove(&session) {
            self.tell_all(session);
        }
    }

    async fn open_sample(&mut self, sample: &str) -> Result<Reply, ApiError> {
        let laid_out = lay_out_sample(sample, &self.options.data_dir);
        match laid_out.map_err(|error| api_error("not_saved", format!("the sample cannot be laid out: {error}")))? {
            Some(path) => self.open(&path).await.map(|()| Reply::Done),
            None => Err(api_error("not_found", format!("there is no sample `{sample}`"))),
        }
    }

    fn opened(&mut self) -> Result<&mut OpenDocument, ApiError> {
        self.document.as_mut().ok_or_else(|| api_error("not_open", "no pipeline is open"))
    }

    async fn edit(&mut self, edits: Vec<Edit>) -> Result<Reply, ApiError> {
        if self.look.broken.is_some() {
            return Err(api_error("broken", "the text is not TOML: mend it first"));
        }
        let catalog = self.options.inspector.catalog().clone();
        let document = self.opened()?;
        let was_dirty = document.is_dirty();
        let text = document.text().to_owned();
        let edits: Vec<FileEdit> = edits.into_iter().map(file_edit).collect();
        let change = document.edit(&edits, &catalog).map_err(|problem| refused(&problem, &text))?;
        self.changed(change, was_dirty).await;
        Ok(Reply::Done)
    }

    async fn set_text(&mut self, text: String, base_revision: u32, continues: bool) -> Result<Reply, ApiError> {
        let document = self.opened()?;
        if document.revision() != base_revision {
            return Err(api_error("stale_text", "the text has changed in the meantime"));
        }
        let was_dirty = document.is_dirty();
        let change = document.set_text(text, continues);
        self.changed(change, was_dirty).await;
        Ok(Reply::Done)
    }

    async fn step(&mut self, step: fn(&mut OpenDocument) -> Option<crate::document::Change>) -> Result<Reply, ApiError> {
        let document = self.opened()?;
        let was_dirty = document.is_dirty();
        if let Some(change) = step(document) {
            self.changed(change, was_dirty).await;
        }
        Ok(Reply::Done)
    }

    fn copy(&mut self, nodes: &[String]) -> Result<Reply, ApiError> {
        let document = self.opened()?;
        let text = document.text().to_owned();
        let ids: Vec<String> = nodes.to_vec();
        copy(&text, &ids).map(Reply::Text).map_err(|problem| refused(&problem, &text))
    }

    /// Looks at the text as it would be with one field changed.
    async fn check_field(&mut self, node: &str, path: &[String], value: Value) -> Result<Reply, ApiError> {
        let catalog = self.options.inspector.catalog().clone();
        let folder = self.folder();
        let document = self.opened()?;
        let mut trial = document.clone();
        let edit = FileEdit::SetField { node: node.to_owned(), path: path.to_vec(), value };
        let text = trial.text().to_owned();
        trial.edit(&[edit], &catalog).map_err(|problem| refused(&problem, &text))?;
        let look = self.looker.look(trial.text(), trial.path.as_deref(), &folder).await;
        let field = path.join(".");
        let columns = look.inputs.get(&NodeId::new(node));
        let columns = columns.map(|schema| {
            schema.fields.iter().map(|field| Column { name: field.name.clone(), data_type: field.data_type.name().to_owned() })
        });
        let explained = look.graph.iter().flat_map(|graph| &graph.nodes).find(|other| other.id == node);
        Ok(Reply::Checked(CheckedField {
            data_type: explained.and_then(|node| node.explanations.get(&field)).map(|explained| explained.data_type.clone()),
            columns: columns.map(Iterator::collect).unwrap_or_default(),
            findings: look
                .findings
                .into_iter()
                .filter(|finding| {
                    finding.node.as_deref() == Some(node) && finding.field.as_deref().is_some_and(|at| at.starts_with(&field))
                })
                .collect(),
        }))
    }

    fn diff_running(&mut self) -> Result<Reply, ApiError> {
        let running = self.run.as_ref().map(|run| run.version.text.clone()).ok_or_else(|| api_error("no_run", "nothing runs"))?;
        let document = self.opened()?;
        Ok(Reply::Diff(text_diff(&running, document.text(), ("running", "edited"))))
    }

    async fn add_target(&mut self, address: &str, token: &str) -> Result<Reply, ApiError> {
        let added = self.targets.add(address, token).await;
        let targets = self.targets.list();
        self.tell(Event::Targets(targets.clone()));
        match added {
            Ok(()) => Ok(Reply::Targets(targets)),
            Err(problem) => {
                let message = format!("{address} cannot be reached: {problem}");
                self.toast(Severity::Error, message.clone());
                Err(api_error("unreachable", message))
            }
        }
    }
}

fn refused(problem: &Diagnostic, text: &str) -> ApiError {
    ApiError { code: problem.code.to_string(), message: problem.message.clone(), findings: vec![finding(problem, text)] }
}

/// The gesture as the file's editor knows it.
fn file_edit(edit: Edit) -> FileEdit {
    match edit {
        Edit::AddNode { kind, at, from, input } => FileEdit::AddNode {
            id: None,
            kind,
            fields: serde_json::Map::new(),
            inputs: from.map(|from| EditInput { name: input, from }).into_iter().collect(),
            position: Some(at),
        },
        Edit::RemoveNodes { nodes } => FileEdit::RemoveNodes { ids: nodes },
        Edit::RenameNode { node, name } => FileEdit::RenameNode { from: node, to: name, keep_state: false },
        Edit::SetField { node, path, value } => FileEdit::SetField { node, path, value: value.unwrap_or(Value::Null) },
        Edit::SetPipelineField { path, value } => FileEdit::SetPipelineField { path, value: value.unwrap_or(Value::Null) },
        Edit::AddAlert { fields } => FileEdit::AddAlert { name: None, fields },
        Edit::SetAlertField { alert, path, value } => FileEdit::SetAlertField { alert, path, value: value.unwrap_or(Value::Null) },
        Edit::RenameAlert { alert, name } => FileEdit::RenameAlert { from: alert, to: name },
        Edit::RemoveAlert { alert } => FileEdit::RemoveAlert { alert },
        Edit::Connect { from, to, input } => FileEdit::Connect { from, to, input },
        Edit::Disconnect { from, to, input } => FileEdit::Disconnect { from, to, input },
        Edit::MoveNodes { positions } => FileEdit::MoveNodes { positions },
        Edit::Paste { text, at } => FileEdit::Paste { text, place: PastePlace::At(at) },
        Edit::Duplicate { nodes, offset } => FileEdit::Duplicate { ids: nodes, offset },
    }
}
