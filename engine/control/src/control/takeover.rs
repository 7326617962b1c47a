//! What whoever leads the group is to enter when a node that leads a run is gone. Pure: who is in reach is told, and nothing is asked twice, since what
//! was entered shows in the state.

use std::collections::BTreeSet;

use super::Control;
use super::command::{Command, Desired};
use super::deployments::Deployment;
use super::rank::ranked;

/// What is known of the nodes beside the log.
pub trait Reach {
    /// Why a node is taken for gone, in words; none if it is there, or may be.
    fn is_gone(&self, node: &str) -> Option<String>;

    /// Whether a node that could not lead a run is to be asked again by now.
    fn is_forgiven(&self, deployment: &str, node: &str) -> bool;

    /// Why a node that is there is to lead nothing new, in words.
    fn is_spared(&self, _node: &str) -> Option<String> {
        None
    }
}

/// The commands that are due, one a deployment at most.
pub fn next_steps(control: &Control, reach: &impl Reach) -> Vec<Command> {
    let due = control.deployments().iter().filter(|(_, known)| known.desired == Desired::Running && known.source.place.is_some());
    due.filter_map(|(name, known)| next_step(control, name, known, reach)).collect()
}

fn next_step(control: &Control, name: &str, known: &Deployment, reach: &impl Reach) -> Option<Command> {
    let why = match known.owner() {
        Some(owner) if control.members().get(owner).is_none() => format!("{owner} has left the group"),
        Some(owner) => reach.is_gone(owner).map(|why| format!("{owner} is gone: {why}"))?,
        None => known
            .declined
            .iter()
            .next_back()
            .map_or_else(|| "nobody led it".to_owned(), |(node, why)| format!("{node} could not lead it: {why}")),
    };
    let (name, generation) = (name.to_owned(), known.generation);
    Some(match candidate(control, &name, known, reach) {
        Ok(to) => Command::Hand { name, generation, to, why },
        Err(waits) if known.waits.as_ref() == Some(&waits) => return None,
        Err(why) => Command::Wait { name, generation, why },
    })
}

