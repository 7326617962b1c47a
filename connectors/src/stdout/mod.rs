//! `stdout`: writes CSV or JSON Lines to standard output, each batch as it comes; of rows that change, the changes, with `__op`.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock, mpsc};

use async_trait::async_trait;
use millrace_engine::model::catalog::schema_of;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Category, ChangeMode, Diagnostics, Inputs, KindInfo};
use millrace_engine::plan::kind::Payload;
use millrace_engine::plan::{BindInput, Bound, BoundNode, Distribution, Kind};
use millrace_engine::runtime::Batch;
use millrace_engine::runtime::connector::{BadRecord, Committable, ConnectorContext, Finality, Sink, SinkFactory};
use millrace_engine::runtime::guarantee::{Promise, Visibility};
use millrace_engine::runtime::{RunError, RunResult};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::codes;
use crate::format::{csv, jsonl};
use crate::stdin::LineFormat;

/// The fields of `stdout`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutSpec {
    /// The format; `jsonl` if absent.
    #[serde(default)]
    pub format: Option<LineFormat>,
}

/// What binding keeps for running.
struct StdoutPlan {
    format: LineFormat,
    schema: SchemaRef,
}

/// The kind `stdout`.
pub struct Stdout;

fn info() -> &'static KindInfo {
    static INFO: OnceLock<KindInfo> = OnceLock::new();
    INFO.get_or_init(|| KindInfo {
        name: "stdout",
        title: "Standard output",
        category: Category::Sink,
        icon: "terminal",
        summary: "Writes rows to the process's standard output: CSV or JSON Lines.",
        inputs: Inputs::One,
        has_output: false,
        side_ports: &[],
        key_fields: &["format"],
        schema: schema_of::<StdoutSpec>,
    })
}

impl Kind for Stdout {
    fn info(&self) -> &KindInfo {
        info()
    }

    fn takes(&self, _: &ChangeMode) -> bool {
        true
    }

    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound> {
        let spec: StdoutSpec = input.spec(found)?;
        let schema = input.inputs.first()?.schema.clone();
        let payload = Payload::new(StdoutPlan { format: spec.format.unwrap_or_default(), schema });
        Some(Bound { outputs: Vec::new(), distribution: Distribution::Single, payload })
    }
}

#[async_trait]
impl SinkFactory for Stdout {
    fn stays_here(&self) -> bool {
        true
    }

    fn visibility(&self) -> Promise<Visibility> {
        Promise { what: Visibility::AsTheyCome, needs: "rows since the last epoch come again" }
    }

    async fn create(&self, node: &Arc<BoundNode>, _context: &ConnectorContext) -> RunResult<Box<dyn Sink>> {
        let plan = node.payload.get::<StdoutPlan>().ok_or_else(|| RunError::bug("standard output without its plan"))?;
        Ok(Box::new(StdoutTask { format: plan.format, schema: plan.schema.clone(), begun: false, writer: start_writer()? }))
    }

    async fn commit(&self, _node: &Arc<BoundNode>, _context: &ConnectorContext, _ready: Vec<Committable>, _: Finality) -> RunResult<()> {
        // What was written is out already: at least once, which is all that a pipe can promise.
        Ok(())
    }
}

type Piece = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// A pipe that nobody empties blocks its writer. It has a thread of its own, which a process that ends need not wait for.
fn start_writer() -> RunResult<mpsc::SyncSender<Piece>> {
    let (send, pieces) = mpsc::sync_channel::<Piece>(1);
    let write_all = move || {
        for (text, tell) in pieces {
            let mut output = io::stdout().lock();
            let written = output.write_all(&text).and_then(|()| output.flush());
            let _ = tell.send(written);
        }
    };
    let started = std::thread::Builder::new().name("millrace-stdout".to_owned()).spawn(write_all);
    started.map_err(|error| RunError::connector(codes::WRITE, "start a writer for standard output", error, true))?;
    Ok(send)
}

struct StdoutTask {
    format: LineFormat,
    schema: SchemaRef,
    begun: bool,
    writer: mpsc::SyncSender<Piece>,
}

impl StdoutTask {
    async fn send(&self, text: Vec<u8>) -> RunResult<()> {
        if text.is_empty() {
            return Ok(());
        }
        let (tell, told) = oneshot::channel();
        // One piece is under way at most, so that this never blocks.
        let sent = self.writer.try_send((text, tell)).map_err(|_| io::Error::other("its writer is gone"));
        let written = match sent {
            Ok(()) => told.await.unwrap_or_else(|_| Err(io::Error::other("its writer is gone"))),
            Err(error) => Err(error),
        };
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => {
                RunError::connector(codes::STDOUT_CLOSED, "write to standard output", "whoever read it has stopped reading", false)
            }
            _ => RunError::connector(codes::WRITE, "write to standard output", error, false),
        })
    }

    fn header(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        if !self.begun && self.format == LineFormat::Csv {
            csv::write_header(&self.schema, &mut text);
        }
        self.begun = true;
        text
    }
}

#[async_trait]
impl Sink for StdoutTask {
    async fn write(&mut self, batch: &Batch) -> RunResult<Vec<BadRecord>> {
        let mut text = self.header();
        let written = match self.format {
            LineFormat::Csv => csv::write_rows(batch.frame(), &self.schema, &mut text),
            LineFormat::Jsonl => jsonl::write_rows(batch.frame(), &self.schema, &mut text),
        };
        written.map_err(|error| RunError::bug(error.to_string()))?;
        self.send(text).await?;
        Ok(Vec::new())
    }

    async fn prepare(&mut self, _epoch: u64) -> RunResult<Option<Committable>> {
        let header = self.header();
        self.send(header).await?;
        Ok(None)
    }

    async fn abort(&mut self) -> RunResult<()> {
        Ok(())
    }
}
