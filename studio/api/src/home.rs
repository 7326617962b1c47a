//! What can be opened, and where it can run.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct Home {
    /// Newest first.
    pub recent: Vec<RecentProject>,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct RecentProject {
    pub path: String,
    pub name: String,
    /// Milliseconds since 1970.
    pub opened_at_ms: f64,
    /// Whether the file is still there.
    pub exists: bool,
}

/// A card on the home screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Sample {
    /// `departures-2013`
    pub id: String,
    pub title: String,
    pub summary: String,
    /// A Lucide icon's name.
    pub icon: String,
}

/// One folder, within what the studio may show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Directory {
    pub path: String,
    /// None at the top of what may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub parent: Option<String>,
    /// Folders first, then files, by name.
    pub entries: Vec<DirEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct DirEntry {
    pub name: String,
    pub path: String,
    pub kind: DirEntryKind,
    pub size_bytes: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum DirEntryKind {
    Folder,
    /// A `.millrace.toml`.
    Pipeline,
    File,
}

/// A place to run at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Target {
    /// `local`, or the address: `ws://127.0.0.1:7400`.
    pub id: String,
    /// `This computer`, or the address without its scheme.
    pub title: String,
    pub state: TargetState,
    /// Why it is not ready, in words; else what it is (`8 cores, 0.1.0`).
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    Ready,
    Unreachable,
    Refused,
}
