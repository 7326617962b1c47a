// Made from studio/api by its test `the_generated_typescript_is_up_to_date`. Do not edit: change the Rust types, then run
// MILLRACE_BLESS=1 cargo test -p millrace-studio-api

export const API_VERSION = 1;
export const FRAME_WINDOW = 32;
export const SUBPROTOCOL = "millrace.v1";
export const TOKEN_SUBPROTOCOL = "token.";

/**
 * An alert of a run, as it stands.
 */
export type Alert = { name: string, 
/**
 * `watermark_lag`
 */
figure: string, node?: string, 
/**
 * `watermark_lag of flights above 10 min`
 */
rule: string, standing: AlertStanding, 
/**
 * Since when it stands so, milliseconds since 1970.
 */
since_ms: number, 
/**
 * What was measured last, in words; empty if it could not be.
 */
value: string, 
/**
 * How often it has fired since the run began.
 */
fired: number, desktop: boolean, webhooks: Array<Webhook>, };

export type AlertStanding = "quiet" | "pending" | "firing";

/**
 * An alert has begun to fire, or is over: for a toast, and the desktop if its file says so.
 */
export type AlertTold = { name: string, firing: boolean, 
/**
 * The rule and the value, in words.
 */
message: string, pipeline: string, 
/**
 * Whether the page is to tell it on the desktop: where no program does.
 */
desktop: boolean, };

/**
 * Why a request was not carried out, for the person who made it.
 */
export type ApiError = { 
/**
 * A stable code: an `MR0123` of the engine's, or `stale_text`, `not_open`, `no_run`, `not_found`, `would_lose`, `denied`, `name_taken`, `bad_request`.
 */
code: string, 
/**
 * What happened, where, and what to do.
 */
message: string, findings?: Array<Finding>, };

/**
 * In how many tasks the nodes of a run would do what is wanted of them.
 */
export type Autoscale = { mode: AutoscaleMode, 
/**
 * Upstream before downstream; empty if all is as it should be, and as long as nothing can be said.
 */
advice: Array<TaskAdvice>, 
/**
 * Why nothing is said, or nothing done, at the moment.
 */
waits?: string, 
/**
 * The newest decision, and what came of it, in words.
 */
decided?: string, };

export type AutoscaleMode = "off" | "advise" | "on";

export type AxisKind = "time" | "number" | "category";

/**
 * The node that holds the others back.
 */
export type Bottleneck = { node: string, busy_percent: number, 
/**
 * Why, in words that go on from the node's name: `takes no more than 100/s`.
 */
reason: string, };

export type Broken = { line: number, column: number, message: string, };

/**
 * Everything that the editor knows before a file is open.
 */
export type Catalog = { kinds: Array<KindInfo>, 
/**
 * JSON Schema of the fields that every node has.
 */
common_schema: unknown, 
/**
 * JSON Schema of the time fields that every source has.
 */
source_schema: unknown, 
/**
 * JSON Schema of the fields that every sink has.
 */
sink_schema: unknown, 
/**
 * JSON Schema of the `[pipeline]` table.
 */
pipeline_schema: unknown, 
/**
 * JSON Schema of an `[alert.NAME]` table.
 */
alert_schema: unknown, 
/**
 * Figures that are of the whole run, and of no node.
 */
run_figures: Array<string>, functions: Array<FunctionInfo>, 
/**
 * Names of data types, for casts and schemas: `VARCHAR`.
 */
types: Array<string>, };

export type ChartAxis = { column: string, kind: AxisKind, 
/**
 * `minutes`, `%`; empty where it is not known.
 */
unit: string, };

/**
 * A `dashboard` node's chart, sent when it changes and at 2 Hz while rows come.
 */
export type ChartInfo = { node: string, title: string, mark: ChartMark, x: ChartAxis, y: ChartAxis, 
/**
 * In the order of their colours and markers; a chart frame counts series by this order.
 */
series: Array<ChartSeries>, 
/**
 * Rows held, and rows let go because the buffer is bounded.
 */
rows: number, dropped_rows: number, 
/**
 * Why there is nothing to show yet, in words.
 */
waits_for?: string, };

