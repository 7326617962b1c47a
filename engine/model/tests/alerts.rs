//! Alerts in the file: what is read, what is wrong, and edits that change nothing beside them.

mod common;

use common::{catalog, checked, told};
use insta::assert_snapshot;
use millrace_model::alert::{Condition, Figure};
use millrace_model::file::{CheckOptions, Edit, check, diff, edit, graph};
use millrace_model::{AlertDecl, Severity};
use serde_json::json;

const HEAD: &str = "millrace = 1\n\n[node.flights]\nkind = \"host_metrics\"\n\n[node.out]\nkind = \"stdout\"\ninput = \"flights\"\n\n";

fn alerts(text: &str) -> Vec<AlertDecl> {
    let checked = checked(&format!("{HEAD}{text}"));
    assert!(checked.diagnostics.is_empty(), "{:#?}", checked.diagnostics);
    checked.pipeline.unwrap().alerts
}

fn wrong(text: &str) -> String {
    told(&format!("{HEAD}{text}"))
}

#[test]
fn an_alert_is_read_with_its_thresholds_in_the_figures_unit() {
    let read = alerts(
        "[alert.behind]\nfigure = \"watermark_lag\"\nnode = \"flights\"\nabove = \"10m\"\nuntil = \"8m\"\nfor = \"30s\"\n\
         notify = [\"desktop\", \"https://hooks.example/x\"]\n\n[alert.lates]\nfigure = \"late\"\nabove = 100\n",
    );
    let behind = &read[0];
    assert_eq!(behind.condition, Condition::Above { threshold: 600_000.0, until: 480_000.0 });
    assert_eq!((behind.figure, behind.hold.micros, behind.desktop), (Figure::WatermarkLag, 30_000_000, true));
    assert_eq!(behind.in_words(), "watermark_lag of flights above 10 min");
    assert_eq!(behind.webhooks[0].secret(), "https://hooks.example/x");
    assert_eq!((read[1].name.as_str(), read[1].in_words().as_str()), ("lates", "late above 100"));
}

#[test]
fn a_figure_that_there_is_not_is_told_with_those_that_there_are() {
    let told = wrong("[alert.a]\nfigure = \"lates\"\nabove = 1\n");
    assert!(told.contains("error[MR0114] alert.a.figure"), "{told}");
    for figure in Figure::ALL {
        assert!(told.contains(figure.name()), "{}: {told}", figure.name());
    }
    assert!(told.contains("did you mean `late`?"), "{told}");
}

