//! Partial results: rows that were aggregated before they came count as the rows themselves would.

use millrace_model::Timestamp;
use polars::prelude::*;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::duck::rows;
use super::oracle::random_rows;
use super::{Ports, bind, fire, kind, operator, run, schema_of, with_time};
use crate::arrow_bridge::{decode_ipc, encode_ipc};
use crate::batch::Batch;
use crate::flow::partition::Partitioner;
use crate::operator::{Combiner, EndReason, RowCounts};

const SECOND: i64 = 1_000_000;

fn combiner(spec: &Value, frame: &DataFrame) -> Option<Box<dyn Combiner>> {
    let bound = bind(spec.clone(), schema_of(frame)).0.unwrap();
    kind(&bound.decl.kind).combiner(&std::sync::Arc::new(bound)).unwrap()
}

/// As [`run`], with a combiner before two tasks of the operator. What it holds is given every so many batches, and whenever it is due.
fn run_combined(spec: &Value, frame: &DataFrame, max_delay: i64, cut: usize, every: usize) -> (Vec<Ports>, RowCounts, usize) {
    let mut combiner = combiner(spec, frame).unwrap();
    let keys: Vec<String> = spec["by"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    let mut partitioner = Partitioner::new(keys, 1024, 2);
    let mut tasks = [0, 1].map(|_| (operator(spec.clone(), schema_of(frame), 100), Ports::default()));
    let mut partials = 0;
    let mut greatest = i64::MIN;
    let mut send = |batch: Batch, tasks: &mut [(Box<dyn crate::operator::Operator>, Ports); 2]| {
        // By the wire's bytes, as rows that a barrier overtook are kept.
        let batch = Batch::new(decode_ipc(&encode_ipc(batch.frame()).unwrap()).unwrap());
        let whole = batch.counted_rows();
        let parts = partitioner.split(&batch).unwrap();
        assert_eq!(parts.iter().map(|(_, part)| part.counted_rows()).sum::<usize>(), whole);
        for (task, part) in parts {
            tasks[task].0.on_batch(0, part, &mut tasks[task].1).unwrap();
        }
    };
    for (number, start) in (0..frame.height()).step_by(cut).enumerate() {
        let mut slice = frame.slice(start as i64, cut);
        slice.rechunk_mut();
        let batch = Batch::new(slice);
        greatest = batch.times().unwrap().iter().copied().fold(greatest, i64::max);
        if let Some(passed) = combiner.combine(batch).unwrap() {
            send(passed, &mut tasks);
        }
        let watermark = Timestamp(greatest.saturating_sub(max_delay));
        if (combiner.is_due(watermark) || number % every == 0)
            && let Some(partial) = combiner.give().unwrap()
        {
            partials += 1;
            send(partial, &mut tasks);
        }
        combiner.advance(watermark);
        for (operator, ports) in &mut tasks {
            fire(operator.as_mut(), watermark.micros(), ports).unwrap();
        }
    }
    if let Some(partial) = combiner.give().unwrap() {
        partials += 1;
        send(partial, &mut tasks);
    }
    let mut counts = RowCounts::default();
    let ports = tasks.map(|(mut operator, mut ports)| {
        fire(operator.as_mut(), i64::MAX, &mut ports).unwrap();
        operator.on_end(EndReason::Finished, &mut ports).unwrap();
        counts = counts.plus(operator.counts());
        ports
    });
    (ports.into(), counts, partials)
}

fn sorted(frames: impl Iterator<Item = Option<DataFrame>>) -> Vec<String> {
    let mut all: Vec<String> = frames.flat_map(|frame| rows(frame.as_ref())).map(|row| format!("{row:?}")).collect();
    all.sort_unstable();
    all
}

fn specs() -> Vec<Value> {
    let aggregate =
        json!({ "c": "count(*)", "k": "count(s)", "least": "min(f)", "most": "max(n)", "last": "max(d)", "mean": "avg(b)", "u": "avg(u)" });
    vec![
        json!({ "size": "10s", "by": ["s"], "aggregate": aggregate, "allowed_lateness": "5s" }),
        json!({ "kind": "hopping_window", "size": "10s", "slide": "4s", "by": ["s", "flag"], "aggregate": aggregate }),
        json!({ "kind": "cumulate_window", "size": "30s", "step": "10s", "by": ["n"], "aggregate": aggregate }),
        json!({ "size": "1d", "time_zone": "America/New_York", "by": ["h"], "aggregate": aggregate }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rows_that_were_combined_give_what_the_rows_give(
        seed in any::<u64>(), cut in 1usize..60, every in 1usize..8, which in 0usize..4, delay in 0i64..20,
    ) {
        let spec = &specs()[which];
        let frame = with_time(&random_rows(seed, 400), "t", delay * SECOND);
        let (plain, counts) = run(spec.clone(), &frame, delay * SECOND, cut);
        let (combined, combined_counts, partials) = run_combined(spec, &frame, delay * SECOND, cut, every);
        for port in 0..2 {
            prop_assert_eq!(sorted(combined.iter().map(|ports| ports.frame(port))), sorted([plain.frame(port)].into_iter()));
        }
        prop_assert_eq!(combined_counts, counts);
        prop_assert!(partials > 0 || counts.late > 0);
    }
}

#[test]
fn an_aggregate_whose_states_do_not_merge_exactly_is_not_combined() {
    let frame = with_time(&random_rows(3, 10), "t", 0);
    for aggregate in ["sum(n)", "avg(f)", "min(s)", "stddev(n)", "count(DISTINCT n)", "first(n)", "median(g)"] {
        let spec = json!({ "size": "10s", "by": ["s"], "aggregate": { "c": "count(*)", "x": aggregate } });
        assert!(combiner(&spec, &frame).is_none(), "{aggregate}");
    }
    let spec = json!({ "size": "10s", "by": [], "aggregate": { "c": "count(*)", "x": "max(n)" } });
    assert!(combiner(&spec, &frame).is_some());
}