export type ChartMark = "line" | "bar";

export type ChartSeries = { 
/**
 * The value of the series column; the y column's name where there is one series.
 */
name: string, 
/**
 * The newest value.
 */
latest?: number, };

/**
 * What the checker says of a value that is not in the text yet.
 */
export type CheckedField = { 
/**
 * The expression's type, where it has one.
 */
type?: string, 
/**
 * The columns that it may use.
 */
columns: Array<Column>, findings: Array<Finding>, };

/**
 * One epoch of a run. The phases follow each other; those that it did not come to are 0.
 */
export type Checkpoint = { epoch: number, 
/**
 * When it began, milliseconds since 1970.
 */
at_ms: number, 
/**
 * Until every task had handed over what it holds.
 */
aligning_ms: number, 
/**
 * Until all of that was at rest.
 */
writing_ms: number, 
/**
 * Until the manifest was there.
 */
manifest_ms: number, 
/**
 * Until all sinks had committed.
 */
commit_ms: number, bytes: number, 
/**
 * The node whose task handed over last, and which task.
 */
waited_for?: WaitedFor, outcome: CheckpointOutcome, 
/**
 * Why it came to nothing: the root cause, in words.
 */
cause?: string, };

/**
 * What came of a checkpoint, or the phase that it is in.
 */
export type CheckpointOutcome = "aligning" | "writing" | "manifest" | "commit" | "complete" | "failed" | "superseded";

/**
 * What the screens send.
 */
export type ClientMessage = { 
/**
 * Comes back with the reply. 0 wants none.
 */
id: number, request: Request, };

/**
 * The cluster at a target, about once a second while it is watched.
 */
export type Cluster = { 
/**
 * The target's id.
 */
target: string, contact: ClusterContact, 
/**
 * When it was last looked at, milliseconds since 1970; none before the first look.
 */
at_ms?: number, 
/**
 * The node that leads comes first.
 */
nodes: Array<ClusterNode>, links: Array<ClusterLink>, jobs: Array<ClusterJob>, 
/**
 * Oldest first.
 */
incidents: Array<Incident>, 
/**
 * Why a node was not drained that somebody here wanted to be, until the next wish.
 */
refused?: string, 
/**
 * Parts that the node takes in runs which another leads.
 */
led_elsewhere: number, 
/**
 * The control group that the node is of.
 */
control?: ControlGroup, };

/**
 * Whether the leader is in reach. What it told last stays when it is not.
 */
export type ClusterContact = { "is": "asking" } | { "is": "connected" } | { "is": "reconnecting", since_ms: number, why: string, } | { "is": "lost", since_ms: number, why: string, } | { "is": "unknown" };

/**
 * Whether a node is being emptied, to be stopped.
 */
export type ClusterDrain = "no" | "draining" | "drained";

/**
 * A run on the cluster, whoever asked for it.
 */
export type ClusterJob = { job: number, 
/**
 * The pipeline file's name.
 */
name: string, 
/**
 * Whether it is the run of this studio.
 */
mine: boolean, 
/**
 * `starting`, `running`, `draining`, `finished`, `stopped`, `failed`.
 */
state: string, elapsed_ms: number, rows_in: number, rows_per_s: number, epoch?: number, 
/**
 * By node of the pipeline: the member that runs each of its tasks, by the task's number.
 */
places: { [key in string]: Array<number> }, };

/**
 * The session of the node that leads with another.
 */
export type ClusterLink = { member: number, name: string, sent_bytes: number, received_bytes: number, sent_per_s: number, received_per_s: number, round_trip_ms?: number, 
/**
 * Connections that were dropped and made again.
 */
resumes: number, };

