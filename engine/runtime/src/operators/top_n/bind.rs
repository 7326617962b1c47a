//! Types a `top_n` against its input and finds what is wrong with it.

use std::sync::Arc;

use millrace_model::field::OnError;
use millrace_model::id::{LATE_PORT, MAIN_PORT, QUARANTINED_PORT};
use millrace_model::{ChangeMode, DataType, Diagnostics, Field, OP_COLUMN, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, InputPort, OutputPort, codes};

use super::ranking::RankingShape;
use super::spec::{TopNSpec, TopWindow};
use crate::batch::quarantine_schema;
use crate::operators::ordering::{bind_keys, bind_order, distribution};
use crate::operators::rows_store::{RowLayout, RowOrder};
use crate::operators::window::rows::WINDOW_COLUMNS;
use crate::operators::window::shape::{Shape, Windows};

/// What a `top_n` is made from.
#[derive(Debug, Clone)]
pub struct TopPlan {
    pub shape: RankingShape,
    pub mode: TopMode,
    pub rank: Option<String>,
    pub on_error: OnError,
}

/// Which rows are ranked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopMode {
    /// Those of a tumbling window; the window's columns stand in front.
    Tumbling(Windows),
    /// Those of the window that they carry.
    Carried(Windows),
    /// All.
    Updating { has_event_time: bool },
}

pub fn bind(input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
    let spec: TopNSpec = input.spec(found)?;
    let upstream = input.inputs.first()?;
    let schema = &upstream.schema;
    let keys = bind_keys(input, &spec.by, schema, found);
    let order = bind_order(input, &spec.order, schema, found);
    check_n(input, spec.n, found);
    if spec.order.is_empty() {
        found.push(input.error(codes::UNKNOWN_KEY, "order", "the first rows of what order?").expected("order = [\"price DESC\"]"));
    }
    let mode = mode_of(input, &spec, upstream, found);
    check_rank(input, spec.rank.as_deref(), found);
    let layout = match mode {
        TopMode::Updating { has_event_time: true } => RowLayout::visible(schema).with_time(),
        _ => RowLayout::visible(schema),
    };
    let ranking = RankingShape {
        order: RowOrder::new(&layout, &order),
        layout,
        keys,
        n: usize::try_from(spec.n).unwrap_or(usize::MAX).max(1),
        ties: spec.ties,
    };
    let outputs = outputs(upstream, mode, spec.rank.as_deref());
    let distribution = distribution(&ranking.keys);
    let on_error = input.node.common.on_error.unwrap_or_default();
    let plan = TopPlan { shape: ranking, mode, rank: spec.rank, on_error };
    Some(Bound { outputs, distribution, payload: Payload::new(plan) })
}

fn check_n(input: &BindInput<'_>, n: u64, found: &mut Diagnostics) {
    if n == 0 {
        found.push(input.error(codes::WINDOW_ROWS, "n", "no row is kept").expected("1 or more").found("0"));
    }
}

fn mode_of(input: &BindInput<'_>, spec: &TopNSpec, upstream: &InputPort, found: &mut Diagnostics) -> TopMode {
    let Some(window) = spec.window else {
        if spec.allowed_lateness.is_some() {
            let finding = input.error(codes::NO_WINDOW, "allowed_lateness", "without `window` no row is late");
            found.push(finding.help("set `window`, or leave `allowed_lateness` out"));
        }
        return TopMode::Updating { has_event_time: upstream.has_event_time };
    };
    if !upstream.has_event_time {
        let finding = input.error(codes::NO_EVENT_TIME, "window", "a window needs rows that say when they happened, and these do not");
        found.push(finding.help("set `event_time` on the source, to the column that holds the time"));
    }
    let allowed_lateness = spec.allowed_lateness.unwrap_or_default().micros;
    let windows = |size| Windows { shape: Shape::Hopping { size, slide: size }, offset: 0, allowed_lateness };
    match window {
        TopWindow::Tumbling(size) => {
            if size.micros <= 0 {
                found.push(
                    input.error(codes::WINDOW_SIZE, "window", "a window has a length").expected("more than 0").found(size.to_string()),
                );
            }
            check_no_window(input, &upstream.schema, found);
            TopMode::Tumbling(windows(size.micros.max(1)))
        }
        TopWindow::Input => {
            check_carried(input, &upstream.schema, found);
            TopMode::Carried(windows(1))
        }
    }
}

/// A window adds columns that the input must not have.
fn check_no_window(input: &BindInput<'_>, schema: &Schema, found: &mut Diagnostics) {
    if let Some(name) = WINDOW_COLUMNS.into_iter().find(|name| schema.field(name).is_some()) {
        let finding = input.error(codes::DOUBLE_COLUMN, "window", format!("the input has a column `{name}` already"));
        found.push(finding.help("`window = \"input\"` ranks within the windows that the rows carry"));
    }
}

fn check_carried(input: &BindInput<'_>, schema: &Schema, found: &mut Diagnostics) {
    for name in ["window_start", "window_end"] {
        let known = schema.field(name).map(|field| field.data_type);
        if known != Some(DataType::Timestamp) {
            let message = format!("the input's rows carry no window: there is no TIMESTAMP `{name}`");
            let finding = input.error(codes::NO_WINDOW, "window", message).expected("rows of a window, with window_start and window_end");
            found.push(match known {
                Some(data_type) => finding.found(format!("`{name}` of type {data_type}")),
                None => finding.help("name a length, such as window = \"10s\", to make windows here"),
            });
        }
    }
}

fn check_rank(input: &BindInput<'_>, rank: Option<&str>, found: &mut Diagnostics) {
    if rank.is_some_and(|name| name.trim().is_empty()) {
        found.push(input.error(codes::RESERVED_COLUMN, "rank", "a column has a name").help("such as rank = \"place\""));
    }
}

fn outputs(upstream: &InputPort, mode: TopMode, rank: Option<&str>) -> Vec<OutputPort> {
    let mut fields: Vec<Field> = match mode {
        TopMode::Tumbling(_) => WINDOW_COLUMNS.iter().map(|name| Field::required(*name, DataType::Timestamp)).collect(),
        _ => Vec::new(),
    };
    fields.extend(upstream.schema.fields.iter().cloned());
    fields.extend(rank.map(|name| Field::required(name, DataType::BigInt)));
    let (change, has_event_time) = match mode {
        TopMode::Updating { has_event_time } => (ChangeMode::Retract, has_event_time),
        _ => (ChangeMode::Append, true),
    };
    if change.has_op() {
        fields.push(Field::required(OP_COLUMN, DataType::Varchar));
    }
    vec![
        OutputPort { name: MAIN_PORT.to_owned(), schema: Arc::new(Schema::new(fields)), mode: change, has_event_time },
        OutputPort::append(LATE_PORT, upstream.schema.clone(), upstream.has_event_time),
        OutputPort::append(QUARANTINED_PORT, quarantine_schema(), false),
    ]
}
