//! `host_metrics`: the load of the machine that the pipeline runs on, one row every so often.

use std::sync::{Arc, OnceLock};
use std::time::Duration as StdDuration;

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::field::Duration;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Category, DataType, Diagnostic, Diagnostics, Field, Inputs, KindInfo, NodeDecl, PortInfo, Schema};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Kind};
use millrace_engine::runtime::clock::Clock;
use millrace_engine::runtime::connector::{ConnectorContext, Read, Source, SourceFactory, SourceRows};
use millrace_engine::runtime::guarantee::{Promise, Replay};
use millrace_engine::runtime::{RunError, RunResult};
use polars::prelude::{DataFrame, Float64Chunked, Int64Chunked, IntoSeries, NewChunkedArray, TimeUnit};
use schemars::JsonSchema;
use serde::Deserialize;
use sysinfo::{Networks, System};

use crate::codes;
use crate::input;

/// The fields of `host_metrics`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostMetricsSpec {
    /// How long from one row to the next, `200ms` at least. `1s` if absent.
    #[serde(default)]
    pub every: Option<Duration>,
}

/// The processor's share of time cannot be told over less.
const LEAST: Duration = Duration::from_micros(200_000);
/// The first row comes after this, so that something shows soon.
const FIRST_AFTER: StdDuration = StdDuration::from_millis(250);
const MIB: f64 = 1_048_576.0;
const KIB: f64 = 1_024.0;

/// The kind `host_metrics`.
pub struct HostMetrics;

fn info() -> &'static KindInfo {
    static INFO: OnceLock<KindInfo> = OnceLock::new();
    INFO.get_or_init(|| KindInfo {
        name: "host_metrics",
        title: "Host metrics",
        category: Category::Source,
        icon: "cpu",
        summary: "Processor, memory, load and network of the machine that runs the pipeline.",
        inputs: Inputs::None,
        has_output: true,
        side_ports: &[PortInfo { name: "quarantined", summary: "Rows whose time cannot be." }],
        key_fields: &["every"],
        schema: schema_of::<HostMetricsSpec>,
    })
}

/// `time`, then figures: percent of all processors, MiB, percent, the load average of a minute, KiB/s.
const FIGURES: [&str; 6] = ["cpu_percent", "memory_used_mb", "memory_percent", "load_1m", "network_rx_kb_s", "network_tx_kb_s"];

fn schema() -> SchemaRef {
    let mut fields = vec![Field::new("time", DataType::Timestamp)];
    fields.extend(FIGURES.map(|name| Field::new(name, DataType::Double)));
    Arc::new(Schema::new(fields))
}

impl Kind for HostMetrics {
    fn info(&self) -> &KindInfo {
        info()
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: HostMetricsSpec = input.spec(found)?;
        let every = spec.every.unwrap_or(Duration::from_secs(1));
        if every < LEAST {
            let error = input.error(codes::BAD_OPTION, "every", "the load of a processor cannot be told over so short a time");
            found.push(error.expected(format!("at least {LEAST}")).found(every.to_string()));
            return None;
        }
        Some(input::bind_source(input.discovered?, Payload::new(every)))
    }
}

#[async_trait]
impl SourceFactory for HostMetrics {
    async fn discover(&self, _node: &NodeDecl, _context: &ConnectorContext) -> Result<SchemaRef, Diagnostic> {
        Ok(schema())
    }

    async fn open(&self, node: &Arc<BoundNode>, context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>> {
        let every = node.payload.get::<Duration>().ok_or_else(|| RunError::bug("host metrics without their plan"))?;
        let every = StdDuration::from_micros(every.micros.unsigned_abs());
        Ok(vec![Box::new(Meter::new(every, context.clock.clone()))])
    }

    fn replay(&self) -> Promise<Replay> {
        Promise { what: Replay::FromNow, needs: "what the machine did while the run was away nobody saw" }
    }

    fn default_event_time(&self) -> Option<&'static str> {
        Some("time")
    }
}

/// Looks at the machine at a steady beat.
struct Meter {
    clock: Arc<dyn Clock>,
    every_ns: u64,
    /// When the next row is due.
    due_ns: u64,
    looked_ns: u64,
    system: System,
    networks: Networks,
    rows: u64,
}

impl Meter {
    fn new(every: StdDuration, clock: Arc<dyn Clock>) -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        let now = clock.monotonic_ns();
        let first = FIRST_AFTER.min(every);
        Meter {
            every_ns: nanoseconds(every),
            due_ns: now + nanoseconds(first),
            looked_ns: now,
            clock,
            system,
            networks: Networks::new_with_refreshed_list(),
            rows: 0,
        }
    }

    fn look(&mut self) -> RunResult<SourceRows> {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        let now = self.clock.monotonic_ns();
        let seconds = (now.saturating_sub(self.looked_ns) as f64 / 1e9).max(1e-3);
        self.looked_ns = now;
        let (received, sent) = self
            .networks
            .values()
            .fold((0u64, 0u64), |(received, sent), network| (received + network.received(), sent + network.transmitted()));
        let (used, total) = (self.system.used_memory() as f64, self.system.total_memory() as f64);
        let figures = [
            f64::from(self.system.global_cpu_usage()),
            used / MIB,
            if total > 0.0 { 100.0 * used / total } else { 0.0 },
            System::load_average().one,
            received as f64 / KIB / seconds,
            sent as f64 / KIB / seconds,
        ];
        let time = Int64Chunked::from_slice("time".into(), &[self.clock.wall_us()]).into_datetime(TimeUnit::Microseconds, None);
        let mut columns = vec![time.into_series().into()];
        for (name, value) in FIGURES.iter().zip(figures) {
            columns.push(Float64Chunked::from_slice((*name).into(), &[value]).into_series().into());
        }
        self.rows += 1;
        Ok(SourceRows { frame: DataFrame::new(1, columns)?, first_position: self.rows, ..SourceRows::default() })
    }
}

fn nanoseconds(time: StdDuration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Source for Meter {
    fn name(&self) -> String {
        "host".to_owned()
    }

    async fn read(&mut self, _max_rows: usize) -> RunResult<Read> {
        loop {
            let now = self.clock.monotonic_ns();
            if now >= self.due_ns {
                // After a sleep of the machine the beat goes on from now.
                self.due_ns = if now - self.due_ns > self.every_ns { now + self.every_ns } else { self.due_ns + self.every_ns };
                return self.look().map(Read::Rows);
            }
            self.clock.sleep(StdDuration::from_nanos(self.due_ns - now)).await;
        }
    }

    fn position(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// What the machine did meanwhile nobody has seen: it goes on from now.
    fn seek(&mut self, _: &serde_json::Value) -> RunResult<()> {
        Ok(())
    }
}
