//! The alerts of one run, from look to look.

use std::collections::VecDeque;
use std::sync::Arc;

use millrace_model::AlertDecl;
use millrace_model::alert::WINDOW_SECONDS;
use millrace_wire::alerts::{AlertFigures, AlertStanding};
use millrace_wire::figures::{EpochOutcome, RunState};

use super::News;
use super::machine::{Machine, Reading, Turn};
use super::measure::{Look, measure};

const WINDOW_NS: u64 = WINDOW_SECONDS * 1_000_000_000;

/// Looks that are kept: those of the window, at two a second, and then some.
const MOST_LOOKS: usize = 16;

/// What is known of each alert. Others take their place when the run becomes another pipeline; one that stays as it was goes on.
#[derive(Debug, Default)]
pub struct AlertWatch {
    alerts: Vec<Watched>,
    looks: VecDeque<Look>,
    /// The newest complete epoch by its number and begin, and when it was first seen so.
    complete: Option<((u64, i64), u64)>,
    start_ns: u64,
}

#[derive(Debug)]
struct Watched {
    alert: Arc<AlertDecl>,
    machine: Machine,
    reading: Option<Reading>,
    standing: AlertStanding,
    /// Since when it stands so, microseconds since 1970.
    since_us: i64,
    fired: u64,
}

impl AlertWatch {
    /// A run that began at `start_ns` of the monotonic clock.
    pub fn new(start_ns: u64) -> AlertWatch {
        AlertWatch { start_ns, ..AlertWatch::default() }
    }

    /// Whether there is anything to watch, now or until now.
    pub fn is_idle(&self, alerts: &[AlertDecl]) -> bool {
        alerts.is_empty() && self.alerts.is_empty()
    }

    /// The alerts are these from now on. What fires and is gone, or has another rule now, is over.
    pub fn become_these(&mut self, alerts: &[AlertDecl], at_us: i64) -> Vec<News> {
        let is_same = self.alerts.len() == alerts.len() && self.alerts.iter().zip(alerts).all(|(watched, alert)| *watched.alert == *alert);
        if is_same {
            return Vec::new();
        }
        let mut before = std::mem::take(&mut self.alerts);
        self.alerts = alerts
            .iter()
            .map(|alert| match before.iter().position(|watched| *watched.alert == *alert) {
                Some(at) => before.swap_remove(at),
                None => Watched::new(alert.clone(), at_us),
            })
            .collect();
        let over = before.iter_mut().filter_map(|watched| {
            let turn = watched.machine.end(&watched.alert, None)?;
            Some(watched.turned(turn, at_us, Some("its rule was changed or taken away")))
        });
        over.collect()
    }

    /// Takes in a look. What is to be told, in the order of the alerts.
    pub fn look(&mut self, mut now: Look, at_us: i64) -> Vec<News> {
        now.complete_ns = self.completed(&now);
        let told = self.step(&now, |watched, reading| watched.machine.step(&watched.alert, reading, now.at_ns), None, at_us);
        // Before its tasks begin, counters jump to what an epoch held: no rate is made of that.
        if now.state == RunState::Starting {
            return told;
        }
        self.looks.push_back(now);
        let is_old = |look: &Look, newest: u64| newest.saturating_sub(look.at_ns) >= WINDOW_NS;
        let newest = self.looks.back().map_or(0, |look| look.at_ns);
        // The one just outside the window is what rates are taken from.
        while self.looks.len() > MOST_LOOKS || self.looks.get(1).is_some_and(|second| is_old(second, newest)) {
            self.looks.pop_front();
        }
        told
    }

    /// The run is over, and this is how it ended.
    pub fn end(&mut self, mut now: Look, at_us: i64) -> Vec<News> {
        now.complete_ns = self.completed(&now);
        self.step(&now, |watched, reading| watched.machine.end(&watched.alert, reading), Some("the run is over"), at_us)
    }

