//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use millrace_engine::cluster::trust::Role;
use millrace_engine::model::field::{ByteSize, Duration};

use crate::bench::BenchArguments;
use crate::trust::role;

/// Data streams, seen and run: pipelines without a screen, and the studio for a browser.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a pipeline file to its end, or until Ctrl-C.
    Run(RunArguments),
    /// Checks a pipeline file, and says everything that is wrong with it.
    Validate(ValidateArguments),
    /// Prints the JSON Schema of the pipeline file, or of one kind of node.
    Schema(SchemaArguments),
    /// Compares two pipeline files by what they mean; layout and comments do not count.
    Diff(DiffArguments),
    /// Measures how fast the engine is on this computer, beside DuckDB over the same rows at rest.
    Bench(BenchArguments),
    /// Keeps a pipeline's state under a name, to go on from with `run --from`: of a run under way, or of one that was stopped
    Savepoint(SavepointArguments),
    /// Runs pipelines for studios and terminals elsewhere.
    Node(NodeArguments),
    /// Makes a join token of a cluster: as an administrator at any of its control nodes, or where one keeps its data
    Token(TokenArguments),
    /// Takes somebody's certificates of a cluster back, or lists who has any
    Revoke(RevokeArguments),
    /// Changes which nodes are of a cluster's control group
    #[command(subcommand)]
    Control(ControlCommand),
    /// Has a control group keep a pipeline running, with no terminal: in a folder that its nodes share
    Deploy(DeployArguments),
    /// Lists what a control group keeps running, and where
    Deployments(LookArguments),
    /// Ends what a control group keeps running, and forgets its state
    Remove(RemoveArguments),
    /// Lists the runs on a node, of whoever asked for them
    Ps(LookArguments),
    /// Shows a node's cluster: who has joined, the links to them, the runs, and where their tasks are
    Status(LookArguments),
    /// Tells what happened to a node's cluster: each cause with what came of it
    Logs(LookArguments),
    /// Empties a node, so that it can be stopped: its tasks, and the runs that it leads for a control group, go to others, and nothing is missed
    Drain(DrainArguments),
    /// Has a node take part again that was drained
    Undrain(UndrainArguments),
    /// Spreads the runs anew that would be spread better over the nodes that are there now, while they are under way
    Balance(LookArguments),
    /// Ends a run on a node, of whoever asked for it
    Stop(StopArguments),
    /// Has a run on a node go on in other numbers of tasks, while it is under way: nothing is lost, and nothing repeated
    Scale(ScaleArguments),
    /// Has a run on a node go on as another pipeline, while it is under way: what becomes of its state is shown, and a savepoint taken on the way
    Upgrade(UpgradeArguments),
    /// Shows a node's cluster once a second, until Ctrl-C
    Top(TopArguments),
    /// Serves the studio to a browser on this computer.
    Studio(StudioArguments),
}

