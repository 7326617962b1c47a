//! Bugs put in on purpose: a process that has one ends at the first seed that shows it.

use std::process::Command;

/// Whatever changes what befalls a seed changes which of them show a bug: the first that does ends the search, which begins shortly before the one that
/// showed it last.
const MOST_SEEDS: u64 = 500;

fn is_caught(bug: &str, by: &str, from: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", by, "--nocapture"])
        .env("MILLRACE_PLANTED_BUG", bug)
        .env("SEEDS", format!("{from}..{}", from + MOST_SEEDS))
        .env_remove("LOG");
    let output = child.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success() && said.contains("\nto run it alone: "), "{bug} is not seen:\n{said}");
    said.lines().filter(|line| line.starts_with("seed ")).for_each(|line| println!("{bug}: {line}"));
}

#[test]
fn a_vote_that_is_answered_before_it_is_on_disk_is_caught() {
    is_caught("vote-not-synced", "fifty_groups", 50);
}

#[test]
fn an_entry_that_is_acknowledged_before_it_is_on_disk_is_caught() {
    is_caught("entry-not-synced", "fifty_groups", 50);
}

#[test]
fn a_torn_tail_that_is_taken_for_whole_is_caught() {
    is_caught("torn-tail-kept", "fifty_groups", 60);
}

#[test]
fn a_deposed_leader_of_a_run_that_still_enters_epochs_is_caught() {
    is_caught("fence-off", "fifty_groups", 50);
}

#[test]
fn a_commit_before_its_entry_is_caught() {
    is_caught("commit-before-entry", "fifty_clusters", 50);
}

#[test]
fn a_resume_that_forgets_what_was_not_acknowledged_is_caught() {
    is_caught("resume-forgets", "fifty_clusters", 50);
}

#[test]
fn a_resume_that_delivers_twice_is_caught() {
    is_caught("resume-repeats", "fifty_clusters", 50);
}

#[test]
fn a_write_of_a_member_that_was_given_up_is_caught() {
    is_caught("stale-member-writes", "fifty_clusters", 170);
}
