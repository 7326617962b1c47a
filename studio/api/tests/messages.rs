//! The shape of the envelopes on the wire, which the screens' codec reads.

use millrace_studio_api::{ApiError, ClientMessage, Edit, Event, Graph, Outcome, Reply, Request, ServerMessage};
use serde_json::{json, to_value};

#[test]
fn a_request_is_read_from_its_envelope() {
    let text = r#"{"id":7,"request":{"ask":"edit","edits":[{"edit":"set_field","node":"flown","path":["where"],"value":"x > 1"}]}}"#;
    let message: ClientMessage = serde_json::from_str(text).unwrap();
    let edit = Edit::SetField { node: "flown".into(), path: vec!["where".into()], value: Some(json!("x > 1")) };
    assert_eq!(message, ClientMessage { id: 7, request: Request::Edit { edits: vec![edit] } });
}

#[test]
fn replies_errors_and_events_are_told_apart_by_their_tags() {
    let done = ServerMessage::Reply { id: 7, outcome: Outcome::Ok(Box::new(Reply::Done)) };
    assert_eq!(to_value(done).unwrap(), json!({ "message": "reply", "id": 7, "outcome": { "ok": { "reply": "done" } } }));

    let error = ApiError { code: "not_open".into(), message: "no pipeline is open".into(), findings: vec![] };
    let refused = ServerMessage::Reply { id: 8, outcome: Outcome::Error(error) };
    let expected = json!({ "message": "reply", "id": 8, "outcome": { "error": { "code": "not_open", "message": "no pipeline is open" } } });
    assert_eq!(to_value(refused).unwrap(), expected);

    let closed = ServerMessage::Event { event: Box::new(Event::Closed) };
    assert_eq!(to_value(closed).unwrap(), json!({ "message": "event", "event": { "event": "closed" } }));
}

#[test]
fn an_unknown_request_is_an_error_and_not_a_panic() {
    assert!(serde_json::from_str::<ClientMessage>(r#"{"id":1,"request":{"ask":"format_disk"}}"#).is_err());
    assert!(serde_json::from_str::<ClientMessage>("[]").is_err());
}

#[test]
fn the_graph_of_a_file_that_never_was_well_formed_has_the_shape_that_screens_read() {
    assert_eq!(to_value(Graph::default()).unwrap(), json!({ "settings": {}, "nodes": [], "alerts": [], "touches": [] }));
}