export type ClusterNode = { 
/**
 * 0 is the node that leads.
 */
member: number, 
/**
 * Its address without the scheme.
 */
name: string, 
/**
 * How often a node has joined from that address.
 */
incarnation: number, standing: ClusterStanding, 
/**
 * Since when, milliseconds since 1970.
 */
since_ms: number, 
/**
 * Why it is suspected or lost.
 */
why?: string, 
/**
 * Of how many tasks of each operator it takes part; none of the node that leads.
 */
slots?: number, slots_used: number, tasks: number, 
/**
 * 0 where it was not told, as `machine_bytes`.
 */
cores: number, machine_bytes: number, 
/**
 * What its process takes of all its cores, 0 to 100.
 */
cpu_percent?: number, 
/**
 * Its process's memory.
 */
memory_bytes?: number, drain: ClusterDrain, 
/**
 * What stays there although it is being drained, each with why.
 */
stays: Array<string>, 
/**
 * The release that it runs; none where it was not told.
 */
version?: string, };

export type ClusterStanding = "leads" | "joined" | "suspected" | "lost";

export type Column = { name: string, 
/**
 * DuckDB's name: `VARCHAR`.
 */
type: string, };

/**
 * The file changed on disk while the text had unsaved changes.
 */
export type Conflict = { path: string, 
/**
 * From the file on disk (old) to the text in the studio (new).
 */
diff: TextDiff, };

export type ConflictChoice = "mine" | "theirs";

/**
 * A control group as the node that was asked knows it.
 */
export type ControlGroup = { 
/**
 * The term of the newest election.
 */
term: number, 
/**
 * False if whoever leads hears of no majority: nothing can be agreed on then.
 */
has_majority: boolean, 
/**
 * How many voters may be lost such that nothing is.
 */
survives: number, nodes: Array<ControlNode>, 
/**
 * What the group keeps running, by name.
 */
deployments: Array<GroupDeployment>, };

export type ControlNode = { 
/**
 * As its certificate says.
 */
name: string, 
/**
 * Without the scheme.
 */
address: string, part: ControlPart, };

export type ControlPart = "leads" | "votes" | "follows";

/**
 * How often a row counts, whatever crashes. The weakest comes last.
 */
export type Delivery = "exactly_once" | "at_least_once" | "at_most_once" | "best_effort" | "begins_anew";

export type DeploymentState = "running" | "taken_over" | "waiting" | "stopped";

export type DiffLine = { kind: DiffLineKind, 
/**
 * Counted from 1; 0 where the line is not on that side.
 */
old_line: number, new_line: number, text: string, };

export type DiffLineKind = "same" | "removed" | "added" | "gap";

export type Differs = { 
/**
 * Fields, nodes and edges changed; layout does not count.
 */
changes: number, 
/**
 * Nodes of the document that are new or changed: the running figures are not theirs.
 */
nodes: Array<string>, };

export type DirEntry = { name: string, path: string, kind: DirEntryKind, size_bytes: number, };

export type DirEntryKind = "folder" | "pipeline" | "file";

/**
 * One folder, within what the studio may show.
 */
export type Directory = { path: string, 
/**
 * None at the top of what may be shown.
 */
parent?: string, 
/**
 * Folders first, then files, by name.
 */
entries: Array<DirEntry>, };

/**
 * The open pipeline after a change. The text is the truth; everything else is derived from it by the studio.
 */
export type Document = { 
/**
 * The file, absolute; none before the first save.
 */
path?: string, 
/**
 * The `[pipeline]` name, or the file's where it has none.
 */
name: string, 
/**
 * The folder that paths may not leave.
 */
root: string, 
/**
 * Whether the text differs from the file.
 */
dirty: boolean, 
/**
 * Grows with every change of the text.
 */
revision: number, text: string, 
/**
 * Of this text; of the last well-formed one while `broken` is set.
 */
graph: Graph, 
/**
 * Why the text is not TOML. The graph is read-only until it is mended.
 */
broken?: Broken, findings: Array<Finding>, can_undo: boolean, can_redo: boolean, 
/**
 * Lines of the new text that this change touched.
 */
changed_lines: Array<LineRange>, cause: DocumentCause, 
/**
 * Nodes that this change made; the canvas selects them.
 */
new_nodes: Array<string>, };

