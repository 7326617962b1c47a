//! A whole cluster in one thread under simulated time: what befalls its processes, its disks and what lies between them is drawn from a seed, and
//! so is whose turn it is.
//!
//! [`group`] is a control group alone, [`whole`] a run that is spread over processes and entered in a group's log. `SEEDS=17..18` runs one seed alone,
//! and with `LOG=1` and `--no-capture` it prints what happened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../../../runtime/tests/simulation/answer.rs"]
mod answer;
mod clients;
#[allow(dead_code)] // Lives of one process are drawn there, too.
#[path = "../../../runtime/tests/simulation/drawn.rs"]
mod drawn;
mod fleet;
mod group;
mod judge;
mod link;
mod net;
mod planted;
mod process;
mod story;
mod team;
mod whole;

use story::{asked, run, same_twice};

#[test]
fn fifty_groups() {
    let total = run(group::simulate, "fifty_groups", asked(0..50), 1);
    assert!(total.wrong.is_empty(), "{total:?}");
    let worth = [
        ("commands that were answered", 2_500),
        ("terms with a leader", 100),
        ("processes that ended", 300),
        ("calls of a disk that failed", 20),
        ("changes of the network", 300),
    ];
    assert!(total.seeds < 50 || worth.iter().all(|(what, least)| total.of(what) > *least), "the draws are not worth the test: {total:?}");
}

#[test]
fn fifty_clusters() {
    let total = run(whole::simulate, "fifty_clusters", asked(20..70), 1);
    assert!(total.wrong.is_empty(), "{total:?}");
    let worth = [
        ("rows", 3_000),
        ("epochs that were entered", 70),
        ("lives of the run", 60),
        ("processes that ended", 300),
        ("connections that were dropped", 20),
        ("changes of the network", 60),
    ];
    assert!(total.seeds < 50 || worth.iter().all(|(what, least)| total.of(what) > *least), "the draws are not worth the test: {total:?}");
}

#[test]
#[ignore = "a long proof: make prove"]
fn ten_thousand_groups() {
    let total = run(group::simulate, "fifty_groups", asked(0..10_000), 20);
    assert!(total.wrong.is_empty(), "{total:?}");
}

#[test]
#[ignore = "a long proof: make prove"]
fn ten_thousand_clusters() {
    let total = run(whole::simulate, "fifty_clusters", asked(0..10_000), 20);
    assert!(total.wrong.is_empty(), "{total:?}");
}

#[test]
fn a_group_gives_the_same_log_twice() {
    same_twice(group::simulate, 0..3);
}

#[test]
fn a_cluster_gives_the_same_log_twice() {
    same_twice(whole::simulate, 0..3);
}
