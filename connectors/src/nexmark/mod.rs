//! `nexmark`: the persons, auctions and bids of the field's benchmark, made as they are read.
//!
//! ```toml
//! [node.bids]
//! kind = "nexmark"
//! stream = "bid"
//! events = 1000000
//! ```
//!
//! The three streams of one seed belong together: bids are for auctions that the auction stream has, and so on. An event is a pure
//! function of the seed and its number ([`generator`]), the order in which a partition gives them one of its fields ([`order`]), and its
//! place the number of the next event: a run goes on exactly where it was, at any parallelism. What is made is what is asked for, so that
//! every row that is read is accepted, unless its time is too far ahead for the pipeline.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::field::{Duration, Rate};
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Category, Diagnostic, Diagnostics, Inputs, KindInfo, NodeDecl, PortInfo};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Kind};
use millrace_engine::runtime::connector::{ConnectorContext, Read, Source, SourceFactory, SourceProgress, SourceRows};
use millrace_engine::runtime::files::Files;
use millrace_engine::runtime::guarantee::{Promise, Replay};
use millrace_engine::runtime::{RunError, RunResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod generator;
pub mod order;
pub mod random;

use generator::Generator;
use order::{LAST, STRIDE, Slice};

use crate::reader::changed;
use crate::{codes, input};

/// One of the benchmark's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Those who sell and bid: `id, name, email_address, credit_card, city, state, date_time, extra`.
    Person,
    /// `id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, extra`.
    Auction,
    /// `auction, bidder, price, channel, url, date_time, extra`.
    Bid,
}

/// The fields of `nexmark`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NexmarkSpec {
    /// Which of the three streams. Each has the column `event_number` beside its own.
    pub stream: Stream,
    /// How many events there are of the three streams together: of 50 one is a person, three are auctions, 46 are bids. Without end if
    /// absent.
    #[serde(default)]
    pub events: Option<u64>,
    /// How many events of the three streams together come in a second of event time; how fast they are made is for `replay` to say.
    /// `10000/s` if absent.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Another seed, other events. 0 if absent.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The number of the first event. 0 if absent.
    #[serde(default)]
    pub first_event: Option<u64>,
    /// Within groups of so many events they come in another order than that of their times. 1, which is in order, if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub disorder: Option<u64>,
    /// How many parts the stream is made in, side by side: as many tasks can share the work. 8 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub partitions: Option<u32>,
}

const DEFAULT_RATE: u64 = 10_000;
const MOST_RATE: f64 = 1e12;
const DEFAULT_PARTITIONS: u32 = 8;
const MOST_PARTITIONS: u32 = 1_024;
const MOST_DISORDER: u64 = 1_000_000;

/// What binding keeps for running.
#[derive(Debug, Clone)]
struct NexmarkPlan {
    seed: u64,
    rate: u64,
    is_endless: bool,
    /// Of partition 0.
    slice: Slice,
}

/// The kind `nexmark`.
pub struct Nexmark;

fn info() -> &'static KindInfo {
    static INFO: OnceLock<KindInfo> = OnceLock::new();
    INFO.get_or_init(|| KindInfo {
        name: "nexmark",
        title: "Nexmark",
        category: Category::Source,
        icon: "gavel",
        summary: "Makes the persons, auctions and bids of the Nexmark benchmark, the same every time.",
        inputs: Inputs::None,
        has_output: true,
        side_ports: &[PortInfo { name: "quarantined", summary: "Rows whose time is further ahead than `max_ahead` allows." }],
        key_fields: &["stream"],
        schema: schema_of::<NexmarkSpec>,
    })
}