#[derive(Debug, Args)]
pub struct RunArguments {
    /// The pipeline: NAME.millrace.toml
    pub file: PathBuf,
    /// Puts a value over the file's for this run, nested fields too: node.aggregate.n=count(*)
    #[arg(long = "set", value_name = "NODE.FIELD=VALUE")]
    pub set: Vec<String>,
    /// Tasks per node
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub parallelism: Option<u32>,
    /// Most rows in a batch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch_rows: Option<u32>,
    /// Plays sources with `replay` at their pace, instead of as fast as they can
    #[arg(long)]
    pub replay: bool,
    /// Begins anew, where an unfinished run of the pipeline would go on from its last checkpoint
    #[arg(long)]
    pub fresh: bool,
    /// Goes on from a savepoint
    #[arg(long, value_name = "NAME", conflicts_with_all = ["fresh", "on"])]
    pub from: Option<String>,
    /// Lets --from take rows back that sinks have shown since, or show them twice
    #[arg(long, requires = "from")]
    pub allow_rewind: bool,
    /// Goes on without the state that a changed pipeline cannot keep
    #[arg(long)]
    pub allow_state_loss: bool,
    /// Runs on a node: ws://ADDRESS:PORT on this computer, wss://HOST:PORT elsewhere. Its token, or at the first time a join token, is read from
    /// MILLRACE_TOKEN or --token-file
    #[arg(long, value_name = "ADDRESS")]
    pub on: Option<String>,
    /// A file that holds the node's token
    #[arg(long, value_name = "FILE", requires = "on")]
    pub token_file: Option<PathBuf>,
    /// A folder outside the project that the pipeline may use
    #[arg(long = "allow-path", value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// The most that state takes in memory, such as 2GiB, before windows put theirs on disk; half of the machine's if absent
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub state_memory: Option<u64>,
    /// Prints the summary as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ValidateArguments {
    pub file: PathBuf,
    #[arg(long = "set", value_name = "NODE.FIELD=VALUE")]
    pub set: Vec<String>,
    /// A folder outside the project that the pipeline may use
    #[arg(long = "allow-path", value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// Prints the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// With --json: also what each source and sink together guarantee after a crash
    #[arg(long, requires = "json")]
    pub guarantees: bool,
}

#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// One kind of node: tumbling_window
    pub kind: Option<String>,
}

#[derive(Debug, Args)]
pub struct DiffArguments {
    pub old: PathBuf,
    pub new: PathBuf,
    /// Prints the changes as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SavepointArguments {
    /// The pipeline: NAME.millrace.toml; with --on, the run's number, as `millrace ps` lists it
    #[arg(value_name = "FILE|RUN")]
    pub of: PathBuf,
    /// What it is to be called: lower-case letters, digits, `-` and `_`
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// Lists the savepoints there are
    #[arg(long, conflicts_with_all = ["name", "remove", "on"])]
    pub list: bool,
    /// Removes it
    #[arg(long, conflicts_with = "on")]
    pub remove: bool,
    /// Takes it of a run on a node: ws://ADDRESS:PORT on this computer, wss://HOST:PORT elsewhere. It lies where the run keeps its state
    #[arg(long, value_name = "ADDRESS")]
    pub on: Option<String>,
    /// A file that holds the node's token
    #[arg(long, value_name = "FILE", requires = "on")]
    pub token_file: Option<PathBuf>,
    /// A folder outside the project that the pipeline may use
    #[arg(long = "allow-path", value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// Prints as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct NodeArguments {
    /// Where to listen; beyond this machine with --data alone
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7400")]
    pub listen: String,
    /// Where its certificate, its keys and its audit log lie. Without --join, a folder that is new makes a cluster of its own, with a join token
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Takes part in the runs that the node at this address leads: HOST:PORT with --data, ws://ADDRESS:PORT on this machine. The token is read from
    /// MILLRACE_TOKEN or --token
    #[arg(long, value_name = "ADDRESS")]
    pub join: Option<String>,
    /// Is of the cluster's control group, which agrees on what runs and how far it has come: one, three or five nodes vote. Needs --data, where the
    /// group's log lies. Without --join it begins a group
    #[arg(long, requires = "data")]
    pub control: bool,
    /// A folder that all nodes of the control group see under this path, as a mounted share: a pipeline of a project below it is run where it lies, and goes
    /// on at another node when the one that leads it is gone
    #[arg(long = "shared", value_name = "DIR")]
    pub shared: Vec<PathBuf>,
    /// While this node leads the control group: how long another is silent before the runs that it leads are handed on
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time, requires = "control")]
    pub takeover_after: std::time::Duration,
    /// When a node joins with which runs that this node leads would be spread better: `ask` says so (`millrace ps`), `auto` spreads them anew
    #[arg(long, value_name = "POLICY", default_value = "ask")]
    pub balance: Balance,
    /// When the process is asked to end (Ctrl-C, SIGTERM): how long what runs here may take to go to other nodes. Asked a second time, it ends at once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub drain_within: std::time::Duration,
    /// Where others reach this node, if that is not where it listens, as through a forwarded port: HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub advertise: Option<String>,
    /// The token of the node that is joined, or a join token; with a certificate in --data none is needed any more
    #[arg(long, value_name = "TOKEN", env = "MILLRACE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// In how many tasks of each operator it takes part; one for each core if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// The most that state takes in memory, such as 2GiB, before windows put theirs on disk; half of the machine's if absent
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub state_memory: Option<u64>,
}

