//! Rows as text, for tables.

use millrace_engine::expr::{as_text, from_polars};
use millrace_engine::runtime::batch::is_hidden;
use millrace_studio_api::{Column, RowsPage};
use polars::prelude::DataFrame;

/// Longest value shown, in characters.
const MAX_VALUE_CHARS: usize = 512;

/// The columns that are shown, with their types.
pub fn columns(frame: &DataFrame) -> Vec<Column> {
    let shown = frame.columns().iter().filter(|column| !is_hidden(column.name()));
    shown
        .map(|column| Column {
            name: column.name().to_string(),
            data_type: from_polars(column.dtype()).map_or_else(|| column.dtype().to_string(), |data_type| data_type.name().to_owned()),
        })
        .collect()
}

/// Every row of a frame as text.
pub fn texts(frame: &DataFrame) -> Vec<Vec<Option<String>>> {
    let mut rows = vec![Vec::new(); frame.height()];
    for column in frame.columns().iter().filter(|column| !is_hidden(column.name())) {
        let values = as_text(column.as_materialized_series()).ok();
        for (at, row) in rows.iter_mut().enumerate() {
            row.push(values.as_ref().and_then(|values| values.get(at)).map(shortened));
        }
    }
    rows
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE_CHARS) {
        Some((at, _)) => format!("{}…", value.get(..at).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// A frame as a page.
pub fn page(frame: &DataFrame) -> RowsPage {
    RowsPage { columns: columns(frame), rows: texts(frame), total: frame.height() as f64 }
}