/**
 * Why a document was sent.
 */
export type DocumentCause = "opened" | "edited" | "typed" | "moved" | "undone" | "redone" | "saved" | "disk" | "checked";

/**
 * One edge.
 */
export type EdgeFigures = { from: string, port: string, to: string, rows: number, rows_per_s: number, 
/**
 * As they lie in memory.
 */
bytes_per_s: number, lag_ms?: number, 
/**
 * The share of its time that the sender waits for room, 0 to 100.
 */
waiting_percent: number, queued_rows: number, };

/**
 * One change. Ports are written `node` or `node.port`.
 */
export type Edit = { "edit": "add_node", kind: string, at: [number, number], 
/**
 * The port that it is connected to at once.
 */
from?: string, 
/**
 * Which input takes `from`, where the kind names them.
 */
input?: string, } | { "edit": "remove_nodes", nodes: Array<string>, } | { "edit": "rename_node", node: string, name: string, } | { "edit": "set_field", node: string, path: Array<string>, value?: unknown, } | { "edit": "set_pipeline_field", path: Array<string>, value?: unknown, } | { "edit": "add_alert", fields: Record<string, unknown>, } | { "edit": "set_alert_field", alert: string, path: Array<string>, value?: unknown, } | { "edit": "rename_alert", alert: string, name: string, } | { "edit": "remove_alert", alert: string, } | { "edit": "connect", from: string, to: string, input?: string, } | { "edit": "disconnect", from: string, to: string, input?: string, } | { "edit": "move_nodes", positions: { [key in string]: [number, number] }, } | { "edit": "paste", text: string, at: [number, number], } | { "edit": "duplicate", nodes: Array<string>, offset: [number, number], };

/**
 * What the studio tells without being asked.
 */
export type Event = { "event": "document", "value": Document } | { "event": "closed" } | { "event": "run", "value": RunInfo | null } | { "event": "figures", "value": Figures } | { "event": "notices", "value": { reset: boolean, notices: Array<Notice>, } } | { "event": "charts", "value": Array<ChartInfo> } | { "event": "conflict", "value": Conflict | null } | { "event": "targets", "value": Array<Target> } | { "event": "cluster", "value": Cluster } | { "event": "alert", "value": AlertTold } | { "event": "upgrade", "value": UpgradeLook } | { "event": "would_rewind", "value": { savepoint: string, why: string, } } | { "event": "toast", "value": { severity: Severity, message: string, } };

export type Explanation = { 
/**
 * The expression's type: `BOOLEAN`.
 */
type: string, };

/**
 * One look at a run. Counters are since it began.
 */
export type Figures = { run: number, 
/**
 * When they were taken, milliseconds since 1970.
 */
at_ms: number, 
/**
 * Rows read by all sources, per second.
 */
rows_per_s: number, 
/**
 * Of one core: 200 on two busy cores.
 */
cpu_percent: number, memory_bytes: number, 
/**
 * The newest event time seen, milliseconds since 1970.
 */
event_clock_ms?: number, 
/**
 * The least watermark of all sources.
 */
watermark_ms?: number, 
/**
 * What the first window waits for, or holds everything up, in words.
 */
waits_for?: string, nodes: { [key in string]: NodeFigures }, edges: Array<EdgeFigures>, bottleneck?: Bottleneck, late: number, quarantined: number, 
/**
 * The newest checkpoints, oldest first; none of a run that is not kept.
 */
checkpoints: Array<Checkpoint>, 
/**
 * Tasks of every node that does not say otherwise; 0 where the target does not tell.
 */
parallelism: number, 
/**
 * The newest change of the run while it is under way.
 */
change?: RunChange, 
/**
 * 0 to 1, where all sources are bounded.
 */
progress?: number, 
/**
 * The running pipeline's, in the file's order.
 */
alerts: Array<Alert>, 
/**
 * How its numbers of tasks follow its load; none where they are not looked at.
 */
autoscale?: Autoscale, };

