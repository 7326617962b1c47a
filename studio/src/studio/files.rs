//! Opening, saving, and following the file on disk.

use std::path::{Path, PathBuf};

use millrace_engine::model::file::MAX_TEXT_BYTES;
use millrace_studio_api::{ApiError, ConflictChoice, DocumentCause, Event, Severity};

use super::{Studio, now_ms};
use crate::document::{Change, OpenDocument};
use crate::home::write_whole;
use crate::session::api_error;

fn read_pipeline(path: &Path) -> Result<String, ApiError> {
    let told = |problem: String| api_error("not_found", format!("{} cannot be opened: {problem}", path.display()));
    let about = std::fs::metadata(path).map_err(|error| told(error.to_string()))?;
    if !about.is_file() {
        return Err(told("it is not a file".to_owned()));
    }
    if about.len() > MAX_TEXT_BYTES as u64 {
        return Err(told("it is too large to be a pipeline".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| told(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| told("it is not UTF-8 text".to_owned()))
}

impl Studio {
    /// Opens a file in place of what is open. Nothing runs by it.
    pub(super) async fn open(&mut self, path: &Path) -> Result<(), ApiError> {
        let path = path.canonicalize().map_err(|error| api_error("not_found", format!("{} cannot be opened: {error}", path.display())))?;
        let text = read_pipeline(&path)?;
        self.take(OpenDocument::opened(path.clone(), text)).await;
        let name = self.document.as_ref().map(OpenDocument::file_stem).unwrap_or_default();
        self.recent.opened(&path, &name, now_ms());
        Ok(())
    }

    pub(super) async fn open_new(&mut self) {
        self.take(OpenDocument::new_pipeline()).await;
    }

    async fn take(&mut self, document: OpenDocument) {
        self.end_run_at_once().await;
        self.run = None;
        self.conflict = None;
        self.notices.clear();
        self.document = Some(document);
        self.look_again().await;
        self.tell_document(&Change { cause: Some(DocumentCause::Opened), ..Change::default() });
        self.tell_charts();
        self.tell(Event::Notices { reset: true, notices: Vec::new() });
        self.tell(Event::Conflict(None));
    }

    pub(super) async fn close(&mut self, discard: bool) -> Result<(), ApiError> {
        if self.document.as_ref().is_some_and(OpenDocument::is_dirty) && !discard {
            return Err(api_error("unsaved", "there are unsaved changes"));
        }
        self.end_run_at_once().await;
        (self.run, self.document, self.conflict) = (None, None, None);
        self.tell(Event::Closed);
        self.tell_run();
        Ok(())
    }

    /// Reads the text's meaning anew. Broken text keeps the last graph.
    pub(super) async fn look_again(&mut self) {
        let folder = self.folder();
        let Some(document) = &self.document else { return };
        let mut look = self.looker.look(document.text(), document.path.as_deref(), &folder).await;
        if look.graph.is_none() {
            look.graph = self.look.graph.take();
        }
        self.look = look;
    }

    /// After a change of the text: its meaning, the screens, and, for a mere move of nodes in a clean project, the file.
    pub(super) async fn changed(&mut self, change: Change, was_dirty: bool) {
        self.look_again().await;
        if change.cause == Some(DocumentCause::Moved)
            && !was_dirty
            && self.document.as_ref().is_some_and(|document| document.path.is_some())
        {
            // Layout is saved without marking the file changed; if it cannot be, the project is just dirty.
            if let Err(error) = self.write() {
                self.toast(Severity::Warning, error.message);
            }
        }
        self.tell_document(&change);
    }

    pub(super) fn save(&mut self) -> Result<(), ApiError> {
        self.write()?;
        self.conflict = None;
        self.tell(Event::Conflict(None));
        self.tell_document(&Change { cause: Some(DocumentCause::Saved), ..Change::default() });
        Ok(())
    }

    fn write(&mut self) -> Result<(), ApiError> {
        let Some(document) = &mut self.document else { return Err(api_error("not_open", "no pipeline is open")) };
        let Some(path) = &document.path else { return Err(api_error("no_path", "the pipeline has no file yet")) };
        write_whole(path, document.text().as_bytes())
            .map_err(|error| api_error("not_saved", format!("{} cannot be written: {error}", path.display())))?;
        document.mark_saved();
        Ok(())
    }

    pub(super) async fn save_as(&mut self, path: &Path) -> Result<(), ApiError> {
        let mut path: PathBuf = self.options.top.join(path);
        if !path.to_string_lossy().ends_with(".toml") {
            path = PathBuf::from(format!("{}.millrace.toml", path.display()));
        }
        let Some(document) = &mut self.document else { return Err(api_error("not_open", "no pipeline is open")) };
        let before = document.path.replace(path.clone());
        if let Err(error) = self.write() {
            if let Some(document) = &mut self.document {
                document.path = before;
            }
            return Err(error);
        }
        let name = self.document.as_ref().map(OpenDocument::file_stem).unwrap_or_default();
        self.recent.opened(&path, &name, now_ms());
        self.look_again().await;
        self.tell_document(&Change { cause: Some(DocumentCause::Saved), ..Change::default() });
        Ok(())
    }

    /// Looks whether the file changed under the project: a clean one follows, a dirty one asks.
    pub(super) async fn look_at_disk(&mut self) {
        let Some(document) = &mut self.document else { return };
        let Some(path) = document.path.clone() else { return };
        // A file that is away for a moment is being replaced, as editors do; one that stays away changes nothing here.
        let Ok(on_disk) = read_pipeline(&path) else { return };
        if on_disk == document.saved() {
            if self.conflict.take().is_some() {
                self.tell(Event::Conflict(None));
            }
            return;
        }
        if on_disk == document.text() {
            document.mark_saved();
            self.tell_document(&Change { cause: Some(DocumentCause::Saved), ..Change::default() });
        } else if document.is_dirty() {
            if self.conflict.as_ref() != Some(&on_disk) {
                self.conflict = Some(on_disk);
                let conflict = self.conflict_event();
                self.tell(Event::Conflict(conflict));
            }
        } else {
            let change = document.follow(on_disk);
            self.look_again().await;
            self.tell_document(&change);
        }
    }

    pub(super) async fn resolve_conflict(&mut self, choice: ConflictChoice) -> Result<(), ApiError> {
        let Some(on_disk) = self.conflict.take() else { return Err(api_error("no_conflict", "the file did not change")) };
        let Some(document) = &mut self.document else { return Err(api_error("not_open", "no pipeline is open")) };
        let change = match choice {
            ConflictChoice::Mine => {
                document.keep_mine(on_disk);
                Change::default()
            }
            ConflictChoice::Theirs => document.follow(on_disk),
        };
        self.tell(Event::Conflict(None));
        self.look_again().await;
        self.tell_document(&change);
        Ok(())
    }
}
