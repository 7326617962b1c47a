//! What a seed draws: rows, a pipeline, how it is run, and what befalls it.

use millrace_model::{DataType, NodeDecl, NodeId};
use millrace_runtime::JobOptions;
use millrace_testkit::sim::{Chance, Faults, Spell, Trouble};
use millrace_testkit::{Memory, Script, node};
use polars::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Duration;

const COLUMNS: [(&str, DataType); 3] = [("k", DataType::BigInt), ("v", DataType::Varchar), ("t", DataType::Timestamp)];
/// The key whose rows make a node fail.
const POISON: i64 = 7;

const TEXTS: [&str; 5] = ["", "a", "b", "é", "longer than twelve bytes"];
const KEYS: [&[&str]; 4] = [&["k"], &["v"], &["k", "v"], &[]];
const AGGREGATES: [&str; 10] = [
    "count(*)",
    "sum(k)",
    "avg(k)",
    "min(v)",
    "max(k)",
    "count(v)",
    "count_distinct(v)",
    "median(k)",
    "sum(DISTINCT k)",
    "count(*) FILTER (WHERE k > 20)",
];

/// One life of the process.
#[derive(Debug, Clone, Default)]
pub struct Life {
    pub parallelism: u32,
    /// The slots of the members that it is spread over; alone if there are none.
    pub team: Vec<u32>,
    /// Members that are lost, by their number, and when.
    pub lost: Vec<(u32, Duration)>,
    /// To how many tasks of each node it is rescaled, and how long after its begin or the last time.
    pub scales: Vec<(u32, Duration)>,
    pub faults: Faults,
    /// Whether the power goes after it, however it ended.
    pub power_goes: bool,
}

/// What rows do that change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fold {
    /// They do not.
    Append,
    /// They take the place of the last one that is equal in these columns.
    Upsert(Vec<usize>),
    Retract,
}

pub struct Drawn {
    partitions: Vec<Vec<Script>>,
    nodes: Vec<NodeDecl>,
    batch_rows: usize,
    unaligned_after: Duration,
    pub every: Duration,
    /// What the rows of `out` come to.
    pub fold: Fold,
    /// Whether all state that can goes to disk.
    pub is_spilled: bool,
    /// Whether some rows make a node fail whatever is tried, and are to be set aside.
    pub is_poisoned: bool,
    pub what: String,
}

impl Drawn {
    /// Draws by itself whether there is poison: seeds mean the rest of what they meant before there was.
    pub fn of_seed(seed: u64, chance: &mut Chance) -> Drawn {
        let drawn = Drawn::new(chance);
        if Chance::new(!seed).one_in(8) { drawn.poisoned() } else { drawn }
    }

    fn poisoned(mut self) -> Drawn {
        let blow = node("blow", "explode", &["rows"], json!({ "at": POISON, "how": "fail" }));
        for input in self.nodes.iter_mut().flat_map(|node| &mut node.inputs).filter(|input| input.from.node.as_str() == "rows") {
            input.from.node = NodeId::new("blow");
        }
        self.nodes.insert(1, blow);
        self.nodes.push(node("aside", "keep", &["rows.quarantined"], json!({})));
        self.what.push_str(", some rows poisoned");
        self.is_poisoned = true;
        self
    }