/// What becomes of runs that would be spread better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Balance {
    Ask,
    Auto,
}

#[derive(Debug, Args)]
pub struct DeployArguments {
    /// The pipeline: NAME.millrace.toml, in a folder that the nodes share
    pub file: PathBuf,
    /// What it is called; as the file if absent
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Puts a value over the file's, nested fields too: node.aggregate.n=count(*)
    #[arg(long = "set", value_name = "NODE.FIELD=VALUE")]
    pub set: Vec<String>,
    /// Tasks per node
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub parallelism: Option<u32>,
    /// Plays sources with `replay` at their pace, instead of as fast as they can
    #[arg(long)]
    pub replay: bool,
    #[command(flatten)]
    pub node: LookArguments,
}

#[derive(Debug, Args)]
pub struct RemoveArguments {
    /// Its name, as `millrace deployments` lists it
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub node: LookArguments,
}

/// A node that is asked.
#[derive(Debug, Args)]
pub struct LookArguments {
    /// The node: ws://ADDRESS:PORT on this computer, wss://HOST:PORT elsewhere. Its token, or at the first time a join token, is read from
    /// MILLRACE_TOKEN or --token-file
    #[arg(long, value_name = "ADDRESS")]
    pub on: String,
    /// A file that holds the node's token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Prints as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DrainArguments {
    /// Its address, name or number, as `millrace status` shows them
    #[arg(value_name = "NODE")]
    pub which: String,
    /// How long it is waited until nothing runs there any more. After that it goes on being drained
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub within: std::time::Duration,
    #[command(flatten)]
    pub node: LookArguments,
}

#[derive(Debug, Args)]
pub struct UndrainArguments {
    /// Its address, name or number, as `millrace status` shows them
    #[arg(value_name = "NODE")]
    pub which: String,
    #[command(flatten)]
    pub node: LookArguments,
}

#[derive(Debug, Args)]
pub struct StopArguments {
    /// The run's number, as `millrace ps` lists it
    #[arg(value_name = "RUN")]
    pub run: u64,
    /// Ends it at once: nothing more is committed. Else rows in flight are
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub node: LookArguments,
}

#[derive(Debug, Args)]
pub struct ScaleArguments {
    /// The run's number, as `millrace ps` lists it
    #[arg(value_name = "RUN")]
    pub run: u64,
    /// Tasks of every node that does not say otherwise
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), required_unless_present = "nodes")]
    pub parallelism: Option<u32>,
    /// Tasks of one node
    #[arg(long = "node", value_name = "NODE=N", value_parser = tasks_of)]
    pub nodes: Vec<(String, u32)>,
    #[command(flatten)]
    pub node: LookArguments,
}

