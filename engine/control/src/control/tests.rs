//! The agreed state against a model that keeps everything that ever happened.

use proptest::prelude::*;

use super::*;

fn claim(node: &str, nonce: u64) -> Claim {
    Claim { node: node.to_owned(), nonce, ..Claim::default() }
}

fn epoch(number: u64) -> EpochId {
    EpochId { run: 7, number }
}

fn deploy(control: &mut Control, name: &str) -> Generation {
    let source = Source { text: "x".into(), ..Source::default() };
    match control.apply(Command::Deploy { name: name.into(), generation: Generation(0), source }) {
        Answer::Done { generation } => generation,
        other => panic!("{other:?}"),
    }
}

fn lead(control: &mut Control, generation: Generation, claim: Claim) -> Answer {
    control.apply(Command::Lead { name: "p".into(), generation, claim })
}

fn complete(control: &mut Control, generation: u64, number: u64) -> Answer {
    control.apply(Command::Complete {
        name: "p".into(),
        generation: Generation(generation),
        epoch: epoch(number),
        holders: BTreeSet::new(),
    })
}

fn commit(control: &mut Control, generation: u64, number: u64) -> Answer {
    control.apply(Command::Commit { name: "p".into(), generation: Generation(generation), epoch: epoch(number) })
}

const fn done(generation: u64) -> Answer {
    Answer::Done { generation: Generation(generation) }
}

const fn stale(generation: u64) -> Answer {
    Answer::Stale { generation: Generation(generation) }
}

#[test]
fn an_epoch_is_complete_before_it_is_committed_and_each_but_once() {
    let mut control = Control::default();
    assert_eq!(deploy(&mut control, "p"), Generation(1));
    assert_eq!(complete(&mut control, 1, 1), Answer::Refused { why: Refusal::NotLed });
    assert_eq!(lead(&mut control, Generation(1), claim("a", 1)), done(2));
    assert_eq!(commit(&mut control, 2, 1), Answer::OutOfOrder { newest: None });
    assert_eq!(complete(&mut control, 2, 1), done(2));
    assert_eq!(complete(&mut control, 2, 1), Answer::Already { generation: Generation(2) });
    assert_eq!(commit(&mut control, 2, 1), done(2));
    assert_eq!(commit(&mut control, 2, 1), Answer::Already { generation: Generation(2) });
    // Epochs that were given up leave gaps.
    assert_eq!(complete(&mut control, 2, 4), done(2));
    assert_eq!(complete(&mut control, 2, 3), Answer::OutOfOrder { newest: Some(epoch(4)) });
    assert_eq!(commit(&mut control, 2, 1), Answer::Already { generation: Generation(2) });
    assert_eq!(commit(&mut control, 2, 3), Answer::OutOfOrder { newest: Some(epoch(4)) });
}

#[test]
fn whoever_was_deposed_completes_nothing_any_more() {
    let mut control = Control::default();
    deploy(&mut control, "p");
    lead(&mut control, Generation(1), claim("a", 1));
    complete(&mut control, 2, 5);
    assert_eq!(lead(&mut control, Generation(2), claim("b", 2)), done(3));
    let before = control.clone();
    assert_eq!(complete(&mut control, 2, 6), stale(3));
    assert_eq!(commit(&mut control, 2, 5), stale(3));
    assert_eq!(lead(&mut control, Generation(2), claim("a", 3)), stale(3));
    assert_eq!(control, before);
    // What was complete is where the next one goes on from, and not below.
    assert_eq!(complete(&mut control, 3, 4), Answer::OutOfOrder { newest: Some(epoch(5)) });
    assert_eq!(complete(&mut control, 3, 5), done(3));
    assert_eq!(commit(&mut control, 3, 5), done(3));
}

#[test]
fn a_claim_that_comes_twice_is_one() {
    let mut control = Control::default();
    deploy(&mut control, "p");
    assert_eq!(lead(&mut control, Generation(1), claim("a", 1)), done(2));
    assert_eq!(lead(&mut control, Generation(1), claim("a", 1)), Answer::Already { generation: Generation(2) });
    assert_eq!(lead(&mut control, Generation(1), claim("a", 2)), stale(2));
}