    fn new(chance: &mut Chance) -> Drawn {
        let partitions: Vec<Vec<Script>> = (0..chance.between(1, 3)).map(|_| script(chance)).collect();
        let (kind, fields, fold) = operator(chance);
        let where_ = *chance.pick(&["true", "k <> 7", "v <> 'a'", "k % 2 = 0"]);
        let what = format!("{} partitions, where {where_}, {kind} {fields}", partitions.len());
        let spread = json!({ "where": where_, "parallelism": chance.between(1, 3) });
        let spread = if chance.one_in(3) { spread } else { json!({ "where": where_ }) };
        let mut out = json!({});
        if chance.one_in(2) {
            out["rate"] = format!("{}/s", chance.pick(&[200, 2_000, 20_000])).into();
        }
        let mut nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": format!("{}s", chance.below(200)) })),
            node("some", "filter", &["rows"], spread),
            node("window", kind, &["some"], fields),
            node("out", "keep", &["window"], out.clone()),
        ];
        // A slow sink of rows that are not combined, so that barriers have something to overtake.
        nodes.push(match kind.ends_with("_window") {
            true => node("late", "keep", &["window.late"], json!({})),
            false => node("all", "keep", &["some"], out),
        });
        Drawn {
            partitions,
            nodes,
            batch_rows: *chance.pick(&[1, 7, 20, 50, 200]),
            unaligned_after: Duration::from_micros(*chance.pick(&[200, 200, 1_000, 5_000, 50_000, 1_000_000])),
            every: Duration::from_micros(*chance.pick(&[500, 2_000, 5_000, 20_000, 80_000])),
            fold,
            is_spilled: chance.one_in(2),
            is_poisoned: false,
            what,
        }
    }

    pub fn memory(&self) -> Memory {
        Memory::default().with("rows", &COLUMNS, self.partitions.clone())
    }

    pub fn nodes(&self) -> Vec<NodeDecl> {
        self.nodes.clone()
    }

    pub fn options(&self, parallelism: u32) -> JobOptions {
        JobOptions {
            parallelism,
            batch_rows: self.batch_rows,
            unaligned_after: self.unaligned_after,
            sets_aside: self.is_poisoned,
            ..JobOptions::default()
        }
    }
}

/// Rows that go forward in time, with some set back by a little and a few by much, in pieces with pauses between.
fn script(chance: &mut Chance) -> Vec<Script> {
    let (pieces, stride) = (chance.between(1, 6), chance.between(1, 30) as i64);
    let mut script = Vec::new();
    let mut at = 0;
    for _ in 0..pieces {
        let rows: Vec<(i64, &str, i64)> = (0..chance.below(80)).map(|_| row(chance, &mut at, stride)).collect();
        script.push(Script::Rows(frame(&rows)));
        if !chance.one_in(3) {
            script.push(Script::Silence(Duration::from_micros(chance.between(100, 60_000))));
        }
    }
    script
}

fn row(chance: &mut Chance, at: &mut i64, stride: i64) -> (i64, &'static str, i64) {
    *at += stride;
    let back = match chance.below(10) {
        0 => chance.below(2_000),
        1..4 => chance.below(120),
        _ => chance.below(4),
    };
    (chance.below(40) as i64, chance.pick::<&str>(&TEXTS), 1_700_000_000 + *at - back as i64)
}

fn frame(rows: &[(i64, &str, i64)]) -> DataFrame {
    let times: Vec<i64> = rows.iter().map(|(_, _, time)| time * 1_000_000).collect();
    let times = Series::new("t".into(), times).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let columns = vec![
        Column::new("k".into(), rows.iter().map(|(key, ..)| *key).collect::<Vec<_>>()),
        Column::new("v".into(), rows.iter().map(|(_, text, _)| *text).collect::<Vec<_>>()),
        times.into(),
    ];
    DataFrame::new(rows.len(), columns).unwrap()
}

/// Windows whose results are final, or what keeps rows or results by key, so that later ones take their place.
fn operator(chance: &mut Chance) -> (&'static str, Value, Fold) {
    if !chance.one_in(3) {
        let (kind, fields) = window(chance);
        return (kind, fields, Fold::Append);
    }
    let aggregates: Map<String, Value> =
        (0..chance.between(1, 4)).map(|number| (format!("a{number}"), json!(chance.pick(&AGGREGATES)))).collect();
    let by = *chance.pick(&KEYS);
    match chance.below(5) {
        0 => ("aggregate", json!({ "by": by, "aggregate": aggregates }), Fold::Upsert((0..by.len()).collect())),
        1 => {
            let fields = json!({ "by": by, "n": chance.between(1, 4), "order": ["k DESC"], "rank": "place" });
            ("top_n", fields, Fold::Retract)
        }
        2 => ("deduplicate", json!({ "by": ["k"], "keep": "last" }), Fold::Upsert(vec![0])),
        kind => {
            let length = format!("{}s", chance.between(1, 200));
            // Which rows of a session are late hangs on one another: lateness covers all disorder there.
            let (kind, field, lateness) = match kind {
                3 => ("session_window", "gap", 100_000),
                _ => ("tumbling_window", "size", chance.below(300)),
            };
            let mut fields = json!({ "by": by, "aggregate": aggregates, "emit": "on_update", "allowed_lateness": format!("{lateness}s") });
            fields[field] = length.into();
            (kind, fields, Fold::Upsert([0, 1].into_iter().chain(3..3 + by.len()).collect()))
        }
    }
}

