//! Changes to a pipeline, made in its text: an edit changes the lines that it means, and not a byte beside them.

mod alert;
mod clipboard;
mod lines;
mod node;
mod tree;
mod value;
mod wire;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::tree::Tree;
use crate::catalog::Catalog;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::id::NodeId;

pub use clipboard::copy;
pub use node::free_name;

/// One change, as a gesture on the canvas or in a form means it. Ports are written `node` or `node.port`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "edit")]
pub enum Edit {
    /// Adds a node after the others; named after its kind where `id` is absent.
    AddNode {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        kind: String,
        #[serde(default)]
        fields: Map<String, Value>,
        #[serde(default)]
        inputs: Vec<EditInput>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<[f64; 2]>,
    },
    /// Removes nodes, every input that reads them, and every alert that watches them.
    RemoveNodes {
        ids: Vec<String>,
    },
    /// Renames a node and every reference to it. `keep_state` notes the old name in `renamed_from`.
    RenameNode {
        from: String,
        to: String,
        #[serde(default)]
        keep_state: bool,
    },
    /// Sets a field, or removes it where `value` is null. `path` has one entry per level: `["aggregate", "mean_delay"]`.
    SetField {
        node: String,
        path: Vec<String>,
        #[serde(default)]
        value: Value,
    },
    /// The same in the `[pipeline]` table.
    SetPipelineField {
        path: Vec<String>,
        #[serde(default)]
        value: Value,
    },
    /// Adds an alert after the others; named after its figure where `name` is absent.
    AddAlert {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default)]
        fields: Map<String, Value>,
    },
    /// Sets a field of an alert, or removes it where `value` is null.
    SetAlertField {
        alert: String,
        path: Vec<String>,
        #[serde(default)]
        value: Value,
    },
    RenameAlert {
        from: String,
        to: String,
    },
    RemoveAlert {
        alert: String,
    },
    /// Lets `to` read the port `from`: in place of its one input, beside the others, or as the input named.
    Connect {
        from: String,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
    },
    Disconnect {
        from: String,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
    },
    MoveNodes {
        positions: BTreeMap<String, [f64; 2]>,
    },
    /// Adds the nodes of a text that [`copy`] gave, under free names.
    Paste {
        text: String,
        #[serde(flatten)]
        place: PastePlace,
    },
    /// Copies nodes beside themselves.
    Duplicate {
        ids: Vec<String>,
        offset: [f64; 2],
    },
}

/// An input of a node that is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub from: String,
}

/// Where pasted nodes go, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastePlace {
    /// Their common left upper corner comes here.
    At([f64; 2]),
    /// They are moved by this from where they were copied.
    Offset([f64; 2]),
}

/// A text after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    pub text: String,
    /// Lines of the new text that are new or changed, from 1, the end not included. Lines that went away leave nothing here.
    pub changed_lines: Vec<Range<u32>>,
    /// Nodes that the edit made.
    pub new_nodes: Vec<NodeId>,
}

/// Makes one change.
///
/// # Errors
/// The text is not TOML, or has no place for the change; the finding says which.
pub fn edit(text: &str, edit: &Edit, catalog: &Catalog) -> Result<Edited, Diagnostic> {
    let mut tree = Tree::parse(text)?;
    let new_nodes = apply(&mut tree, edit, catalog)?;
    let (text, changed_lines) = tree.finish()?;
    Ok(Edited { text, changed_lines, new_nodes })
}

/// Makes all changes, one after the other, or none. The lines are those that differ from `text`.
///
/// # Errors
/// As for [`edit`].
pub fn edit_all(text: &str, edits: &[Edit], catalog: &Catalog) -> Result<Edited, Diagnostic> {
    let mut all = Edited { text: text.to_owned(), changed_lines: Vec::new(), new_nodes: Vec::new() };
    for one in edits {
        let edited = edit(&all.text, one, catalog)?;
        all.text = edited.text;
        all.new_nodes.extend(edited.new_nodes);
    }
    all.changed_lines = lines::changed(text, &all.text);
    Ok(all)
}

fn apply(tree: &mut Tree, edit: &Edit, catalog: &Catalog) -> Result<Vec<NodeId>, Diagnostic> {
    match edit {
        Edit::AddNode { id, kind, fields, inputs, position } => {
            let id = node::add(tree, id.as_deref(), kind)?;
            for input in inputs {
                wire::connect(tree, &input.from, &id, input.name.as_deref(), catalog)?;
            }
            node::set_fields(tree, &id, fields)?;
            if let Some(position) = position {
                node::place(tree, &id, *position)?;
            }
            return Ok(vec![NodeId::new(id)]);
        }
        Edit::RemoveNodes { ids } => {
            node::remove(tree, ids)?;
            for id in ids {
                alert::follow(tree, id, None)?;
            }
        }
        Edit::RenameNode { from, to, keep_state } => {
            node::rename(tree, from, to, *keep_state)?;
            alert::follow(tree, from, Some(to))?;
        }
        Edit::AddAlert { name, fields } => {
            alert::add(tree, name.as_deref(), fields)?;
        }
        Edit::SetAlertField { alert, path, value } => alert::set(tree, alert, path, value)?,
        Edit::RenameAlert { from, to } => alert::rename(tree, from, to)?,
        Edit::RemoveAlert { alert } => alert::remove(tree, alert)?,
        Edit::SetField { node, path, value } => {
            let orphan = value::set(tree.node_mut(node)?, path, value)?;
            tree.rehome_after(node, orphan);
        }
        Edit::SetPipelineField { path, value } => {
            if !value.is_null() || tree.has_settings() {
                let orphan = value::set(tree.settings_mut()?, path, value)?;
                tree.rehome(orphan, 0);
            }
        }
        Edit::Connect { from, to, input } => wire::connect(tree, from, to, input.as_deref(), catalog)?,
        Edit::Disconnect { from, to, input } => wire::disconnect(tree, from, to, input.as_deref())?,
        Edit::MoveNodes { positions } => {
            for (id, position) in positions {
                tree.must_have(id)?;
                node::place(tree, id, *position)?;
            }
        }
        Edit::Paste { text, place } => return clipboard::paste(tree, text, *place),
        Edit::Duplicate { ids, offset } => {
            let fragment = clipboard::fragment(tree, ids)?;
            return clipboard::paste(tree, &fragment, PastePlace::Offset(*offset));
        }
    }
    Ok(Vec::new())
}

/// An edit that cannot be made.
fn refuse(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::BAD_EDIT, message)
}