#[derive(Debug, Args)]
pub struct UpgradeArguments {
    /// The run's number, as `millrace ps` lists it
    #[arg(value_name = "RUN")]
    pub run: u64,
    /// The new pipeline: NAME.millrace.toml. It reads the files that the run was given
    #[arg(required_unless_present = "rollback")]
    pub file: Option<PathBuf>,
    /// Puts a value over the file's, nested fields too: node.aggregate.n=count(*)
    #[arg(long = "set", value_name = "NODE.FIELD=VALUE", conflicts_with = "rollback")]
    pub set: Vec<String>,
    /// Shows what would become of the state, and changes nothing
    #[arg(long, conflicts_with = "rollback")]
    pub look: bool,
    /// Goes on without the state that the new pipeline cannot keep
    #[arg(long, conflicts_with = "rollback")]
    pub allow_state_loss: bool,
    /// Takes the newest upgrade back: the pipeline and the state before it
    #[arg(long, conflicts_with = "file")]
    pub rollback: bool,
    /// Lets --rollback take rows back that sinks have shown since, or show them twice
    #[arg(long, requires = "rollback")]
    pub allow_rewind: bool,
    #[command(flatten)]
    pub node: LookArguments,
}

#[derive(Debug, Args)]
pub struct TopArguments {
    /// Looks so often, and ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    #[command(flatten)]
    pub node: LookArguments,
}

/// Which cluster, and how it is spoken to.
#[derive(Debug, Args)]
pub struct TrustPlace {
    /// The --data of the first node, or of another that holds the authority's key, be it running or not
    #[arg(long, value_name = "DIR", required_unless_present = "on", conflicts_with = "on")]
    pub data: Option<PathBuf>,
    /// A control node, asked as an administrator: wss://HOST:PORT, or ws://ADDRESS:PORT on this computer. Its token, or at the first time a join token, is
    /// read from MILLRACE_TOKEN or --token-file
    #[arg(long, value_name = "ADDRESS")]
    pub on: Option<String>,
    /// A file that holds the node's token
    #[arg(long, value_name = "FILE", requires = "on")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum ControlCommand {
    /// Has the group do without a node that is gone for good: one that follows votes in its place. Refused if the node answers, or where the others are
    /// no majority
    Remove(ControlRemoveArguments),
}

#[derive(Debug, Args)]
pub struct ControlRemoveArguments {
    /// Its name, as `millrace status` shows it
    #[arg(value_name = "NODE")]
    pub name: String,
    #[command(flatten)]
    pub node: LookArguments,
}

#[derive(Debug, Args)]
pub struct TokenArguments {
    #[command(flatten)]
    pub place: TrustPlace,
    /// What it lets one do: view, operate, admin; node takes part in runs, and control is a control node that may give certificates too
    #[arg(long, value_name = "ROLE", default_value = "node", value_parser = role)]
    pub role: Role,
    /// How long it serves, once
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    pub expires: std::time::Duration,
}

#[derive(Debug, Args)]
pub struct RevokeArguments {
    #[command(flatten)]
    pub place: TrustPlace,
    /// Whose: a name that --list shows
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// Lists who has certificates
    #[arg(long, conflicts_with = "name")]
    pub list: bool,
    /// With --list: as JSON, one line each
    #[arg(long, requires = "list")]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StudioArguments {
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7800")]
    pub listen: SocketAddr,
    /// Opens this pipeline
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Opens this pipeline and runs it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub run: Option<PathBuf>,
    /// A folder outside the project that pipelines may use
    #[arg(long = "allow-path", value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,
    /// The most that state takes in memory, such as 2GiB, before windows put theirs on disk; half of the machine's if absent
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub state_memory: Option<u64>,
    /// Where the studio keeps its own files
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// A size with its unit, in bytes.
pub fn size(text: &str) -> Result<u64, String> {
    ByteSize::parse(text).map(|size| size.bytes)
}

/// A node and its number of tasks.
fn tasks_of(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=').and_then(|(node, tasks)| Some((node.to_owned(), tasks.parse().ok()?)));
    parts
        .filter(|(node, tasks)| !node.is_empty() && (1..=1024).contains(tasks))
        .ok_or_else(|| "write NODE=N, with 1 to 1024 tasks".to_owned())
}

/// A span of time with its unit.
fn time(text: &str) -> Result<std::time::Duration, String> {
    Duration::parse(text).map(|time| std::time::Duration::from_micros(time.micros.unsigned_abs()))
}