/**
 * One thing that is wrong, in words.
 */
export type Finding = { 
/**
 * `MR0104`
 */
code: string, severity: FindingSeverity, message: string, node?: string, 
/**
 * Dotted path within the node.
 */
field?: string, 
/**
 * Counted from 1; 0 where there is no place.
 */
line: number, column: number, 
/**
 * The place in the text, in UTF-16 units as a browser counts; equal where there is no place.
 */
start: number, end: number, expected?: string, found?: string, nearest?: string, help?: string, };

export type FindingSeverity = "error" | "warning";

/**
 * A function of the expression language.
 */
export type FunctionInfo = { name: string, 
/**
 * `round(x DOUBLE, digits INTEGER) -> DOUBLE`
 */
signature: string, summary: string, 
/**
 * Whether it belongs in `aggregate` and nowhere else.
 */
is_aggregate: boolean, };

export type Graph = { 
/**
 * The `[pipeline]` table as written.
 */
settings: Record<string, unknown>, 
/**
 * In the file's order.
 */
nodes: Array<GraphNode>, 
/**
 * In the file's order.
 */
alerts: Array<GraphAlert>, 
/**
 * What a run would read and write, for the reader of a stranger's file.
 */
touches: Array<Touch>, };

/**
 * One alert as written: a table `[alert.NAME]`.
 */
export type GraphAlert = { name: string, fields: Record<string, unknown>, 
/**
 * Where its table stands in the text.
 */
lines: LineRange, };

export type GraphInput = { 
/**
 * The input's name where the kind names them (`left`).
 */
name?: string, from: string, 
/**
 * `out`, `late`, `quarantined`.
 */
port: string, };

/**
 * One node. Edges are the nodes' inputs.
 */
export type GraphNode = { id: string, 
/**
 * As written; it may be unknown.
 */
kind: string, 
/**
 * From `[layout]`, else where the studio would put it. Canvas pixels, the node's left upper corner.
 */
position: [number, number], inputs: Array<GraphInput>, 
/**
 * Every field besides `kind` and `input` as written, environment references unread.
 */
fields: Record<string, unknown>, 
/**
 * The node's second line: `dep_delay IS NOT NULL`.
 */
key_setting: string, 
/**
 * Main port first, then side ports.
 */
outputs: Array<GraphPort>, 
/**
 * What the checker says of a field, by dotted path: `where`, `aggregate.mean_delay`.
 */
explanations: { [key in string]: Explanation }, 
/**
 * For a sink: what a crash does to the rows of each source that it takes.
 */
guarantees: Array<Guarantee>, 
/**
 * Where its table stands in the text.
 */
lines: LineRange, };

export type GraphPort = { name: string, 
/**
 * None while it cannot be told.
 */
columns?: Array<Column>, 
/**
 * `append`, `upsert by origin`, `retract`.
 */
mode: string, };

/**
 * A pipeline that a control group keeps running.
 */
export type GroupDeployment = { name: string, state: DeploymentState, 
/**
 * The node that leads it, or is to.
 */
node?: string, 
/**
 * Its newest complete epoch.
 */
epoch?: number, 
/**
 * The nodes that hold that on their disks, and how many are to; 0 where that is not asked for.
 */
held: number, replicas: number, 
/**
 * Why nobody leads it, or why another node is to.
 */
why?: string, };

/**
 * What a crash does to the rows between a source and a sink.
 */
export type Guarantee = { source: string, delivery: Delivery, 
/**
 * What it rests on, or what would better it: clauses.
 */
needs: Array<string>, };

export type Happening = { 
/**
 * Milliseconds since 1970.
 */
at_ms: number, 
/**
 * A stable kind: `node_joined`, `node_suspected`, `node_resumed`, `node_lost`, `tasks_lost`, `checkpoint_failed`, `restarted`, `running`, `failed`, `leader_changed`.
 */
kind: string, 
/**
 * The node that it happened to, by its address without the scheme.
 */
node?: string, 
/**
 * The name of the pipeline file that it happened to.
 */
pipeline?: string, 
/**
 * In words.
 */
message: string, };

