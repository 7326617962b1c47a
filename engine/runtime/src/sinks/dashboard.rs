//! `dashboard`: rows for the studio's charts and tables.
//!
//! ```toml
//! [node.chart]
//! kind = "dashboard"
//! input = "hourly"
//! plot = { x = "window_start", y = "mean_delay", series = "origin" }
//! ```
//!
//! It keeps nothing: rows are handed to the engine's host, which holds the newest and counts the others.
//!
//! The law of its rows: `rows_in = accepted`.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::catalog::schema_of;
use millrace_model::field::ColumnName;
use millrace_model::{Category, ChangeMode, DataType, Diagnostics, Inputs, KindInfo, NodeId, Schema};
use millrace_plan::kind::Payload;
use millrace_plan::{BindInput, Bound, BoundNode, Distribution, Kind, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::connector::{BadRecord, Committable, ConnectorContext, Finality, ResultSink, Sink, SinkFactory};
use crate::error::RunResult;
use crate::guarantee::{Promise, Visibility};

/// Shows rows as a chart and a table while they come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DashboardSpec {
    /// What to draw; a table alone if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plot: Option<Plot>,
}

/// One chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    /// The horizontal axis: a time, a number, or names for bars.
    pub x: ColumnName,
    /// The vertical axis: a number.
    pub y: ColumnName,
    /// One line or colour for each value of this column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<ColumnName>,
    #[serde(default)]
    pub mark: Mark,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    #[default]
    Line,
    Bar,
}

pub struct Dashboard {
    info: KindInfo,
}

impl Default for Dashboard {
    fn default() -> Self {
        let info = KindInfo {
            name: "dashboard",
            title: "Dashboard",
            category: Category::Sink,
            icon: "chart-line",
            summary: "Shows rows as a chart and a table while they come.",
            inputs: Inputs::One,
            has_output: false,
            side_ports: &[],
            key_fields: &["plot"],
            schema: schema_of::<DashboardSpec>,
        };
        Dashboard { info }
    }
}

impl Kind for Dashboard {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    /// Of rows that change, the changes are shown, with `__op`.
    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: DashboardSpec = input.spec(found)?;
        let upstream = input.inputs.first()?;
        if let Some(plot) = &spec.plot {
            check_plot(input, plot, &upstream.schema, found);
        }
        Some(Bound { outputs: Vec::new(), distribution: Distribution::Single, payload: Payload::new(()) })
    }
}

fn check_plot(input: &BindInput<'_>, plot: &Plot, schema: &Schema, found: &mut Diagnostics) {
    let x_of_line = |of: DataType| of.is_temporal() || of.is_numeric();
    /// A field of the plot, its column, what fits in words, and what fits.
    type Axis<'a> = (&'a str, Option<&'a ColumnName>, &'a str, &'a dyn Fn(DataType) -> bool);
    let axes: [Axis<'_>; 3] = match plot.mark {
        Mark::Line => [
            ("plot.x", Some(&plot.x), "a time or a number", &x_of_line),
            ("plot.y", Some(&plot.y), "a number", &|of| of.is_numeric()),
            ("plot.series", plot.series.as_ref(), "", &|_| true),
        ],
        Mark::Bar => [
            ("plot.x", Some(&plot.x), "", &|_| true),
            ("plot.y", Some(&plot.y), "a number", &|of| of.is_numeric()),
            ("plot.series", plot.series.as_ref(), "", &|_| true),
        ],
    };
    for (field, column, expected, fits) in axes {
        let Some(column) = column else { continue };
        match schema.field(&column.0) {
            None => {
                let error = input.error(codes::PLOT_COLUMN, field, format!("there is no column `{}` to draw", column.0));
                let names: Vec<&str> = schema.names().collect();
                found.push(error.expected(format!("one of {}", names.join(", "))).nearest_of(&column.0, names));
            }
            Some(known) if !fits(known.data_type) => {
                let error = input.error(codes::PLOT_COLUMN, field, format!("`{}` cannot be drawn here", known.name));
                found.push(error.expected(expected).found(known.data_type.name()));
            }
            Some(_) => {}
        }
    }
}

#[async_trait]
impl SinkFactory for Dashboard {
    fn visibility(&self) -> Promise<Visibility> {
        Promise { what: Visibility::AsTheyCome, needs: "rows since the last epoch come again" }
    }

    async fn create(&self, _node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Box<dyn Sink>> {
        Ok(Box::new(DashboardSink { node: context.node.clone(), results: context.results.clone() }))
    }

    async fn commit(&self, _node: &Arc<BoundNode>, _context: &ConnectorContext, _ready: Vec<Committable>, _: Finality) -> RunResult<()> {
        Ok(())
    }
}

struct DashboardSink {
    node: NodeId,
    results: Arc<dyn ResultSink>,
}

#[async_trait]
impl Sink for DashboardSink {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        self.results.publish(&self.node, batch.clone());
        Ok(Vec::new())
    }

    async fn prepare(&mut self, _epoch: u64) -> RunResult<Option<Committable>> {
        Ok(None)
    }

    async fn abort(&mut self) -> RunResult<()> {
        Ok(())
    }
}