#[test]
fn a_claim_that_may_rewind_goes_on_from_an_earlier_epoch() {
    let mut control = Control::default();
    deploy(&mut control, "p");
    lead(&mut control, Generation(1), claim("a", 1));
    complete(&mut control, 2, 9);
    lead(&mut control, Generation(2), Claim { may_rewind: true, ..claim("a", 2) });
    assert_eq!(complete(&mut control, 3, 4), done(3));
    assert_eq!(complete(&mut control, 3, 3), Answer::OutOfOrder { newest: Some(epoch(4)) });
}

#[test]
fn a_new_version_ends_the_generation_that_ran_the_old_one() {
    let mut control = Control::default();
    deploy(&mut control, "p");
    lead(&mut control, Generation(1), claim("a", 1));
    let source = Source { text: "y".into(), ..Source::default() };
    let change = Command::Deploy { name: "p".into(), generation: Generation(2), source };
    assert_eq!(control.apply(change.clone()), done(3));
    assert_eq!(control.apply(change), Answer::Already { generation: Generation(3) });
    assert_eq!(complete(&mut control, 2, 1), stale(3));
    assert_eq!(control.deployments().get("p").map(|deployment| deployment.version), Some(2));
}

#[test]
fn a_name_that_was_removed_is_not_led_on_under_its_old_generation() {
    let mut control = Control::default();
    deploy(&mut control, "p");
    lead(&mut control, Generation(1), claim("a", 1));
    assert_eq!(control.apply(Command::Remove { name: "p".into(), generation: Generation(2) }), done(2));
    assert_eq!(complete(&mut control, 2, 1), Answer::Unknown);
    assert_eq!(deploy(&mut control, "p"), Generation(3));
    assert_eq!(complete(&mut control, 2, 1), stale(3));
}

#[test]
fn what_is_deployed_as_it_is_stays_as_it_is() {
    let mut control = Control::default();
    deploy(&mut control, "p");
    lead(&mut control, Generation(1), claim("a", 1));
    let source = Source { text: "x".into(), ..Source::default() };
    let same = Command::Deploy { name: "p".into(), generation: Generation(2), source };
    assert_eq!(control.apply(same), Answer::Already { generation: Generation(2) });
    assert_eq!(complete(&mut control, 2, 1), done(2));
}

#[test]
fn where_there_is_no_room_for_a_deployment_one_that_was_stopped_goes() {
    let mut control = Control::default();
    let names: Vec<String> = (0..deployments::MAX_DEPLOYMENTS).map(|number| format!("p{number}")).collect();
    names.iter().for_each(|name| assert!(deploy(&mut control, name) > Generation(0)));
    let one_more = Command::Deploy { name: "q".into(), generation: Generation(0), source: Source::default() };
    assert_eq!(control.apply(one_more.clone()), Answer::Refused { why: Refusal::Full });
    let stop = Command::Desire { name: "p7".into(), generation: Generation(1), desired: Desired::Stopped };
    assert_eq!(control.apply(stop), done(1));
    // Above the one that went, so that nothing of it is taken for the new one's.
    assert_eq!(control.apply(one_more), done(2));
    assert!(control.deployments().get("p7").is_none());
}

#[test]
fn a_process_that_is_gone_does_not_take_its_successor_along() {
    let join = |generation: u64| Command::Join {
        name: "n".into(),
        generation: Generation(generation),
        address: "ws://127.0.0.1:7400".into(),
        slots: 2,
        is_control: true,
    };
    let leave = |generation: u64| Command::Leave { name: "n".into(), generation: Generation(generation) };
    let mut control = Control::default();
    assert_eq!(control.apply(join(5)), done(5));
    assert_eq!(control.apply(join(5)), Answer::Already { generation: Generation(5) });
    assert_eq!(control.apply(join(6)), done(6));
    assert_eq!(control.apply(join(5)), stale(6));
    assert_eq!(control.apply(leave(5)), stale(6));
    assert_eq!(control.apply(leave(6)), done(6));
    assert_eq!(control.apply(leave(6)), Answer::Unknown);
}