export type Home = { 
/**
 * Newest first.
 */
recent: Array<RecentProject>, samples: Array<Sample>, };

/**
 * A root cause, with what came of it.
 */
export type Incident = { id: number, root: Happening, 
/**
 * Oldest first.
 */
victims: Array<Happening>, 
/**
 * Victims that are not listed.
 */
unlisted: number, };

/**
 * How many inputs a kind takes.
 */
export type InputsInfo = { "take": "none" } | { "take": "one" } | { "take": "many" } | { "take": "named", names: Array<string>, };

/**
 * One kind of node.
 */
export type KindInfo = { 
/**
 * As in the file: `tumbling_window`.
 */
name: string, 
/**
 * As on the palette: `Tumbling window`.
 */
title: string, 
/**
 * `source`, `shape`, `window` or `sink`.
 */
category: string, 
/**
 * A Lucide icon's name.
 */
icon: string, summary: string, inputs: InputsInfo, 
/**
 * Whether it has the main output port.
 */
has_output: boolean, 
/**
 * Output ports besides the main one.
 */
side_ports: Array<PortInfo>, 
/**
 * Fields that the node's second line shows, the first that is set.
 */
key_fields: Array<string>, 
/**
 * JSON Schema of the kind's own fields.
 */
schema: unknown, };

/**
 * Lines, counted from 1, both ends included.
 */
export type LineRange = { first: number, last: number, };

/**
 * One node. `read = accepted + filtered + late + quarantined`.
 */
export type NodeFigures = { read: number, accepted: number, filtered: number, late: number, 
/**
 * Of `late`: those that an idle input let others overtake.
 */
late_after_idle: number, quarantined: number, rows_out: number, in_per_s: number, out_per_s: number, 
/**
 * Shares of its tasks' time, 0 to 100.
 */
busy_percent: number, blocked_percent: number, tasks: number, watermark_ms?: number, 
/**
 * Newest event time less watermark.
 */
lag_ms?: number, 
/**
 * How long the watermark has stood still.
 */
watermark_still_ms?: number, open_windows: number, next_window_end_ms?: number, state_rows: number, state_bytes: number, state_disk_bytes: number, 
/**
 * What it waits for, in words.
 */
waits_for?: string, 
/**
 * 0 to 1, for a bounded source.
 */
progress?: number, 
/**
 * Of the last seconds; none of a single task, and while few rows come.
 */
skew?: Skew, };

/**
 * A line of the Events screen.
 */
export type Notice = { 
/**
 * Unique; a later notice with the same id replaces the earlier (its count grew).
 */
id: number, 
/**
 * Milliseconds since 1970.
 */
at_ms: number, severity: Severity, node?: string, 
/**
 * A stable kind: `bad_records`, `stalled_input`, `slow_sink`, `late_rows`, `started`, `failed`.
 */
kind: string, 
/**
 * In words.
 */
message: string, count: number, };

/**
 * How a request went.
 */
export type Outcome = { "ok": Reply } | { "error": ApiError };

export type Platform = "desktop" | "browser";

export type PortInfo = { name: string, summary: string, };

export type RecentProject = { path: string, name: string, 
/**
 * Milliseconds since 1970.
 */
opened_at_ms: number, 
/**
 * Whether the file is still there.
 */
exists: boolean, };

/**
 * A connection that was dropped and is being made again.
 */
export type Reconnecting = { 
/**
 * When it was dropped, milliseconds since 1970.
 */
since_ms: number, 
/**
 * Why, in words.
 */
why: string, };

export type Reply = { "reply": "done" } | { "reply": "welcome", "value": Welcome } | { "reply": "home", "value": Home } | { "reply": "text", "value": string } | { "reply": "checked", "value": CheckedField } | { "reply": "diff", "value": TextDiff } | { "reply": "rows", "value": RowsPage } | { "reply": "directory", "value": Directory } | { "reply": "targets", "value": Array<Target> } | { "reply": "savepoints", "value": Array<Savepoint> };