fn window(chance: &mut Chance) -> (&'static str, Value) {
    let seconds = |chance: &mut Chance, most: u64| format!("{}s", chance.between(1, most));
    let (kind, mut fields) = match chance.below(7) {
        5 => {
            let (step, steps) = (chance.between(1, 120), chance.between(1, 5));
            ("cumulate_window", json!({ "size": format!("{}s", step * steps), "step": format!("{step}s") }))
        }
        6 if chance.one_in(2) => {
            let fields =
                json!({ "by": ["v"], "n": chance.between(1, 4), "order": ["k DESC"], "window": seconds(chance, 400), "ties": "keep" });
            return ("top_n", fields);
        }
        6 => return ("deduplicate", json!({ "by": ["k"], "within": seconds(chance, 400) })),
        0 => ("session_window", json!({ "gap": seconds(chance, 90) })),
        1 => {
            let slide = chance.between(1, 120);
            ("hopping_window", json!({ "size": format!("{}s", slide * chance.between(1, 5)), "slide": format!("{slide}s") }))
        }
        _ => ("tumbling_window", json!({ "size": seconds(chance, 400) })),
    };
    fields["by"] = json!(chance.pick(&KEYS));
    // Which rows of a session are late hangs on one another: lateness covers all disorder there.
    let lateness = if kind == "session_window" { 100_000 } else { chance.below(2) * chance.below(300) };
    fields["allowed_lateness"] = json!(format!("{lateness}s"));
    let aggregates: Map<String, Value> =
        (0..chance.between(1, 4)).map(|number| (format!("a{number}"), json!(chance.pick(&AGGREGATES)))).collect();
    fields["aggregate"] = aggregates.into();
    (kind, fields)
}

/// Lives with faults, for a run that makes so many calls of the disk when it has none.
pub fn lives(chance: &mut Chance, calls: u64) -> Vec<Life> {
    (0..chance.between(1, 4)).map(|_| life(chance, calls)).collect()
}

/// Spreads the lives of one seed in twelve over members, some of which are lost. Drawn by itself: seeds mean the rest of what they meant before.
pub fn spread(seed: u64, lives: &mut [Life]) {
    let mut chance = Chance::new(seed.rotate_left(32) ^ 0x5eed);
    if !chance.one_in(12) {
        return;
    }
    for life in lives {
        life.team = (0..chance.between(1, 3)).map(|_| chance.between(1, 2) as u32).collect();
        let lost = (0..chance.below(3)).map(|_| chance.between(1, life.team.len() as u64) as u32).collect::<Vec<u32>>();
        life.lost = lost.into_iter().map(|member| (member, Duration::from_micros(chance.between(1, 200_000)))).collect();
    }
}

/// Rescales the lives of one seed in six while they are under way. Drawn by itself: seeds mean the rest of what they meant before.
pub fn rescale(seed: u64, lives: &mut [Life]) {
    let mut chance = Chance::new(seed.rotate_left(16) ^ 0x5ca1e);
    if !chance.one_in(6) {
        return;
    }
    for life in lives {
        let times = chance.between(1, 4);
        life.scales = (0..times).map(|_| (chance.between(1, 4) as u32, Duration::from_micros(chance.between(1, 60_000)))).collect();
    }
}

fn life(chance: &mut Chance, calls: u64) -> Life {
    let crash_at = (!chance.one_in(4)).then(|| chance.between(1, calls));
    let spells = if chance.one_in(2) { Vec::new() } else { (0..chance.between(1, 3)).map(|_| spell(chance, calls)).collect() };
    let (parallelism, faults) = (chance.between(1, 3) as u32, Faults { crash_at, spells });
    Life { parallelism, faults, power_goes: chance.one_in(2), ..Life::default() }
}

fn spell(chance: &mut Chance, calls: u64) -> Spell {
    let trouble = match chance.below(8) {
        0..3 => Trouble::Broken,
        3..5 => Trouble::Full,
        5..7 => Trouble::SyncFails,
        _ => Trouble::SyncLies,
    };
    let from = chance.between(1, calls);
    Spell { from, until: from + *chance.pick(&[1, 3, 10, 40, 1_000]), trouble, one_in: *chance.pick(&[1, 1, 3, 10]) }
}
