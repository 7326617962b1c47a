//! Every bench at a small size: it runs, and what it compares agrees. What it measures is not looked at, but for what does not hang on time.

use millrace_tests::Millrace;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Value {
    let all = ["bench"].iter().chain(arguments).chain(&["--json", "--parallelism", "2"]).copied().collect::<Vec<_>>();
    Millrace::project().run(&all).succeeded().json()
}

#[test]
fn every_workload_gives_what_duckdb_gives() {
    let rows = ["projection", "filter", "tumble", "hop", "session"];
    let bids = ["nexmark-q5", "nexmark-q7", "nexmark-q18", "nexmark-q19"];
    for name in rows.into_iter().chain(bids) {
        let said = bench(&[name, "--events", "50000", "--keys", "500", "--check"]);
        assert_eq!(said["agrees_with_duckdb"], true, "{said}");
        assert!(said["results"].as_u64().unwrap() > 0, "{said}");
    }
    let said = bench(&["tumble", "--events", "50000", "--from", "parquet", "--checkpoint-every", "20ms", "--check"]);
    assert_eq!(said["agrees_with_duckdb"], true, "{said}");
}

#[test]
fn state_is_checkpointed_while_rows_flow() {
    let said = bench(&["checkpoint", "--state-bytes", "1MB", "--checkpoint-every", "100ms", "--seconds", "1"]);
    assert_eq!(said["keys"], 12_500, "{said}");
    assert!(said["epochs"].as_u64().unwrap() > 0 && said["epoch_bytes"].as_u64().unwrap() > 100_000, "{said}");
    assert!(said["rows_per_second"].as_f64().unwrap() > 0.0, "{said}");
}

#[test]
fn state_comes_back_whole() {
    let said = bench(&["restore", "--state-bytes", "1MB", "--checkpoint-every", "100ms"]);
    assert_eq!(said["keys"], 12_500, "{said}");
    assert!(said["epoch_bytes"].as_u64().unwrap() > 100_000, "{said}");
}

#[test]
fn state_that_does_not_fit_gives_the_same_results() {
    let said = bench(&["spill", "--state-bytes", "8MB", "--budget", "1MB"]);
    assert!(said["disk_bytes"].as_u64().unwrap() > 0, "the budget sent some to disk: {said}");
}

#[test]
fn a_run_goes_on_when_a_node_is_killed() {
    let said = bench(&["failover", "--state-bytes", "400kB", "--repeat", "2", "--checkpoint-every", "200ms"]);
    assert_eq!(said["killed"]["losses"], 2, "{said}");
    assert!(said["state_bytes"].as_u64().unwrap() > 100_000 && said["silent"].is_null(), "{said}");
}

#[test]
fn a_run_pauses_and_goes_on_when_it_is_rescaled() {
    let said = bench(&["rescale", "--state-bytes", "400kB", "--repeat", "3", "--checkpoint-every", "200ms"]);
    assert_eq!((&said["times"], &said["tasks"]), (&3.into(), &serde_json::json!([2, 4])), "{said}");
    assert!(said["pause_p50_ms"].as_f64() > Some(0.0) && said["gap_p50_ms"].as_f64() > Some(0.0), "{said}");
}

#[test]
fn what_is_no_workload_is_measured_too() {
    assert_eq!(bench(&["start"])["starts"], 50);
    assert_eq!(bench(&["idle", "--events", "3", "--seconds", "1"])["pipelines"], 3);
    assert!(bench(&["latency", "--pace", "200000", "--seconds", "1"])["results"].as_u64().unwrap() > 0);
}