#[test]
fn what_is_too_long_is_refused() {
    let mut control = Control::default();
    let too_long = Answer::Refused { why: Refusal::TooLong };
    let source = Source { text: "x".repeat(deployments::MAX_SOURCE_BYTES + 1), ..Source::default() };
    assert_eq!(control.apply(Command::Deploy { name: "p".into(), generation: Generation(0), source }), too_long);
    let name = "n".repeat(MAX_NAME_BYTES + 1);
    assert_eq!(control.apply(Command::Deploy { name, generation: Generation(0), source: Source::default() }), too_long);
    assert_eq!(control, Control::default());
}

/// What is asked of one deployment, by one of three that each know some generation.
#[derive(Debug, Clone)]
enum Step {
    Lead { node: u64, back: u64, nonce: u64 },
    Complete { back: u64, number: u64 },
    Commit { back: u64, number: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (back, number) = (0u64..3, 1u64..12);
    prop_oneof![
        (0u64..3, back.clone(), 0u64..4).prop_map(|(node, back, nonce)| Step::Lead { node, back, nonce }),
        (back.clone(), number.clone()).prop_map(|(back, number)| Step::Complete { back, number }),
        (back, number).prop_map(|(back, number)| Step::Commit { back, number }),
    ]
}

/// All that was ever done, in order, and the laws that it must keep.
#[derive(Debug, Default)]
struct Model {
    generations: Vec<u64>,
    complete: Vec<(u64, u64)>,
    committed: Vec<(u64, u64)>,
}

impl Model {
    fn holds(&self) {
        assert!(self.generations.windows(2).all(|pair| pair[0] < pair[1]), "{self:?}");
        for pair in self.complete.windows(2) {
            let ((before, earlier), (after, later)) = (pair[0], pair[1]);
            assert!(before <= after, "a deposed generation completed something: {self:?}");
            assert!(earlier < later || (earlier == later && before < after), "out of order: {self:?}");
        }
        for commit in &self.committed {
            assert!(self.complete.contains(commit), "committed and not complete: {self:?}");
        }
        for pair in self.committed.windows(2) {
            assert!(pair[0] != pair[1], "committed twice: {self:?}");
        }
    }
}

proptest! {
    #[test]
    fn in_any_order_of_commands_the_laws_hold(steps in prop::collection::vec(step(), 1..120)) {
        let (mut control, mut model) = (Control::default(), Model::default());
        let mut newest = deploy(&mut control, "p").0;
        for step in steps {
            let before = control.clone();
            let answer = match step {
                Step::Lead { node, back, nonce } => {
                    let claim = claim(&format!("n{node}"), nonce);
                    let answer = lead(&mut control, Generation(newest.saturating_sub(back)), claim);
                    if let Answer::Done { generation } = answer {
                        prop_assert_eq!(back, 0);
                        newest = generation.0;
                        model.generations.push(newest);
                    }
                    answer
                }
                Step::Complete { back, number } => {
                    let generation = newest.saturating_sub(back);
                    let answer = complete(&mut control, generation, number);
                    if matches!(answer, Answer::Done { .. }) {
                        prop_assert_eq!(back, 0);
                        model.complete.push((generation, number));
                    }
                    answer
                }
                Step::Commit { back, number } => {
                    let generation = newest.saturating_sub(back);
                    let answer = commit(&mut control, generation, number);
                    if matches!(answer, Answer::Done { .. }) {
                        model.committed.push((generation, number));
                    }
                    answer
                }
            };
            if !matches!(answer, Answer::Done { .. }) {
                prop_assert_eq!(&control, &before, "{:?} changed something", answer);
            }
            model.holds();
        }
        let text = serde_json::to_string(&control).unwrap();
        prop_assert_eq!(serde_json::from_str::<Control>(&text).unwrap(), control);
    }
}
