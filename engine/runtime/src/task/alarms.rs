//! When a task tells its operators of processing time. Pure: the time is handed in.

use crate::operator::{Timer, Timers};

/// The timers of a task's nodes.
#[derive(Debug)]
pub struct Alarms {
    alarms: Vec<Alarm>,
    /// When something last came by an input.
    heard_ns: u64,
}

#[derive(Debug)]
struct Alarm {
    /// Its place in the chain.
    node: usize,
    timer: Timer,
    wait_ns: u64,
    /// From when the wait counts.
    since_ns: u64,
    /// Goes off no more until something has come.
    has_rung: bool,
}

/// Whether all that has come was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// There may be more at hand.
    Busy,
    Quiet,
}

impl Alarms {
    pub fn new(nodes: &[(usize, Timers)], now_ns: u64) -> Self {
        let alarm = |node: usize, timer: Timer, wait: std::time::Duration| Alarm {
            node,
            timer,
            wait_ns: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX),
            since_ns: now_ns,
            has_rung: false,
        };
        let of = |(node, timers): &(usize, Timers)| {
            let every = timers.every.map(|every| alarm(*node, Timer::Every, every));
            let after_idle = timers.after_idle.map(|wait| alarm(*node, Timer::AfterIdle, wait));
            let put_off = timers.put_off.map(|wait| alarm(*node, Timer::PutOff, wait));
            every.into_iter().chain(after_idle).chain(put_off).collect::<Vec<_>>()
        };
        Alarms { alarms: nodes.iter().flat_map(of).collect(), heard_ns: now_ns }
    }

    pub fn is_empty(&self) -> bool {
        self.alarms.is_empty()
    }

    /// Something has come by an input, and what it asked for is done.
    pub fn heard(&mut self, now_ns: u64) {
        self.heard_ns = now_ns;
        self.alarms.iter_mut().filter(|alarm| alarm.timer == Timer::AfterIdle).for_each(|alarm| alarm.has_rung = false);
    }

    /// When the next goes off, if nothing comes.
    pub fn next_ns(&self) -> Option<u64> {
        let waiting = self.alarms.iter().filter(|alarm| !alarm.has_rung);
        waiting.map(|alarm| self.since(alarm).saturating_add(alarm.wait_ns)).min()
    }

    /// Which have gone off. Of intervals that were missed only the last counts.
    pub fn due(&mut self, now_ns: u64, input: Input) -> Vec<(usize, Timer)> {
        let heard_ns = self.heard_ns;
        let mut due = Vec::new();
        for alarm in &mut self.alarms {
            let since = if alarm.timer == Timer::AfterIdle { heard_ns } else { alarm.since_ns };
            let is_due = !alarm.has_rung && since.saturating_add(alarm.wait_ns) <= now_ns;
            if is_due && (alarm.timer != Timer::AfterIdle || input == Input::Quiet) {
                alarm.since_ns = now_ns;
                alarm.has_rung = alarm.timer == Timer::AfterIdle;
                due.push((alarm.node, alarm.timer));
            }
        }
        due
    }

    fn since(&self, alarm: &Alarm) -> u64 {
        if alarm.timer == Timer::AfterIdle { self.heard_ns } else { alarm.since_ns }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn alarms() -> Alarms {
        let timers = Timers { every: Some(Duration::from_nanos(10)), after_idle: Some(Duration::from_nanos(25)), ..Timers::default() };
        Alarms::new(&[(3, timers)], 100)
    }

    #[test]
    fn an_interval_goes_off_whether_or_not_something_comes_and_missed_ones_count_once() {
        let mut alarms = alarms();
        assert_eq!((alarms.next_ns(), alarms.due(109, Input::Busy)), (Some(110), vec![]));
        assert_eq!(alarms.due(110, Input::Busy), [(3, Timer::Every)]);
        assert_eq!(alarms.due(111, Input::Busy), []);
        assert_eq!(alarms.due(155, Input::Busy), [(3, Timer::Every)], "not four times, and no idleness while there may be more");
    }

    #[test]
    fn idleness_goes_off_once_and_again_after_something_came() {
        let mut alarms = alarms();
        alarms.heard(120);
        assert_eq!(alarms.due(144, Input::Quiet), [(3, Timer::Every)]);
        assert_eq!(alarms.next_ns(), Some(145));
        assert_eq!(alarms.due(145, Input::Quiet), [(3, Timer::AfterIdle)]);
        assert_eq!(alarms.due(300, Input::Quiet), [(3, Timer::Every)]);
        alarms.heard(310);
        assert_eq!(alarms.due(335, Input::Quiet), [(3, Timer::Every), (3, Timer::AfterIdle)]);
    }
}
