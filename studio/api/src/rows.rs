//! Rows as text.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::document::Column;

/// Rows ready to show. A value is text as DuckDB would write it; NULL is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct RowsPage {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows in all, of which this is a part.
    pub total: f64,
}

/// Rows that come unasked, in a binary frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct RowsFrame {
    pub subject: RowsSubject,
    pub page: RowsPage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum RowsSubject {
    /// A sample of an edge.
    Edge { from: String, port: String, to: String },
}
