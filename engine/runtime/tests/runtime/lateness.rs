//! A row's own watermark is a property of the rows, not of how they were cut, paced or spread.

use millrace_runtime::JobOptions;
use millrace_runtime::batch::{TIME_COLUMN, WATERMARK_COLUMN};
use millrace_testkit::{Harness, Memory, Script, node};
use proptest::prelude::*;
use serde_json::json;

use crate::{COLUMNS, frame};

/// The definition: the largest event time before the row in its partition, less the delay; none before the first.
fn model(times: &[i64], delay: i64) -> Vec<(i64, i64, i64)> {
    let before = |index: usize| times[..index].iter().max().map_or(i64::MIN, |newest| newest - delay);
    times.iter().enumerate().map(|(index, time)| (index as i64, *time, before(index))).collect()
}

fn run(cuts: &[Vec<i64>], batch_rows: usize, parallelism: u32, delay_s: i64) -> Vec<(i64, i64, i64)> {
    let mut next = 0;
    let mut script = Vec::new();
    for cut in cuts {
        let keys: Vec<i64> = (next..next + cut.len() as i64).collect();
        next += cut.len() as i64;
        script.push(Script::Rows(frame(keys, vec!["x"; cut.len()], cut.clone())));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let harness = Harness::new(Memory::default().with("rows", &COLUMNS, vec![script]));
        let nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": format!("{delay_s}s") })),
            node("keyed", "explode", &["rows"], json!({})),
            node("kept", "collect", &["keyed"], json!({})),
        ];
        harness.run(nodes, JobOptions { parallelism, batch_rows, ..JobOptions::default() }).await;
        let mut all = Vec::new();
        for frame in harness.collected.frames("kept") {
            let column = |name: &str| frame.column(name).unwrap().i64().unwrap().to_vec_null_aware().left().unwrap();
            let (keys, times, watermarks) = (column("k"), column(TIME_COLUMN), column(WATERMARK_COLUMN));
            all.extend((0..frame.height()).map(|row| (keys[row], times[row], watermarks[row])));
        }
        all.sort_unstable();
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_rows_own_watermark_is_the_same_however_batches_are_cut(
        cuts in prop::collection::vec(prop::collection::vec(0i64..100_000_000, 0..40), 1..8),
        batch_rows in 1usize..50,
        parallelism in prop::sample::select(vec![1u32, 2, 7]),
        delay_s in 0i64..30,
    ) {
        let times: Vec<i64> = cuts.concat();
        prop_assert_eq!(run(&cuts, batch_rows, parallelism, delay_s), model(&times, delay_s * 1_000_000));
    }
}