    fn step(
        &mut self,
        now: &Look,
        step: impl Fn(&mut Watched, Option<Reading>) -> Option<Turn>,
        why_over: Option<&'static str>,
        at_us: i64,
    ) -> Vec<News> {
        let before = self.looks.front().unwrap_or(now);
        let mut told = Vec::new();
        for watched in &mut self.alerts {
            let reading = measure(watched.alert.figure, watched.alert.node.as_ref(), now, before);
            watched.reading = reading;
            let turn = step(watched, reading);
            watched.stands(at_us, turn);
            told.extend(turn.map(|turn| watched.turned(turn, at_us, why_over)));
        }
        told
    }

    /// When a checkpoint was last complete.
    fn completed(&mut self, now: &Look) -> u64 {
        let newest = now.epochs.iter().rev().find(|epoch| epoch.outcome == EpochOutcome::Complete);
        if let Some(epoch) = newest.map(|epoch| (epoch.epoch, epoch.began_us))
            && self.complete.is_none_or(|(known, _)| known != epoch)
        {
            self.complete = Some((epoch, now.at_ns));
        }
        self.complete.map_or(self.start_ns, |(_, at_ns)| at_ns)
    }

    pub fn alerts(&self) -> impl Iterator<Item = &AlertDecl> {
        self.alerts.iter().map(|watched| &*watched.alert)
    }

    /// In the order of the alerts. What became of webhooks is its herald's to add.
    pub fn figures(&self) -> Vec<AlertFigures> {
        self.alerts.iter().map(Watched::figures).collect()
    }
}

impl Watched {
    fn new(alert: AlertDecl, at_us: i64) -> Watched {
        let (machine, standing) = (Machine::default(), AlertStanding::Quiet);
        Watched { alert: Arc::new(alert), machine, reading: None, standing, since_us: at_us, fired: 0 }
    }

    /// Notes how it stands, and since when. The moment that it began to fire is still that when its end is told.
    fn stands(&mut self, at_us: i64, turn: Option<Turn>) {
        let standing = self.machine.standing();
        if standing != self.standing && turn != Some(Turn::Resolves) {
            (self.standing, self.since_us) = (standing, at_us);
        }
        self.fired += u64::from(turn == Some(Turn::Fires));
    }

    fn turned(&mut self, turn: Turn, at_us: i64, why_over: Option<&'static str>) -> News {
        let firing = turn == Turn::Fires;
        let news = News {
            alert: self.alert.clone(),
            firing,
            value: self.value(),
            shown: self.shown(),
            since_us: self.since_us,
            at_us,
            why: why_over.filter(|_| !firing),
        };
        if !firing {
            (self.standing, self.since_us) = (AlertStanding::Quiet, at_us);
        }
        news
    }