/**
 * What can be asked. Everything that changes the document or the run answers `Done` and is then told as an event.
 */
export type Request = { "ask": "hello", api: number, } | { "ask": "home" } | { "ask": "open", path: string, } | { "ask": "open_sample", sample: string, } | { "ask": "new" } | { "ask": "close", discard: boolean, } | { "ask": "save" } | { "ask": "save_as", path: string, } | { "ask": "edit", edits: Array<Edit>, } | { "ask": "set_text", text: string, base_revision: number, 
/**
 * Whether it goes on with the typing before, so that one step of undo takes back both.
 */
continues: boolean, } | { "ask": "undo" } | { "ask": "redo" } | { "ask": "copy", nodes: Array<string>, } | { "ask": "check_field", node: string, path: Array<string>, value: unknown, } | { "ask": "resolve_conflict", choice: ConflictChoice, } | { "ask": "run", target: string, replay: boolean, } | { "ask": "stop", abort: boolean, } | { "ask": "restart" } | { "ask": "kill" } | { "ask": "rescale", parallelism?: number, nodes: { [key in string]: number }, } | { "ask": "look_at_upgrade" } | { "ask": "upgrade", 
/**
 * Of the text that was looked at; refused with `stale_text` if it is another by now.
 */
revision: number, 
/**
 * Also where not all of the state can be kept.
 */
allow_state_loss: boolean, } | { "ask": "roll_back", savepoint: string, allow: boolean, } | { "ask": "savepoint", name: string, } | { "ask": "savepoints" } | { "ask": "restore_from", name: string, allow: boolean, } | { "ask": "diff_running" } | { "ask": "tap", from: string, port: string, to: string, on: boolean, } | { "ask": "watch_chart", node: string, on: boolean, } | { "ask": "chart_rows", node: string, x_from?: number, x_to?: number, 
/**
 * Counted from the newest row backwards.
 */
offset: number, limit: number, } | { "ask": "list_dir", path?: string, } | { "ask": "targets" } | { "ask": "add_target", address: string, token: string, } | { "ask": "watch_cluster", target?: string, } | { "ask": "drain_node", target: string, member: number, on: boolean, } | { "ask": "ack", frames: number, };

/**
 * Rows that come unasked, in a binary frame.
 */
export type RowsFrame = { subject: RowsSubject, page: RowsPage, };

/**
 * Rows ready to show. A value is text as DuckDB would write it; NULL is null.
 */
export type RowsPage = { columns: Array<Column>, rows: Array<Array<string | null>>, 
/**
 * Rows in all, of which this is a part.
 */
total: number, };

export type RowsSubject = { "of": "edge", from: string, port: string, to: string, };

/**
 * A change of a run while it is under way.
 */
export type RunChange = { 
/**
 * In words: `rescaled from 2 to 4`.
 */
what: string, 
/**
 * The checkpoint at which the run went over; none as long as it has not.
 */
epoch?: number, 
/**
 * How long nothing was read; none as long as no row has come since.
 */
pause_ms?: number, };

/**
 * The present or the last run.
 */
export type RunInfo = { 
/**
 * Counts the runs of this studio.
 */
run: number, phase: RunPhase, 
/**
 * The target's id.
 */
target: string, 
/**
 * When it began, milliseconds since 1970.
 */
started_at_ms: number, 
/**
 * When it ended.
 */
ended_at_ms?: number, 
/**
 * While contact is lost: when the target was last heard.
 */
last_heard_ms?: number, 
/**
 * While a dropped connection to the target is made again. The run goes on there.
 */
reconnecting?: Reconnecting, 
/**
 * How many connections to the target were dropped and made again since the session with it began; none if none was.
 */
reconnects?: number, 
/**
 * Why it failed, or why contact was lost.
 */
cause?: Finding, 
/**
 * Whether it takes checkpoints: only such a run can go on in other numbers of tasks.
 */
kept: boolean, 
/**
 * Some of the rows that a failed task was working on, as JSON.
 */
sample: Array<string>, 
/**
 * How the document differs from what runs; none where it does not.
 */
differs?: Differs, 
/**
 * The upgrade that can be taken back; none where there is none.
 */
upgraded?: RunUpgraded, };

