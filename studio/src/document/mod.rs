//! The open pipeline: its text, what was undone, and the file behind it.

mod diff;
mod findings;
mod look;

use std::path::{Path, PathBuf};

use millrace_engine::model::file::{Edit, Edited, edit_all};
use millrace_engine::model::{Catalog, Diagnostic};
use millrace_studio_api::{DocumentCause, LineRange};

pub use diff::text_diff;
pub use findings::{finding, findings};
pub use look::{Look, Looker};

/// Most steps that can be undone, and most bytes that they may hold.
const MAX_UNDO_STEPS: usize = 500;
const MAX_UNDO_BYTES: usize = 32 << 20;

/// A text with its past. Every change goes through here, so that undo covers everything.
#[derive(Debug, Clone)]
pub struct OpenDocument {
    pub path: Option<PathBuf>,
    text: String,
    /// What the file holds, as far as the studio knows.
    saved: String,
    revision: u32,
    undo: Vec<String>,
    redo: Vec<String>,
    /// Whether the last step was typing, which the next typing may go on with.
    typing: bool,
}

/// What a change did, for the screens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub cause: Option<DocumentCause>,
    pub changed_lines: Vec<LineRange>,
    pub new_nodes: Vec<String>,
}

impl OpenDocument {
    /// A text that equals its file.
    pub fn opened(path: PathBuf, text: String) -> Self {
        OpenDocument { path: Some(path), saved: text.clone(), text, revision: 1, undo: Vec::new(), redo: Vec::new(), typing: false }
    }

    /// A pipeline that is on no disk yet.
    pub fn new_pipeline() -> Self {
        let text = "millrace = 1\n\n[pipeline]\nname = \"untitled\"\n".to_owned();
        OpenDocument { path: None, saved: text.clone(), text, revision: 1, undo: Vec::new(), redo: Vec::new(), typing: false }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn revision(&self) -> u32 {
        self.revision
    }

    pub fn is_dirty(&self) -> bool {
        self.text != self.saved
    }

    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// The folder that relative paths start at; none before the first save.
    pub fn folder(&self) -> Option<&Path> {
        self.path.as_deref().and_then(Path::parent)
    }

    /// The file's name without its extensions.
    pub fn file_stem(&self) -> String {
        let name = self.path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_suffix(".millrace.toml").or_else(|| name.strip_suffix(".toml")).unwrap_or(&name).to_owned()
    }

    fn replace(&mut self, text: String) {
        self.revision = self.revision.wrapping_add(1);
        self.text = text;
    }

    fn step(&mut self, text: String) {
        let before = std::mem::take(&mut self.text);
        self.undo.push(before);
        self.redo.clear();
        while self.undo.len() > MAX_UNDO_STEPS || self.undo.iter().map(String::len).sum::<usize>() > MAX_UNDO_BYTES {
            self.undo.remove(0);
        }
        self.replace(text);
    }

    /// Carries out all of a gesture's edits as one step, or none of them.
    pub fn edit(&mut self, edits: &[Edit], catalog: &Catalog) -> Result<Change, Diagnostic> {
        let Edited { text, changed_lines, new_nodes } = edit_all(&self.text, edits, catalog)?;
        let moved = edits.iter().all(|edit| matches!(edit, Edit::MoveNodes { .. }));
        self.typing = false;
        if text != self.text {
            self.step(text);
        }
        Ok(Change {
            cause: Some(if moved { DocumentCause::Moved } else { DocumentCause::Edited }),
            changed_lines: changed_lines.iter().map(|lines| LineRange { first: lines.start, last: lines.end.saturating_sub(1) }).collect(),
            new_nodes: new_nodes.iter().map(ToString::to_string).collect(),
        })
    }

    /// Takes the text as typed. With `continues` the step before is gone on with.
    pub fn set_text(&mut self, text: String, continues: bool) -> Change {
        if text != self.text {
            if continues && self.typing {
                self.replace(text);
                self.redo.clear();
            } else {
                self.step(text);
            }
        }
        self.typing = true;
        Change { cause: Some(DocumentCause::Typed), ..Change::default() }
    }

    pub fn undo(&mut self) -> Option<Change> {
        let text = self.undo.pop()?;
        let now = std::mem::take(&mut self.text);
        self.redo.push(now);
        self.typing = false;
        Some(self.moved_through(text, DocumentCause::Undone))
    }

    pub fn redo(&mut self) -> Option<Change> {
        let text = self.redo.pop()?;
        let now = std::mem::take(&mut self.text);
        self.undo.push(now);
        self.typing = false;
        Some(self.moved_through(text, DocumentCause::Redone))
    }

    fn moved_through(&mut self, text: String, cause: DocumentCause) -> Change {
        let before = self.undo.last().or(self.redo.last()).cloned().unwrap_or_default();
        let changed_lines = diff::changed_lines(&before, &text);
        self.replace(text);
        Change { cause: Some(cause), changed_lines, new_nodes: Vec::new() }
    }

    /// The text is now what the file holds.
    pub fn mark_saved(&mut self) {
        self.saved.clone_from(&self.text);
    }

    /// What the file holds, as far as the studio knows.
    pub fn saved(&self) -> &str {
        &self.saved
    }

    /// The file changed and this project has nothing unsaved: it follows. Undo brings the text before back.
    pub fn follow(&mut self, text: String) -> Change {
        let changed_lines = diff::changed_lines(&self.text, &text);
        self.saved.clone_from(&text);
        self.typing = false;
        self.step(text);
        Change { cause: Some(DocumentCause::Disk), changed_lines, new_nodes: Vec::new() }
    }

    /// The file changed under unsaved work, and the studio's text is kept: the next save overwrites the file.
    pub fn keep_mine(&mut self, on_disk: String) {
        self.saved = on_disk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> OpenDocument {
        OpenDocument::opened(PathBuf::from("/p/a.millrace.toml"), "millrace = 1\n".to_owned())
    }

    #[test]
    fn undo_takes_back_typing_in_one_step_and_redo_brings_it_again() {
        let mut document = document();
        document.set_text("millrace = 1\n#".to_owned(), false);
        document.set_text("millrace = 1\n# a".to_owned(), true);
        assert!(document.is_dirty());
        document.undo();
        assert_eq!(document.text(), "millrace = 1\n");
        assert!(!document.is_dirty());
        document.redo();
        assert_eq!(document.text(), "millrace = 1\n# a");
        assert!(document.undo().is_some());
        assert!(document.undo().is_none());
    }

    #[test]
    fn a_clean_project_follows_its_file_and_undo_brings_the_text_before_back() {
        let mut document = document();
        let change = document.follow("millrace = 1\n# from outside\n".to_owned());
        assert!(!document.is_dirty());
        assert_eq!(change.changed_lines, [LineRange { first: 2, last: 2 }]);
        document.undo();
        assert_eq!(document.text(), "millrace = 1\n");
        assert!(document.is_dirty());
    }

    #[test]
    fn a_new_step_forgets_what_was_undone() {
        let mut document = document();
        document.set_text("a".to_owned(), false);
        document.undo();
        document.set_text("b".to_owned(), false);
        assert!(document.redo().is_none());
    }
}