#[test]
fn a_node_that_there_is_not_and_a_threshold_that_does_not_fit_are_told() {
    assert_snapshot!(wrong("[alert.a]\nfigure = \"busy\"\nnode = \"flihgts\"\nabove = 80\n"), @r#"
    p.millrace.toml:12:8: error[MR0151] alert.a.node: there is no node `flihgts` to watch
      12 | node = "flihgts"
         |        ^^^^^^^^^
      did you mean `flights`?

    p.millrace.toml:13:9: error[MR0150] alert.a.above: this is no threshold of `busy`
      13 | above = 80
         |         ^^
      expected: a share such as "80%"
      found: 80
    "#);
}

#[test]
fn an_alert_has_one_threshold_on_the_right_side_and_a_figure_of_the_run_has_no_node() {
    assert!(wrong("[alert.a]\nfigure = \"late\"\n").contains("error[MR0150] alert.a: an alert on `late` has one threshold"));
    assert!(wrong("[alert.a]\nfigure = \"late\"\nabove = 1\nbelow = 2\n").contains("error[MR0150] alert.a"));
    assert!(
        wrong("[alert.a]\nfigure = \"late\"\nabove = 1\nuntil = 2\n").contains("error[MR0150] alert.a.until: `until` lies above `above`")
    );
    assert!(wrong("[alert.a]\nfigure = \"run_state\"\nabove = 1\n").contains("an alert on `run_state` says what the run is"));
    assert!(wrong("[alert.a]\nfigure = \"restarts\"\nnode = \"flights\"\nabove = 1\n").contains("error[MR0150] alert.a.node"));
    assert!(wrong("[alert.A!]\nfigure = \"late\"\nabove = 1\n").contains("MR01"), "a name that none can have");
    assert!(wrong("[alert.a]\nfigure = \"late\"\nabove = 1\nwho = 1\n").contains("there is no field `who` here"));
}

#[test]
fn a_figure_of_checkpoints_warns_where_there_are_none() {
    let text = format!("{HEAD}[alert.a]\nfigure = \"checkpoint_age\"\nabove = \"1m\"\n");
    let checked = checked(&text);
    let [finding] = checked.diagnostics.items.as_slice() else { panic!("{:#?}", checked.diagnostics) };
    assert_eq!((finding.code.as_ref(), finding.severity), ("MR0154", Severity::Warning));
    assert_eq!(checked.pipeline.unwrap().alerts.len(), 1, "it may run");
}

#[test]
fn a_secret_in_an_address_is_in_no_finding_whatever_is_wrong_with_it() {
    let env = |name: &str| (name == "HOOK").then(|| "ftp://canary/canary".to_owned());
    let text = format!(
        "{HEAD}[alert.a]\nfigure = \"late\"\nabove = 1\nnotify = [\"${{HOOK}}\", \"canary\", 7]\n\n[alert.b]\nfigure = \"late\"\nabove = \"${{HOOK}}\"\n"
    );
    let catalog = catalog();
    let checked = check(&text, &CheckOptions { file: None, catalog: &catalog, env: &env, overrides: &[] });
    assert!(checked.diagnostics.has_errors());
    assert!(!format!("{:?}", checked.diagnostics).contains("canary"), "{:#?}", checked.diagnostics);
    let text = format!("{HEAD}[alert.a]\nfigure = \"late\"\nabove = 1\nnotify = [\"${{HOOK}}\", \"canary\"]\n");
    let checked = check(&text, &CheckOptions { file: None, catalog: &catalog, env: &env, overrides: &[] });
    assert!(checked.diagnostics.items.iter().any(|finding| finding.code == "MR0152"), "{:#?}", checked.diagnostics);
    assert!(!format!("{:?}", checked.diagnostics).contains("canary"), "{:#?}", checked.diagnostics);
}

const COMMENTED: &str = r#"millrace = 1

[node.flights]
kind = "host_metrics"

# Nobody waits for these.
[alert.lates]
figure = "late" # by the row's own watermark
node = "flights"
above = 100

[layout]
flights = [0, 0]
"#;

fn made(text: &str, edit_json: serde_json::Value) -> String {
    let one: Edit = serde_json::from_value(edit_json).unwrap();
    edit(text, &one, &catalog()).unwrap().text
}

#[test]
fn edits_of_alerts_keep_comments_and_all_that_they_do_not_mean() {
    let set = made(COMMENTED, json!({ "edit": "set_alert_field", "alert": "lates", "path": ["above"], "value": 7 }));
    assert_eq!(set, COMMENTED.replace("above = 100", "above = 7"));
    let told = made(COMMENTED, json!({ "edit": "set_alert_field", "alert": "lates", "path": ["notify"], "value": ["desktop"] }));
    assert_eq!(told, COMMENTED.replace("above = 100\n", "above = 100\nnotify = [\"desktop\"]\n"));
    let renamed = made(COMMENTED, json!({ "edit": "rename_alert", "from": "lates", "to": "late_rows" }));
    assert_eq!(renamed, COMMENTED.replace("[alert.lates]", "[alert.late_rows]"));
    let added = made(COMMENTED, json!({ "edit": "add_alert", "fields": { "figure": "busy", "above": "80%" } }));
    assert_eq!(added, COMMENTED.replace("\n[layout]", "\n[alert.busy]\nfigure = \"busy\"\nabove = \"80%\"\n\n[layout]"));
    let gone = made(COMMENTED, json!({ "edit": "remove_alert", "alert": "lates" }));
    assert!(!gone.contains("alert") && gone.contains("[layout]"), "{gone}");
}

#[test]
fn the_first_alert_of_a_file_stands_after_its_nodes() {
    let text = "millrace = 1\n\n[node.a]\nkind = \"host_metrics\"\n\n[layout]\na = [0, 0]\n";
    let added = made(text, json!({ "edit": "add_alert", "fields": { "figure": "late", "above": 100 } }));
    assert_eq!(added, text.replace("\n[layout]", "\n[alert.late]\nfigure = \"late\"\nabove = 100\n\n[layout]"));
    let back = made(&added, json!({ "edit": "remove_alert", "alert": "late" }));
    assert_eq!(back, text);
}

#[test]
fn an_alert_follows_its_node_and_goes_with_it() {
    let renamed = made(COMMENTED, json!({ "edit": "rename_node", "from": "flights", "to": "all" }));
    assert!(renamed.contains("node = \"all\"") && renamed.contains("# Nobody waits for these."), "{renamed}");
    let gone = made(COMMENTED, json!({ "edit": "remove_nodes", "ids": ["flights"] }));
    assert!(!gone.contains("[alert."), "{gone}");
}

#[test]
fn the_graph_has_the_alerts_as_written_and_the_diff_tells_them() {
    let graph = graph(COMMENTED, &catalog()).unwrap();
    assert_eq!((graph.alerts[0].name.as_str(), &graph.alerts[0].fields["above"], graph.alerts[0].lines), ("lates", &json!(100), [7, 10]));
    let new = COMMENTED.replace("above = 100", "above = 7") + "\n[alert.x]\nfigure = \"late\"\nabove = 1\n";
    let words = |old: &str, new: &str| diff(old, new).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(words(COMMENTED, &new), ["alert.lates.above: 100 becomes 7", "alert.x: new alert"]);
    assert_eq!(words(&new, COMMENTED), ["alert.lates.above: 7 becomes 100", "alert.x: alert removed"]);
}

#[test]
fn the_guide_lists_every_figure() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ALERTS.md")).unwrap();
    for figure in Figure::ALL {
        assert!(guide.contains(&format!("`{}`", figure.name())), "docs/ALERTS.md does not tell of {}", figure.name());
    }
}
