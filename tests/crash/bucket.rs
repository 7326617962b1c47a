//! State in a bucket of an S3 server: runs are killed and go on, processes meet, the server is away, objects are altered.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use millrace_tests::Ran;
use millrace_tests::s3::{AGREEING, BUCKET, FAILING, FORBIDDING, Mood, S3, SECRET};

use super::{FILE, How, Project, ends_like_a_run_without_faults, has_the_rows_of_a_run_without_faults, kill_at, paced, project, run};

/// A project whose state lies below a prefix of its own.
fn on_bucket(server: &Arc<S3>, how: How, prefix: &str) -> Project {
    let project = Project { server: Some(server.clone()), ..project(how) };
    state_in(&project, &format!("s3://{BUCKET}/{prefix}"));
    project
}

fn state_in(project: &Project, place: &str) {
    let text = std::fs::read_to_string(project.path(FILE)).unwrap();
    project.write(FILE, text.replace("[pipeline]\n", &format!("[pipeline]\nstate = \"{place}\"\n")));
}

fn ends(project: &Project, server: &S3, prefix: &str, parallelism: usize, what: &str) {
    ends_like_a_run_without_faults(project, parallelism, what);
    let left: Vec<String> = server.keys().into_iter().filter(|key| key.starts_with(&format!("{prefix}/"))).collect();
    assert_eq!(left, [format!("{prefix}/departures/newest")], "{what}: but for the note of the newest run nothing is left");
}

#[test]
fn a_run_that_is_killed_goes_on_from_the_bucket_at_another_parallelism() {
    let server = Arc::new(S3::start());
    for (how, step, time) in [
        (How::Plain, "part-written", 12),
        (How::Plain, "manifest-created", 3),
        (How::Plain, "run-over", 1),
        (How::Plain, "epoch-forgotten", 1),
        (How::Spilled, "blocks-kept", 20),
        (How::Spilled, "block-forgotten", 3),
        (How::Spilled, "manifest-created", 4),
    ] {
        let prefix = format!("{how:?}-{step}");
        let project = on_bucket(&server, how, &prefix);
        assert!(kill_at(&project, 2, step, time), "{how:?}: {step} was reached");
        ends(&project, &server, &prefix, 3, &format!("{how:?}, killed at {step}"));
    }
}

#[test]
fn a_continuation_from_the_bucket_that_is_killed_goes_on_as_well() {
    let server = Arc::new(S3::start());
    for (how, step) in
        [(How::Plain, "run-claimed"), (How::Plain, "taken-over"), (How::Spilled, "operator-restored"), (How::Spilled, "restored")]
    {
        let prefix = format!("{how:?}-{step}");
        let project = on_bucket(&server, how, &prefix);
        assert!(kill_at(&project, 3, "forgetting", 3), "the run has epochs before it is killed");
        assert!(kill_at(&project, 1, step, 1), "{how:?}: {step} was reached");
        ends(&project, &server, &prefix, 2, &format!("{how:?}, killed while restoring at {step}"));
    }
}

/// Two machines that share outputs and a bucket, and no lock.
#[test]
fn of_two_processes_with_one_run_the_first_is_orphaned_and_every_row_comes_once() {
    let server = Arc::new(S3::start());
    // Before it makes an epoch complete, and after: the other goes on from the one before, or from that one.
    for step in ["all-parts-written", "manifest-created"] {
        let project = on_bucket(&server, How::Plain, step);
        let mut first = paced(&project, 2);
        first.env("MILLRACE_HALT_AT", format!("{step}:4")).env("MILLRACE_HALT_UNTIL", project.path("release"));
        let mut first = first.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(first.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(said.any(|line| line == format!("halted at {step}")));
        std::fs::remove_file(project.path(".millrace/remote/departures/lock")).unwrap();
        assert!(kill_at(&project, 3, "forgetting", 2), "the second has epochs of its own");
        project.write("release", "");
        let said: Vec<String> = said.collect();
        assert!(!first.wait().unwrap().success() && said.iter().any(|line| line.contains("MR0424")), "{step}: {said:#?}");
        ends(&project, &server, step, 1, &format!("two processes, the first at {step}"));
    }
}

/// The other has seen the run to its end: there is no epoch any more that could stand in the way.
#[test]
fn a_process_whose_run_another_has_ended_commits_nothing() {
    let server = Arc::new(S3::start());
    let project = on_bucket(&server, How::Plain, "over");
    let mut first = paced(&project, 2);
    first.env("MILLRACE_HALT_AT", "all-parts-written:4").env("MILLRACE_HALT_UNTIL", project.path("release"));
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(first.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == "halted at all-parts-written"));
    std::fs::remove_file(project.path(".millrace/remote/departures/lock")).unwrap();
    let second = Ran::from(run(&project, 3).output().unwrap());
    project.write("release", "");
    let said: Vec<String> = said.collect();
    assert!(!first.wait().unwrap().success() && said.iter().any(|line| line.contains("MR0424")), "{said:#?}");
    has_the_rows_of_a_run_without_faults(&project, &second, "the second, after the first came back");
}

#[test]
fn epochs_are_given_up_while_the_server_is_away_and_later_ones_are_kept() {
    let server = Arc::new(S3::start());
    for (mood, prefix) in [(FAILING, "failing"), (Mood::Away, "away")] {
        let project = on_bucket(&server, How::Plain, prefix);
        // Slower than the test is: it is killed in the end.
        let text = std::fs::read_to_string(project.path(FILE)).unwrap();
        project.write(FILE, text.replace("10512000x", "105120x"));
        let mut running = paced(&project, 2);
        running.env("MILLRACE_HALT_AT", "epoch-given-up").env("MILLRACE_HALT_UNTIL", project.path("release"));
        let mut running = running.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(running.stderr.take().unwrap()).lines().map(Result::unwrap);
        wait_for_epoch_after(&server, prefix, 0);
        server.be(mood);
        assert!(said.any(|line| line == "halted at epoch-given-up"), "{prefix}");
        server.be(Mood::Well);
        let seen = newest_epoch(&server, prefix);
        project.write("release", "");
        wait_for_epoch_after(&server, prefix, seen);
        running.kill().unwrap();
        running.wait().unwrap();
        ends(&project, &server, prefix, 3, prefix);
    }
}

