//! Rows 18 and 19 of the attacks: nothing that a pipeline reads or writes lies outside the project.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millrace_engine::model::DataType;
use serde_json::json;

use crate::support::{Project, RUN, empty, node, schema};

/// A secret beside the project, and ways to it.
fn project() -> (tempfile::TempDir, Project) {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.csv"), "password\nhunter2\n").unwrap();
    let project = Project::new();
    symlink(outside.path().join("secret.csv"), project.path("link.csv")).unwrap();
    symlink(outside.path(), project.path("linked")).unwrap();
    project.write("inside.csv", "a\n1\n");
    symlink("inside.csv", project.path("alias.csv")).unwrap();
    (outside, project)
}

#[tokio::test]
async fn neither_dots_nor_links_nor_devices_are_read() {
    let (outside, project) = project();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(project.path("pipe.csv")).status().unwrap();
    assert!(fifo.success());
    for path in [
        &format!("../{name}/secret.csv"),
        "link.csv",
        "linked/secret.csv",
        "linked/../linked/secret.csv",
        "pipe.csv",
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/environ",
        outside.path().join("secret.csv").to_str().unwrap(),
    ] {
        let error = project.discover(&node("file", json!({ "path": path, "format": "csv" }))).await.expect_err(path);
        assert_eq!(error.code, "MR0502", "{path}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    assert!(
        project.discover(&node("file", json!({ "path": "alias.csv" }))).await.is_ok(),
        "a link within the project is a path like another"
    );
}

#[tokio::test]
async fn a_glob_leads_no_further_than_a_path() {
    let (outside, project) = project();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    for path in ["linked/*.csv", "*/secret.csv", &format!("../{name}/*.csv"), "/etc/*"] {
        let error = project.discover(&node("file", json!({ "path": path, "format": "csv" }))).await.expect_err(path);
        assert!(["MR0501", "MR0502"].contains(&error.code.as_ref()), "{path}: {error}");
    }
    let files = project.context().files;
    assert!(std::fs::read_dir(project.path("linked")).is_ok(), "the link does lead out");
    assert!(files.list(Path::new("linked")).is_err());
}

#[tokio::test]
async fn a_sink_writes_nothing_outside_the_project() {
    let (outside, project) = project();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let columns = schema(&[("a", DataType::BigInt)]);
    for path in [&format!("../{name}/new.csv"), "linked/new.csv", "linked/", "/tmp/millrace-new.csv", "../", "linked/deep/new.csv"] {
        let spec = json!({ "path": path, "format": "csv" });
        let error = project.try_write(spec, &empty(&columns), &columns).await.expect_err(path);
        assert_eq!(error.code(), "MR0512", "{path}: {error}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "the secret is alone");
    assert!(!Path::new("/tmp/millrace-new.csv").exists());
}

#[tokio::test]
async fn a_sink_at_a_link_replaces_the_link_and_not_what_it_leads_to() {
    let (outside, project) = project();
    let columns = schema(&[("a", DataType::BigInt)]);
    project.try_write(json!({ "path": "link.csv" }), &empty(&columns), &columns).await.unwrap();
    assert_eq!(std::fs::read_to_string(outside.path().join("secret.csv")).unwrap(), "password\nhunter2\n");
    assert_eq!(std::fs::read_to_string(project.path("link.csv")).unwrap(), "a\n");
}

#[tokio::test]
async fn a_link_at_the_name_of_a_part_is_replaced_or_taken_away_and_not_followed() {
    let (outside, project) = project();
    let columns = schema(&[("a", DataType::BigInt)]);
    std::fs::create_dir(project.path("out")).unwrap();
    let own = format!("part-{RUN}-1-0.csv");
    for name in [own.as_str(), "part-7-7.csv"] {
        symlink(outside.path().join("secret.csv"), project.path(&format!("out/{name}"))).unwrap();
    }
    project.try_write(json!({ "path": "out/", "format": "csv" }), &empty(&columns), &columns).await.unwrap();
    assert_eq!(std::fs::read_to_string(outside.path().join("secret.csv")).unwrap(), "password\nhunter2\n");
    assert_eq!(std::fs::read_to_string(project.path(&format!("out/{own}"))).unwrap(), "a\n");
    assert!(std::fs::symlink_metadata(project.path("out/part-7-7.csv")).is_err(), "an earlier run's part, by its name");
}

#[tokio::test]
async fn a_glob_does_not_go_round_in_a_loop_of_links() {
    let (_outside, project) = project();
    for name in ["d/x.csv", "d/e/x.csv"] {
        project.write(name, "a\n1\n");
    }
    symlink("..", project.path("d/up")).unwrap();
    symlink("../..", project.path("d/e/upper")).unwrap();
    let rows = project.read(json!({ "path": "d/**/*.csv" })).await;
    assert_eq!(rows.texts("a"), ["1", "1"]);
}

/// Makes `d` a link to a folder of the project and to `outside` in turns, each in one step, until it is told to stop.
fn swapping(project: &Project, outside: &Path, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    project.write("inside/x.csv", "a\n1\n");
    let (at, next) = (project.path("d"), project.path("next"));
    symlink("inside", &at).unwrap();
    let targets = [outside.to_path_buf(), "inside".into()];
    std::thread::spawn(move || {
        for target in targets.iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
            symlink(target, &next).unwrap();
            std::fs::rename(&next, &at).unwrap();
        }
    })
}

#[tokio::test]
async fn a_link_that_is_swapped_in_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.csv"), "password\nhunter2\n").unwrap();
    let project = Project::new();
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = swapping(&project, outside.path(), stop.clone());
    let columns = schema(&[("a", DataType::BigInt)]);
    let (source, mut read) = (node("file", json!({ "path": "d/x.csv" })), 0);
    // On a busy machine the link may lead outside at each of many looks.
    let mut number = 0;
    while number < 300 || read == 0 {
        number += 1;
        match project.discover(&source).await {
            Ok(found) => {
                assert_eq!(found, columns, "another file than the project's");
                read += 1;
            }
            Err(error) => assert!(["MR0501", "MR0502", "MR0504"].contains(&error.code.as_ref()), "{error}"),
        }
        let spec = json!({ "path": format!("d/new-{number}.csv") });
        if let Err(error) = project.try_write(spec, &empty(&columns), &columns).await {
            assert!(error.code().starts_with("MR05"), "{error}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "the secret is alone");
}