/// Who is to lead it: one that holds what it goes on from, else one that can fetch that; or why nobody can.
fn candidate(control: &Control, name: &str, known: &Deployment, reach: &impl Reach) -> Result<String, String> {
    let is_there = |node: &str| reach.is_gone(node).is_none();
    let may = |node: &str| !known.declined.contains_key(node) || reach.is_forgiven(name, node);
    let there: Vec<&str> = ranked(name, control.members().iter().map(|(node, _)| node).filter(|node| is_there(node)));
    let is_replicated = known.source.place.as_ref().is_some_and(|place| place.replicas > 0);
    let holders: Vec<&str> = there.iter().copied().filter(|node| known.holders.contains(*node)).collect();
    if let Some(epoch) = known.complete.filter(|_| is_replicated && holders.is_empty()) {
        return Err(format!(
            "epoch {} is complete, and of those that hold it nobody is in reach: {}",
            epoch.number,
            listed(&known.holders)
        ));
    }
    let next = holders.iter().chain(&there).find(|node| may(node) && reach.is_spared(node).is_none());
    next.map(|node| (*node).to_owned()).ok_or_else(|| {
        let spared = there.iter().filter_map(|node| Some(format!("{node}: {}", reach.is_spared(node)?)));
        let declined = known.declined.iter().map(|(node, why)| format!("{node}: {why}"));
        let told: Vec<String> = declined.chain(spared).collect();
        if told.is_empty() {
            "no node is in reach that could lead it".to_owned()
        } else {
            format!("no node can lead it: {}", told.join("; "))
        }
    })
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "nobody was told to".to_owned() } else { names.iter().map(String::as_str).collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Answer, Claim, EpochId, Generation, Refusal};
    use super::super::deployments::{Place, Source};
    use super::*;

    struct Gone(Vec<&'static str>, bool);

    impl Reach for Gone {
        fn is_gone(&self, node: &str) -> Option<String> {
            self.0.contains(&node).then(|| "silent".to_owned())
        }
        fn is_forgiven(&self, _: &str, _: &str) -> bool {
            self.1
        }
    }

    fn done(answer: Answer) -> Generation {
        match answer {
            Answer::Done { generation } => generation,
            other => panic!("{other:?}"),
        }
    }

    /// Three nodes, and a run that `a` leads, whose epoch 5 `a` and `b` hold.
    fn group(replicas: u32) -> (Control, Generation) {
        let mut control = Control::default();
        for name in ["a", "b", "c"] {
            let (name, address) = (name.to_owned(), format!("wss://{name}:1"));
            done(control.apply(Command::Join { name, generation: Generation(1), address, slots: 1, is_control: true }));
        }
        let source = Source { place: Some(Place { replicas, ..Place::default() }), ..Source::default() };
        let generation = done(control.apply(Command::Deploy { name: "p".into(), generation: Generation(0), source }));
        let claim = Claim { node: "a".into(), nonce: 1, ..Claim::default() };
        let generation = done(control.apply(Command::Lead { name: "p".into(), generation, claim }));
        let (epoch, holders) = (EpochId { run: 7, number: 5 }, ["a", "b"].map(str::to_owned).into());
        done(control.apply(Command::Complete { name: "p".into(), generation, epoch, holders }));
        (control, generation)
    }

    /// Carries out what is due, of which there is one thing at most.
    fn step(control: &mut Control, reach: &Gone) -> Option<Command> {
        let mut due = next_steps(control, reach);
        let command = due.pop()?;
        assert!(due.is_empty());
        done(control.apply(command.clone()));
        Some(command)
    }

    fn to(command: Option<Command>) -> String {
        match command {
            Some(Command::Hand { to, .. }) => to,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_whose_node_is_gone_is_handed_to_who_holds_its_newest_epoch_and_once() {
        let (mut control, before) = group(2);
        assert_eq!(step(&mut control, &Gone(vec![], false)), None, "all are there");
        assert_eq!(step(&mut control, &Gone(vec!["b", "c"], false)), None, "who leads it is there");
        assert_eq!(to(step(&mut control, &Gone(vec!["a"], false))), "b");
        assert_eq!(step(&mut control, &Gone(vec!["a"], false)), None, "it was handed");
        // Whoever led it enters nothing more from here on, before the other one has begun.
        let (epoch, holders) = (EpochId { run: 7, number: 6 }, BTreeSet::new());
        let late = control.apply(Command::Complete { name: "p".into(), generation: before, epoch, holders });
        assert_eq!(late, Answer::Stale { generation: before.next() });
        // It dies before it begins.
        assert!(
            matches!(step(&mut control, &Gone(vec!["a", "b"], false)), Some(Command::Wait { why, .. }) if why.contains("epoch 5") && why.contains("a, b"))
        );
        assert_eq!(step(&mut control, &Gone(vec!["a", "b"], false)), None, "that it waits is said once");
        assert_eq!(to(step(&mut control, &Gone(vec!["b"], false))), "a", "a holder came back");
    }

    #[test]
    fn who_declines_is_passed_over_until_it_is_forgiven() {
        let (mut control, _) = group(2);
        assert_eq!(to(step(&mut control, &Gone(vec!["a"], false))), "b");
        let generation = control.deployments().get("p").unwrap().generation;
        let decline = |control: &mut Control, node: &str, generation| {
            control.apply(Command::Decline { name: "p".into(), generation, node: node.to_owned(), why: "no such folder".into() })
        };
        decline(&mut control, "b", generation);
        assert_eq!(to(step(&mut control, &Gone(vec!["a"], false))), "c", "it can fetch from b");
        let generation = control.deployments().get("p").unwrap().generation;
        decline(&mut control, "c", generation);
        assert!(
            matches!(step(&mut control, &Gone(vec!["a"], false)), Some(Command::Wait { why, .. }) if why.contains("b: no such folder; c: no such"))
        );
        assert_eq!(to(step(&mut control, &Gone(vec!["a"], true))), "b");
    }

    /// `a` is gone, and `b` is there and to lead nothing new.
    struct Sparing;

    impl Reach for Sparing {
        fn is_gone(&self, node: &str) -> Option<String> {
            (node == "a").then(|| "silent".to_owned())
        }
        fn is_forgiven(&self, _: &str, _: &str) -> bool {
            false
        }
        fn is_spared(&self, node: &str) -> Option<String> {
            (node == "b").then(|| "it is being drained".to_owned())
        }
    }

    #[test]
    fn a_node_that_is_being_emptied_is_handed_nothing_and_the_run_waits_if_nobody_else_is_there() {
        let (mut control, _) = group(2);
        let mut due = next_steps(&control, &Sparing);
        assert_eq!(to(due.pop()), "c", "who can fetch from it");
        let generation = control.members().get("c").unwrap().generation;
        done(control.apply(Command::Leave { name: "c".into(), generation }));
        let mut due = next_steps(&control, &Sparing);
        assert!(matches!(due.pop(), Some(Command::Wait { why, .. }) if why.contains("b: it is being drained")));
    }

    #[test]
    fn where_state_lies_in_a_store_that_all_reach_anybody_goes_on() {
        let (mut control, _) = group(0);
        let next = to(step(&mut control, &Gone(vec!["a", "b"], false)));
        assert_eq!(next, "c");
    }

    #[test]
    fn who_holds_an_epoch_is_of_that_epoch_alone() {
        let (mut control, generation) = group(2);
        let holders = BTreeSet::from(["a".to_owned(), "c".to_owned()]);
        let held = |number| Command::Held { name: "p".into(), generation, epoch: EpochId { run: 7, number }, holders: holders.clone() };
        assert_eq!(control.apply(held(4)), Answer::OutOfOrder { newest: Some(EpochId { run: 7, number: 5 }) });
        done(control.apply(held(5)));
        assert_eq!(to(step(&mut control, &Gone(vec!["a"], false))), "c");
    }

    #[test]
    fn who_was_silent_and_was_missed_leads_on_and_nothing_waits_any_more() {
        let (mut control, generation) = group(2);
        let waits = |control: &Control| control.deployments().get("p").unwrap().waits.clone();
        assert!(matches!(step(&mut control, &Gone(vec!["a", "b"], false)), Some(Command::Wait { .. })));
        assert!(waits(&control).is_some());
        let (epoch, holders) = (EpochId { run: 7, number: 6 }, BTreeSet::from(["a".to_owned()]));
        done(control.apply(Command::Complete { name: "p".into(), generation, epoch, holders }));
        assert_eq!(waits(&control), None);
        // Its process begins again, and leads what it led: nobody else was to.
        assert!(matches!(step(&mut control, &Gone(vec!["a"], false)), Some(Command::Wait { .. })));
        let claim = Claim { node: "a".into(), nonce: 2, goes_on: true, ..Claim::default() };
        done(control.apply(Command::Lead { name: "p".into(), generation, claim }));
        assert_eq!((waits(&control), control.deployments().get("p").unwrap().owner()), (None, Some("a")));
    }

    #[test]
    fn who_could_not_lead_is_not_asked_again_before_somebody_has_come_further() {
        let (mut control, _) = group(2);
        assert_eq!(to(step(&mut control, &Gone(vec!["a"], false))), "b");
        let newest = |control: &Control| control.deployments().get("p").unwrap().generation;
        let (name, generation) = ("p".to_owned(), newest(&control));
        done(control.apply(Command::Decline { name, generation, node: "b".into(), why: "its disk is full".into() }));
        assert_eq!(to(step(&mut control, &Gone(vec!["a"], false))), "c");
        let claim = Claim { node: "c".into(), nonce: 2, goes_on: true, ..Claim::default() };
        let generation = done(control.apply(Command::Lead { name: "p".into(), generation: newest(&control), claim }));
        let declined = |control: &Control| control.deployments().get("p").unwrap().declined.len();
        for (number, expected) in [(5, 1), (6, 0)] {
            let (epoch, holders) = (EpochId { run: 7, number }, BTreeSet::from(["c".to_owned()]));
            done(control.apply(Command::Complete { name: "p".into(), generation, epoch, holders }));
            assert_eq!(declined(&control), expected, "epoch {number}");
        }
    }

    #[test]
    fn who_takes_over_what_began_anew_begins_with_nothing_too() {
        let (mut control, generation) = group(2);
        let claim = Claim { node: "a".into(), nonce: 2, fresh: true, ..Claim::default() };
        let generation = done(control.apply(Command::Lead { name: "p".into(), generation, claim }));
        let known = control.deployments().get("p").unwrap();
        assert_eq!((known.complete, known.committed, known.holders.len()), (None, None, 0));
        // Nobody has to hold what was given up.
        assert!(["b", "c"].contains(&to(step(&mut control, &Gone(vec!["a"], false))).as_str()));
        let claim = Claim { node: "b".into(), nonce: 3, goes_on: true, ..Claim::default() };
        done(control.apply(Command::Lead { name: "p".into(), generation: generation.next(), claim }));
        assert_eq!(control.deployments().get("p").unwrap().complete, None);
    }

    #[test]
    fn what_was_stopped_is_gone_on_with_by_nobody_and_begun_anew_by_whoever_wants_it() {
        let (mut control, generation) = group(2);
        done(control.apply(Command::Desire { name: "p".into(), generation, desired: Desired::Stopped }));
        let mut lead = |goes_on| {
            let claim = Claim { node: "a".into(), nonce: 2, goes_on, ..Claim::default() };
            control.apply(Command::Lead { name: "p".into(), generation, claim })
        };
        assert_eq!(lead(true), Answer::Refused { why: Refusal::Stopped });
        assert_eq!(lead(false), Answer::Done { generation: generation.next() });
    }

    #[test]
    fn a_run_that_was_stopped_or_has_its_files_at_its_node_is_handed_to_nobody() {
        let (mut control, generation) = group(2);
        done(control.apply(Command::Desire { name: "p".into(), generation, desired: Desired::Stopped }));
        assert_eq!(step(&mut control, &Gone(vec!["a"], false)), None);
        let (mut control, generation) = group(2);
        done(control.apply(Command::Revise { name: "p".into(), generation, source: Source::default() }));
        assert_eq!(step(&mut control, &Gone(vec!["a"], false)), None);
        let refused = control.apply(Command::Hand { name: "p".into(), generation, to: "b".into(), why: String::new() });
        assert!(!refused.is_done());
    }
}