    const fn value(&self) -> Option<f64> {
        match self.reading {
            Some(Reading::Number(number)) => Some(number),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self.reading {
            Some(Reading::Number(number)) => self.alert.figure.unit().words(number),
            Some(Reading::State(state)) => state.name().to_owned(),
            None => String::new(),
        }
    }

    fn figures(&self) -> AlertFigures {
        let AlertDecl { name, figure, node, condition, desktop, .. } = &*self.alert;
        AlertFigures {
            name: name.clone(),
            figure: figure.name().to_owned(),
            node: node.clone(),
            rule: self.alert.in_words(),
            standing: self.standing,
            since_us: self.since_us,
            value: self.value(),
            shown: self.shown(),
            unit: figure.unit().name().to_owned(),
            threshold: condition.threshold(),
            fired: self.fired,
            desktop: *desktop,
            webhooks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millrace_model::NodeId;
    use millrace_model::alert::{Condition, Figure};
    use millrace_model::field::Duration;
    use millrace_wire::figures::NodeFigures;

    use super::*;
    use crate::alerts::NodeLook;
    use crate::telemetry::figures::Role;

    const SECOND: u64 = 1_000_000_000;

    fn alert(name: &str, figure: Figure, threshold: f64) -> AlertDecl {
        let condition = Condition::Above { threshold, until: threshold };
        let (name, hold) = (name.to_owned(), Duration::default());
        AlertDecl { name, figure, node: None, condition, hold, desktop: false, webhooks: Vec::new() }
    }

    fn look(at_s: u64, late: u64) -> Look {
        let figures = NodeFigures { rows_in: late, late, tasks: 1, ..NodeFigures::default() };
        let nodes = BTreeMap::from([(NodeId::new("a"), NodeLook { role: Role::Source, figures, queued_rows: 0 })]);
        let at_ns = at_s * SECOND;
        Look { at_ns, state: RunState::Running, nodes, restarts: 0, epochs: Vec::new(), is_kept: false, complete_ns: 0 }
    }

    fn words(news: &[News]) -> Vec<String> {
        news.iter().map(|news| format!("{} {}", if news.firing { "fires" } else { "resolves" }, news.in_words())).collect()
    }

    #[test]
    fn an_alert_is_told_with_the_value_seen_and_since_when_it_fires() {
        let mut watch = AlertWatch::new(0);
        assert!(watch.become_these(&[alert("lates", Figure::Late, 100.0)], 0).is_empty());
        assert!(watch.look(look(1, 100), 1).is_empty());
        assert_eq!(words(&watch.look(look(2, 1_203), 2)), ["fires lates: late above 100: 1,203"]);
        let figures = watch.figures();
        assert_eq!((figures[0].standing, figures[0].since_us, figures[0].fired), (AlertStanding::Firing, 2, 1));
        assert!(watch.look(look(3, 1_300), 3).is_empty());
        let over = watch.end(look(4, 1_400), 4);
        assert_eq!(words(&over), ["resolves lates: late above 100: 1,400 (the run is over)"]);
        assert_eq!((over[0].since_us, over[0].at_us), (2, 4));
        assert_eq!((watch.figures()[0].standing, watch.figures()[0].since_us), (AlertStanding::Quiet, 4));
    }

    #[test]
    fn a_rate_is_of_the_last_five_seconds() {
        let mut watch = AlertWatch::new(0);
        watch.become_these(&[alert("fast", Figure::RowsInPerS, 99.0)], 0);
        assert!(watch.look(look(1, 100), 0).is_empty(), "a rate is of two looks");
        assert_eq!(words(&watch.look(look(2, 200), 0)), ["fires fast: rows_in_per_s above 99/s: 100/s"]);
        for at in 3..=5 {
            watch.look(look(at, 100 * at), 0);
        }
        let told: Vec<Vec<News>> = (6..=12).map(|at| watch.look(look(at, 500), 0)).collect();
        assert_eq!(told.iter().position(|news| !news.is_empty()), Some(0), "the rate falls with the first second without rows");
        let rate = watch.figures()[0].value;
        assert_eq!(rate, Some(0.0));
    }

    #[test]
    fn what_fires_and_is_taken_away_is_over_and_what_stays_goes_on() {
        let (a, b) = (alert("a", Figure::Late, 1.0), alert("b", Figure::Late, 2.0));
        let mut watch = AlertWatch::new(0);
        watch.become_these(&[a.clone(), b], 0);
        assert_eq!(watch.look(look(1, 10), 7).len(), 2);
        let over = watch.become_these(&[a, alert("b", Figure::Late, 50.0)], 8);
        assert_eq!(words(&over), ["resolves b: late above 2: 10 (its rule was changed or taken away)"]);
        assert!(watch.look(look(2, 20), 9).is_empty());
        assert_eq!(
            watch.figures().iter().map(|it| (it.standing, it.since_us)).collect::<Vec<_>>(),
            [(AlertStanding::Firing, 7), (AlertStanding::Quiet, 8)]
        );
    }
}