/**
 * Where a run is. Before the first run there is none (a draft).
 */
export type RunPhase = "starting" | "running" | "draining" | "finished" | "stopped" | "failed" | "contact_lost";

/**
 * An upgrade of the run while it was under way.
 */
export type RunUpgraded = { at_ms: number, 
/**
 * What the state before it is kept as.
 */
savepoint: string, };

/**
 * A card on the home screen.
 */
export type Sample = { 
/**
 * `departures-2013`
 */
id: string, title: string, summary: string, 
/**
 * A Lucide icon's name.
 */
icon: string, };

/**
 * State that was kept under a name.
 */
export type Savepoint = { name: string, epoch: number, 
/**
 * When it was taken, milliseconds since 1970.
 */
at_ms: number, bytes: number, };

/**
 * What the studio sends.
 */
export type ServerMessage = { "message": "reply", id: number, outcome: Outcome, } | { "message": "event", event: Event, };

export type Severity = "info" | "warning" | "error";

/**
 * How unevenly rows are spread over the tasks of a node.
 */
export type Skew = { 
/**
 * Rows of the task that gets most, over the mean.
 */
ratio: number, task: number, };

/**
 * A place to run at.
 */
export type Target = { 
/**
 * `local`, or the address: `ws://127.0.0.1:7400`.
 */
id: string, 
/**
 * `This computer`, or the address without its scheme.
 */
title: string, state: TargetState, 
/**
 * Why it is not ready, in words; else what it is (`8 cores, 0.1.0`).
 */
detail: string, };

export type TargetState = "ready" | "unreachable" | "refused";

/**
 * What one node wants, and those that have as many tasks as it.
 */
export type TaskAdvice = { node: string, with: Array<string>, tasks: number, 
/**
 * As many as `tasks` where it wants more and can have none.
 */
wanted: number, 
/**
 * In numbers: `count is 96 % busy at ..`
 */
cause: string, 
/**
 * What keeps it from having as many as it needs.
 */
bound?: string, 
/**
 * What to ask for to have it so, by node; empty where nothing is to be done.
 */
asks: { [key in string]: number }, };

/**
 * A difference of two texts, by line.
 */
export type TextDiff = { 
/**
 * What the two sides are: `running`, `edited`.
 */
old_title: string, new_title: string, 
/**
 * Changed lines with a few around them.
 */
lines: Array<DiffLine>, };

/**
 * Something that a run reads or writes outside the process.
 */
export type Touch = { node: string, kind: TouchKind, 
/**
 * A path or an address, as resolved.
 */
what: string, };

export type TouchKind = "reads" | "writes" | "environment" | "calls";

/**
 * What becomes of a run's state where it goes on as the text stands.
 */
export type UpgradeLook = { 
/**
 * Of the text that it is about.
 */
revision: number, 
/**
 * Nodes that go on with what they hold.
 */
kept: Array<string>, 
/**
 * Nodes that begin with nothing.
 */
new: Array<string>, 
/**
 * What cannot be kept, and why.
 */
lost: Array<string>, notes: Array<string>, 
/**
 * Why it cannot be done at all; none if it can.
 */
refused: Array<Finding>, };

export type WaitedFor = { node: string, task: number, after_ms: number, };

/**
 * What became of what a webhook was to be told.
 */
export type Webhook = { 
/**
 * Scheme and host, and no more of its address.
 */
to: string, sent: number, 
/**
 * Given up, or dropped.
 */
lost: number, problem?: string, };

/**
 * What the studio is.
 */
export type Welcome = { api: number, 
/**
 * `0.1.0`
 */
version: string, platform: Platform, catalog: Catalog, targets: Array<Target>, };