fn wait_for_epoch_after(server: &S3, prefix: &str, epoch: u64) {
    while newest_epoch(server, prefix) <= epoch {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The newest epoch with a manifest; 0 if there is none.
fn newest_epoch(server: &S3, prefix: &str) -> u64 {
    let keys = server.keys();
    let of_project = keys.iter().filter_map(|key| key.strip_prefix(prefix)?.strip_suffix("/manifest")?.rsplit_once("/epoch-"));
    of_project.map(|(_, number)| number.parse().unwrap()).max().unwrap_or(0)
}

#[test]
fn what_was_altered_in_the_bucket_is_refused() {
    let server = Arc::new(S3::start());
    let project = on_bucket(&server, How::Plain, "altered");
    assert!(kill_at(&project, 2, "forgetting", 3));
    let newest = format!("/epoch-{}/", newest_epoch(&server, "altered"));
    let of_newest: Vec<String> = server.keys().into_iter().filter(|key| key.contains(&newest)).collect();
    let manifest = of_newest.iter().find(|key| key.ends_with("/manifest")).unwrap();
    let part = of_newest.iter().find(|key| key.contains("/hourly-")).unwrap();
    for key in [manifest, part] {
        let good = server.get(key);
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [&flipped[..], &good[..good.len() - 1], b""] {
            server.put(key, bad);
            let ran = Ran::from(run(&project, 2).output().unwrap());
            assert!(ran.code == 1 && ran.stderr.contains("MR0422"), "{key}, {} bytes: {}: {}", bad.len(), ran.code, ran.stderr);
        }
        server.put(key, &good);
    }
    let good = server.get(part);
    server.delete(part);
    let ran = Ran::from(run(&project, 2).output().unwrap());
    assert!(ran.code == 1 && ran.stderr.contains("MR0422"), "missing: {}", ran.stderr);
    server.put(part, &good);
    ends(&project, &server, "altered", 3, "put right again");
}

#[test]
fn a_savepoint_lies_in_the_bucket_and_is_gone_back_to() {
    let server = Arc::new(S3::start());
    let project = on_bucket(&server, How::Spilled, "kept");
    let savepoint = |arguments: &[&str]| {
        let mut command = project.command();
        Ran::from(command.args(["savepoint", FILE]).args(arguments).envs(server.environment()).output().unwrap())
    };
    assert!(kill_at(&project, 2, "forgetting", 3));
    savepoint(&["monday"]).succeeded();
    assert!(kill_at(&project, 3, "forgetting", 4), "it went on beyond the savepoint");
    let listed = savepoint(&["--list", "--json"]).succeeded().json();
    assert_eq!(listed[0]["name"], "monday");
    assert!(server.keys().iter().any(|key| key == "kept/departures/savepoints/monday/manifest"));
    let from = || Ran::from(run(&project, 2).args(["--from", "monday", "--allow-rewind"]).output().unwrap());
    has_the_rows_of_a_run_without_faults(&project, &from(), "from a savepoint in the bucket");
    has_the_rows_of_a_run_without_faults(&project, &from(), "and once more, after the end");
    savepoint(&["monday", "--remove"]).succeeded();
    assert!(!server.keys().iter().any(|key| key.contains("savepoints")));
}

#[test]
fn a_bucket_that_cannot_be_used_is_told_with_what_to_do_and_without_the_key() {
    let server = Arc::new(S3::start());
    let project = on_bucket(&server, How::Plain, "x");
    let told = |code: &str, what: &str| {
        let ran = Ran::from(run(&project, 1).output().unwrap());
        assert!(ran.code != 0 && ran.stderr.contains(code), "{what}: {}: {}", ran.code, ran.stderr);
        assert!(!ran.stderr.contains(SECRET) && !ran.stdout.contains(SECRET), "{what}");
    };
    for (mood, code) in [(FORBIDDING, "MR0431"), (AGREEING, "MR0433"), (FAILING, "MR0420"), (Mood::Away, "MR0420")] {
        server.be(mood);
        told(code, &format!("{mood:?}"));
    }
    server.be(Mood::Well);
    let mut without = run(&project, 1);
    for (name, _) in server.environment() {
        without.env_remove(name);
    }
    let ran = Ran::from(without.output().unwrap());
    assert!(ran.code != 0 && ran.stderr.contains("MR0432") && ran.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", ran.stderr);
    let text = std::fs::read_to_string(project.path(FILE)).unwrap();
    project.write(FILE, text.replace(BUCKET, "no-such-bucket"));
    told("MR0430", "no bucket");
    project.write(FILE, text.replace("s3://", &format!("s3://millrace:{SECRET}@")));
    told("MR0434", "a key in the file");
}

#[test]
fn state_lies_in_the_folder_that_the_file_names() {
    let project = project(How::Plain);
    state_in(&project, "elsewhere");
    assert!(kill_at(&project, 2, "forgetting", 3));
    assert!(project.path("elsewhere/departures/newest").exists() && !project.path(".millrace").exists());
    let ran = Ran::from(run(&project, 3).output().unwrap());
    has_the_rows_of_a_run_without_faults(&project, &ran, "state in a folder elsewhere");
}
