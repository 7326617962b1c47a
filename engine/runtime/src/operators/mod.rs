//! The kinds that the engine brings itself, one file or folder each.
//!
//! To add one: a file here (docs with an example, `Spec` with its schema, the law of its rows, tests) and one line in [`all`].

pub mod aggregate;
pub mod changes;
pub mod deduplicate;
pub mod derive;
pub mod filter;
pub mod group_aggregate;
mod intake;
mod ordering;
pub mod project;
pub mod resting;
pub mod row_errors;
mod rows_store;
pub mod select;
pub mod top_n;
pub mod union;
pub mod window;

use std::sync::Arc;

use crate::registry::Entry;
use crate::sinks::dashboard::Dashboard;

/// Every kind that the engine brings, its sinks too.
pub fn all() -> Vec<Entry> {
    vec![
        Entry::Operator(Arc::new(filter::Filter::default())),
        Entry::Operator(Arc::new(select::Select::default())),
        Entry::Operator(Arc::new(derive::Derive::default())),
        Entry::Operator(Arc::new(union::Union::default())),
        Entry::Operator(Arc::new(group_aggregate::Aggregate::default())),
        Entry::Operator(Arc::new(window::TumblingWindow::default())),
        Entry::Operator(Arc::new(window::HoppingWindow::default())),
        Entry::Operator(Arc::new(window::CumulateWindow::default())),
        Entry::Operator(Arc::new(window::SessionWindow::default())),
        Entry::Operator(Arc::new(window::CountWindow::default())),
        Entry::Operator(Arc::new(window::GlobalWindow::default())),
        Entry::Operator(Arc::new(deduplicate::Deduplicate::default())),
        Entry::Operator(Arc::new(top_n::TopN::default())),
        Entry::Sink(Arc::new(Dashboard::default())),
    ]
}
