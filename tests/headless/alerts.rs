//! Alerts as the terminal and a webhook are told of them.

use std::process::Stdio;
use std::time::{Duration, Instant};

use millrace_tests::flights::{DEPARTURES, STRICT};
use millrace_tests::hooks::Server;
use millrace_tests::node::Node;
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

const FILE: &str = "departures.millrace.toml";
/// What must be seen nowhere.
const CANARY: &str = "canary-of-a-secret";
/// Longer than a busy machine takes.
const LIMIT: Duration = Duration::from_secs(60);

fn project(text: &str, alert: &str) -> Millrace {
    let project = Millrace::project();
    project.sample("data/flights.parquet");
    project.write(FILE, format!("{text}\n{alert}"));
    project
}

/// The next message that the server was told, and where.
fn told(server: &Server) -> (String, Value) {
    server.asked.recv_timeout(LIMIT).expect("a webhook is told")
}

#[test]
fn an_alert_is_told_on_the_terminal_in_the_figures_and_to_its_webhook_and_its_secret_nowhere() {
    let server = Server::start(&[]);
    let alert = format!(
        "[alert.lates]\nfigure = \"late\"\nnode = \"hourly\"\nabove = 100\nnotify = [\"desktop\", \"http://127.0.0.1:{}/${{HOOK}}\"]\n",
        server.port
    );
    let project = project(STRICT, &alert);
    let ran = Ran::from(project.command().args(["run", FILE, "--json"]).env("HOOK", CANARY).env("RUST_LOG", "debug").output().unwrap());
    let ran = ran.succeeded();
    let late = ran.json()["late"].as_u64().unwrap();
    let firing: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("alert_firing")).collect();
    assert_eq!(firing.len(), 1, "{}", ran.stderr);
    assert!(firing[0].contains("alert_firing: lates: late of hourly above 100: "), "{firing:?}");
    assert_eq!(ran.stderr.lines().filter(|line| line.contains("alert_resolved: lates")).count(), 1, "{}", ran.stderr);
    let figures = &ran.json()["alerts"][0];
    assert_eq!(
        (figures["name"].as_str(), figures["standing"].as_str(), figures["fired"].as_u64()),
        (Some("lates"), Some("quiet"), Some(1))
    );
    assert_eq!((figures["value"].as_f64(), figures["threshold"].as_f64()), (Some(late as f64), Some(100.0)));
    assert_eq!(figures["webhooks"][0]["to"], format!("http://127.0.0.1:{}", server.port));

    let (first, fired) = told(&server);
    assert_eq!(first, format!("POST /{CANARY} HTTP/1.1"));
    assert_eq!((fired["state"].as_str(), fired["alert"].as_str(), fired["node"].as_str()), (Some("firing"), Some("lates"), Some("hourly")));
    let (_, resolved) = told(&server);
    assert_eq!((resolved["state"].as_str(), resolved["why"].as_str()), (Some("resolved"), Some("the run is over")));
    assert!(server.asked.try_recv().is_err(), "each is told once");
    assert!(!ran.stdout.contains(CANARY) && !ran.stderr.contains(CANARY), "{}\n{}", ran.stdout, ran.stderr);
    assert!(!fired.to_string().contains(CANARY));
}

#[test]
fn that_a_run_has_failed_is_told_after_its_end_and_stays() {
    let server = Server::start(&[]);
    let alert = format!(
        "[node.wrong]\nkind = \"derive\"\ninput = \"flights\"\non_error = \"fail\"\ncolumns = {{ n = \"CAST(origin AS INTEGER)\" }}\n\
         [node.out2]\nkind = \"file_sink\"\ninput = \"wrong\"\npath = \"out/wrong.parquet\"\n\
         [alert.broken]\nfigure = \"run_state\"\nis = \"failed\"\nfor = \"1h\"\nnotify = [\"http://127.0.0.1:{}/\"]\n",
        server.port
    );
    let project = project(STRICT, &alert);
    let ran = project.run(&["run", FILE, "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let figures = &ran.json()["alerts"][0];
    assert_eq!((figures["standing"].as_str(), figures["shown"].as_str()), (Some("firing"), Some("failed")));
    let (_, fired) = told(&server);
    assert_eq!((fired["state"].as_str(), fired["value"].as_str()), (Some("firing"), Some("failed")));
    assert!(server.asked.try_recv().is_err());
}

#[test]
fn a_node_shows_which_alerts_fire_and_keeps_their_story_in_its_timeline() {
    let node = Node::start();
    let project = project(DEPARTURES, "[alert.busy]\nfigure = \"rows_in\"\nabove = 10\n");
    let mut command = project.command();
    command.args(["run", FILE, "--json", "--replay", "--on", &node.address]).env("MILLRACE_TOKEN", &node.token);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let says = |arguments: &[&str]| {
        let mut command = project.command();
        command.args(arguments).args(["--on", &node.address]).env("MILLRACE_TOKEN", &node.token);
        Ran::from(command.output().unwrap()).succeeded()
    };
    let until = |arguments: &[&str], wanted: &dyn Fn(&Value) -> bool| {
        let end = Instant::now() + LIMIT;
        loop {
            let said = says(&[arguments, &["--json"]].concat()).json();
            if wanted(&said) {
                return said;
            }
            assert!(Instant::now() < end, "not in time: {arguments:?}: {said:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until(&["status"], &|status| status["jobs"][0]["firing"][0]["name"] == "busy");
    let table = says(&["status"]).stdout;
    assert!(table.contains("ALERT FIRING") && table.contains("rows_in above 10"), "{table}");
    let run = says(&["ps", "--json"]).json()[0]["job"].to_string();
    says(&["stop", &run]);
    let incidents = until(&["logs"], &|incidents| incidents.to_string().contains("alert_resolved"));
    let story = incidents.as_array().unwrap().iter().find(|incident| incident["root"]["kind"] == "alert_firing").unwrap();
    assert_eq!((story["root"]["alert"].as_str(), story["victims"][0]["kind"].as_str()), (Some("busy"), Some("alert_resolved")));
    assert!(story["root"]["message"].as_str().unwrap().starts_with("busy: rows_in above 10: "), "{story:#}");
    running.wait_with_output().unwrap();
}
