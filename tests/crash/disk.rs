//! Disks that fail and disks that are full: epochs are given up or the run goes back to its last one, and in the end every row is there once.

use std::process::{Command, Stdio};

use millrace_tests::Ran;

use super::{How, Project, ends_like_a_run_without_faults, has_the_rows_of_a_run_without_faults, paced, project, run};

const GIVEN_UP: &str = "was given up, and the run goes on";
const BEGINS_AGAIN: &str = "begins again from";

fn failing(mut command: Command, place: &str, times: usize) -> Ran {
    Ran::from(command.env("MILLRACE_FAIL_AT", format!("{place}:{times}")).output().unwrap())
}

/// The disk fails a few times at a place, and the run gets over it by itself. Gives what it said.
fn gets_over(how: How, place: &str, times: usize, parallelism: usize) -> String {
    let (project, what) = (project(how), format!("{how:?}, the disk failed {times} times at {place}"));
    let ran = failing(paced(&project, parallelism), place, times);
    assert_eq!(ran.stderr.matches(&format!("failed at {place}\n")).count(), times, "{what}: {}", ran.stderr);
    has_the_rows_of_a_run_without_faults(&project, &ran, &what);
    ran.stderr
}

#[test]
fn a_sync_that_fails_gives_an_epoch_up_and_the_run_goes_on() {
    for (place, parallelism) in [("part", 3), ("manifest", 2)] {
        let said = gets_over(How::Plain, place, 3, parallelism);
        assert!(said.contains(GIVEN_UP) && !said.contains(BEGINS_AGAIN), "{place}: {said}");
    }
}

#[test]
fn a_sync_that_fails_in_a_task_or_a_sink_takes_the_run_back_to_its_last_epoch() {
    for (how, place, parallelism) in
        [(How::Plain, "sink-part", 2), (How::Plain, "sink-commit", 3), (How::Plain, "sink-assembly", 2), (How::Spilled, "block", 2)]
    {
        let said = gets_over(how, place, 2, parallelism);
        assert!(said.contains(BEGINS_AGAIN), "{place}: {said}");
    }
}

#[test]
fn a_disk_that_fails_for_good_ends_the_run_with_the_cause_and_the_next_one_goes_on() {
    let project = project(How::Plain);
    let ran = failing(run(&project, 2), "sink-part", usize::MAX >> 1);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("MR0511") && ran.stderr.contains("os error 5"), "{}", ran.stderr);
    ends_like_a_run_without_faults(&project, 3, "after a disk that failed");
}

/// Runs twice, the state on a disk of its own that is full from a while after the first epoch: until an epoch was given up, or until the
/// run is over. Gives what came of both runs, and none if this machine lets nobody mount a disk.
fn on_a_small_disk(project: &Project, until: &str) -> Option<[Ran; 2]> {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=2m tmpfs .millrace || exit 99
        until=$1; shift
        { "$@" --replay > 1.out 2> 1.err; echo $? > 1.code; } &
        while [ ! -e .millrace/state/departures/newest ] && [ ! -e 1.code ]; do sleep 0.02; done
        while [ ! -e 1.code ] && ! { [ "$until" = passing ] && grep -q 'was given up' 1.err; }; do
            head -c 4000000 /dev/zero >> .millrace/full 2>/dev/null
        done
        rm -f .millrace/full
        wait
        { "$@" > 2.out 2> 2.err; echo $? > 2.code; }
        ls -A .millrace/state/departures > left
    "#;
    std::fs::create_dir_all(project.path(".millrace")).unwrap();
    let run = run(project, 2);
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", SCRIPT, "sh", until]).arg(run.get_program()).args(run.get_args());
    command.current_dir(project.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    if !command.status().is_ok_and(|status| status.success()) {
        return None;
    }
    let said = |name: &str| std::fs::read_to_string(project.path(name)).unwrap();
    let ran = |n: usize| Ran {
        code: said(&format!("{n}.code")).trim().parse().unwrap(),
        stdout: said(&format!("{n}.out")),
        stderr: said(&format!("{n}.err")),
    };
    assert_eq!(said("left"), "lock\nnewest\n", "nothing stays of runs that are over");
    Some([ran(1), ran(2)])
}

/// Lets no file grow beyond a block of 512 bytes or 1 KB: what a machine refuses on which nobody may mount a disk.
fn on_a_disk_of_small_files(project: &Project) -> Ran {
    let run = run(project, 2);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    Ran::from(command.current_dir(project.folder.path()).output().unwrap())
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_epochs_and_no_rows() {
    let project = project(How::Plain);
    let Some([first, second]) = on_a_small_disk(&project, "passing") else {
        println!("nobody may mount a disk here: full disks are those that take no long files");
        return a_disk_that_takes_no_long_files_ends_the_run_and_the_next_one_goes_on();
    };
    assert!(first.stderr.contains(GIVEN_UP) && first.stderr.contains("os error 28"), "{}", first.stderr);
    assert_eq!(first.code, 0, "{}", first.stderr);
    has_the_rows_of_a_run_without_faults(&project, &second, "a second run after one on a full disk");
}

#[test]
fn a_disk_that_stays_full_ends_the_run_with_the_cause_and_the_next_one_goes_on() {
    let project = project(How::Plain);
    let Some([first, second]) = on_a_small_disk(&project, "lasting") else {
        println!("nobody may mount a disk here: full disks are those that take no long files");
        return a_disk_that_takes_no_long_files_ends_the_run_and_the_next_one_goes_on();
    };
    assert!(first.code == 1 && first.stderr.contains("os error 28"), "{}: {}", first.code, first.stderr);
    has_the_rows_of_a_run_without_faults(&project, &second, "a run that went on after a full disk");
}

#[test]
fn a_disk_that_takes_no_long_files_ends_the_run_and_the_next_one_goes_on() {
    let project = project(How::Plain);
    let ran = on_a_disk_of_small_files(&project);
    assert!(ran.code == 1 && ran.stderr.contains("os error 27"), "{}: {}", ran.code, ran.stderr);
    ends_like_a_run_without_faults(&project, 3, "after a disk that took no long files");
}