fn wrong(node: &NodeDecl, field: &str, message: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Diagnostic {
    node.error(codes::BAD_OPTION, field, message).expected(expected).found(found.to_string())
}

fn rate_of(node: &NodeDecl, spec: &NexmarkSpec) -> Result<u64, Diagnostic> {
    let Some(rate) = spec.rate else { return Ok(DEFAULT_RATE) };
    let per_second = rate.rows_per_second;
    if per_second.fract() != 0.0 || !(1.0..=MOST_RATE).contains(&per_second) {
        return Err(wrong(node, "rate", "events come a whole number of times a second", "`1/s` to `1000000000000/s`", rate));
    }
    Ok(per_second as u64)
}

fn plan_of(node: &NodeDecl, spec: &NexmarkSpec) -> Result<NexmarkPlan, Diagnostic> {
    let disorder = spec.disorder.unwrap_or(1);
    if !(1..=MOST_DISORDER).contains(&disorder) || disorder.is_multiple_of(STRIDE) {
        let expected = format!("1 to {MOST_DISORDER}, and no multiple of {STRIDE}");
        return Err(wrong(node, "disorder", "events cannot change places in groups of so many", expected, disorder));
    }
    let partitions = spec.partitions.unwrap_or(DEFAULT_PARTITIONS);
    if !(1..=MOST_PARTITIONS).contains(&partitions) {
        return Err(wrong(node, "partitions", "a stream cannot have so many parts", format!("1 to {MOST_PARTITIONS}"), partitions));
    }
    let first = spec.first_event.unwrap_or(0);
    let end = spec.events.map_or(Some(LAST), |events| first.checked_add(events)).filter(|end| *end <= LAST && first < LAST);
    let Some(end) = end else {
        let field = if spec.events.is_some() { "events" } else { "first_event" };
        let found = spec.events.unwrap_or(first);
        return Err(wrong(node, field, "events are numbered up to 2^53", format!("numbers below {LAST}"), found));
    };
    let slice = Slice { stream: spec.stream, first, end, disorder, partition: 0, partitions: u64::from(partitions) };
    Ok(NexmarkPlan { seed: spec.seed.unwrap_or(0), rate: rate_of(node, spec)?, is_endless: spec.events.is_none(), slice })
}

fn spec_of(node: &NodeDecl) -> Result<NexmarkSpec, Diagnostic> {
    serde_json::from_value(node.spec.clone()).map_err(|error| node.error(codes::BAD_OPTION, "", error.to_string()))
}

impl Kind for Nexmark {
    fn info(&self) -> &KindInfo {
        info()
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: NexmarkSpec = input.spec(found)?;
        let plan = plan_of(input.node, &spec).map_err(|finding| found.push(finding)).ok()?;
        Some(input::bind_source(input.discovered?, Payload::new(plan)))
    }
}

#[async_trait]
impl SourceFactory for Nexmark {
    fn replay(&self) -> Promise<Replay> {
        Promise { what: Replay::FromOffset, needs: "" }
    }

    async fn discover(&self, node: &NodeDecl, _context: &ConnectorContext) -> Result<SchemaRef, Diagnostic> {
        Ok(Arc::new(generator::schema(spec_of(node)?.stream)))
    }

    async fn open(&self, node: &Arc<BoundNode>, _context: &ConnectorContext) -> RunResult<Vec<Box<dyn Source>>> {
        let plan = node.payload.get::<NexmarkPlan>().ok_or_else(|| RunError::bug("a Nexmark source without its plan"))?;
        let generator = Arc::new(Generator::new(plan.seed, plan.rate));
        let partition = |partition| {
            let slice = Slice { partition, ..plan.slice.clone() };
            let next = slice.first;
            Box::new(Partition { generator: generator.clone(), slice, is_endless: plan.is_endless, next }) as Box<dyn Source>
        };
        Ok((0..plan.slice.partitions).map(partition).collect())
    }

    fn default_event_time(&self) -> Option<&'static str> {
        Some("date_time")
    }

    /// As the benchmark has it.
    fn default_max_delay(&self) -> Option<Duration> {
        Some(Duration::from_secs(4))
    }

    fn max_parallelism(&self, node: &NodeDecl, _files: &Files) -> Option<u32> {
        spec_of(node).ok()?.partitions.or(Some(DEFAULT_PARTITIONS))
    }
}

/// A part of a stream, as far as it was given out.
struct Partition {
    generator: Arc<Generator>,
    slice: Slice,
    is_endless: bool,
    /// The place where the next read begins.
    next: u64,
}

#[async_trait]
impl Source for Partition {
    fn name(&self) -> String {
        format!("{} events {} of {}", self.slice.stream.name(), self.slice.partition + 1, self.slice.partitions)
    }

    async fn read(&mut self, max_rows: usize) -> RunResult<Read> {
        let mut numbers = Vec::with_capacity(max_rows.max(1));
        self.next = self.slice.take(self.next, max_rows.max(1), &mut numbers);
        if numbers.is_empty() {
            return Ok(Read::End);
        }
        let frame = self.generator.frame(self.slice.stream, &numbers)?;
        let first_position = numbers.first().copied().unwrap_or_default();
        Ok(Read::Rows(SourceRows { frame, first_position, positions: numbers, bad: Vec::new() }))
    }

    fn position(&self) -> Value {
        self.next.into()
    }

    fn seek(&mut self, position: &Value) -> RunResult<()> {
        let place = position.as_u64().filter(|place| (self.slice.first..=self.slice.end).contains(place));
        self.next = place.ok_or_else(|| changed(&self.name(), &format!("{position} is no place in it")))?;
        Ok(())
    }

    fn position_text(&self, position: u64) -> String {
        format!("event {position}")
    }

    fn progress(&self) -> Option<SourceProgress> {
        let places = |to| self.slice.places_before(to);
        (!self.is_endless).then(|| SourceProgress { done: places(self.next), total: places(self.slice.end) })
    }
}

impl Stream {
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Person => "person",
            Stream::Auction => "auction",
            Stream::Bid => "bid",
        }
    }
}
