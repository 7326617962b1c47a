//! What is asked of a run while it is under way: savepoints, and changes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use millrace_state::StateResult;
use millrace_state::checkpoint::{Decision, Ending, RunId, SavepointName};
use millrace_wire::message::NoticeSeverity;

use super::{Done, Epochs};
use crate::checkpoint::{Savepoint, may_go_back};
use crate::error::RunError;
use crate::guarantee::sinks;
use crate::job::asked::refused;
use crate::job::change::{Over, too_late};
use crate::job::coordinator::no_savepoint;
use crate::task::Stopping;

/// How often the folder is looked at for requests.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Epochs {
    /// Somebody wants the run to be changed: its next epoch is then the last of this attempt.
    pub(super) fn consider_change(&mut self) {
        let is_ending = self.machine.is_ending() || self.end.is_some() || self.progress.stop.current() != Stopping::No;
        let decide = |wanted| if is_ending { Err(too_late()) } else { self.shared.changed(wanted) };
        match self.progress.changes.consider(self.progress.clock.wall_us(), decide) {
            Some(Over::AtEpoch(savepoint)) => {
                self.is_changing = true;
                let decisions = savepoint.map_or_else(Vec::new, |name| self.machine.ask_savepoint(name, self.now()));
                self.carry_out(decisions);
                self.conclude(Ending::Stopped);
            }
            Some(Over::AtSavepoint { to, allow_rewind }) => self.may_go_back(to, allow_rewind),
            None => {}
        }
    }

    /// Sees what going back to a savepoint would take back, before anything is given up for it.
    pub(super) fn may_go_back(&mut self, to: SavepointName, allow_rewind: bool) {
        let Some(home) = &self.home else { return };
        let (savepoints, sinks) = (home.savepoints(), sinks(&self.shared.plan, &self.shared.registry));
        self.shared.host.data.blocking_in(&mut self.work, move || {
            let seen = savepoints.get(&to).map_err(RunError::from).and_then(|savepoint| {
                let savepoint = savepoint.ok_or_else(|| no_savepoint(&to))?;
                may_go_back(&savepoints, &savepoint, &sinks, allow_rewind)
            });
            Done::MayGoBack(seen)
        });
    }

    /// The first row after a change has come, or none is to be waited for any more.
    pub(super) fn flows(&mut self, now_ns: u64) {
        if self.first_since_ns.take().is_none() {
            return;
        }
        let epoch = self.attempt.durability().restored_epoch;
        if let Some((kind, changed)) = self.progress.changes.flows(epoch, now_ns) {
            self.shared.notices.answer(NoticeSeverity::Info, kind, changed.in_words());
        }
    }

    pub(super) fn look_for_requests(&mut self) {
        let Some(home) = &self.home else { return };
        let savepoints = home.savepoints();
        self.is_looking = true;
        self.look_ns = self.now().saturating_add(u64::try_from(LOOK_EVERY.as_nanos()).unwrap_or(u64::MAX));
        self.shared.host.data.blocking_in(&mut self.work, move || Done::Asked(savepoints.asked().unwrap_or_default()));
    }

    /// Copies an epoch, and takes the requests away. One that cannot be copied is refused, and the run goes on.
    pub(super) fn keep(&mut self, epoch: u64, names: Vec<SavepointName>) {
        let (Some(home), run) = (&self.home, RunId(self.attempt.run_start_us)) else { return };
        // Before anything is copied: what sinks prepared up to it stays from now on.
        self.shared.kept_epoch.fetch_max(epoch, Ordering::Relaxed);
        let savepoints = home.savepoints();
        self.shared.host.data.blocking_in(&mut self.work, move || {
            let keep = |name: SavepointName| {
                let kept = savepoints.keep(run, epoch, &name);
                let answered = match &kept {
                    Ok(_) => savepoints.withdraw(&name),
                    Err(error) => savepoints.refuse(&name, &error.to_string()),
                };
                let kept = kept.and_then(|kept| answered.map(|()| kept));
                (name, kept)
            };
            Done::Kept { epoch, kept: names.into_iter().map(keep).collect() }
        });
    }

    /// Takes up what the run's holder asks for.
    pub(super) fn look_for_names(&mut self, begins: bool) {
        let names = self.progress.savepoints.take_up(begins);
        let Some(home) = self.home.as_ref().filter(|_| !names.is_empty()) else {
            for (name, _) in names {
                let error = refused(
                    format!("savepoint `{name}` was not taken: the run is kept nowhere"),
                    "set `checkpoint_every` under [pipeline]",
                );
                self.progress.savepoints.answer(&name, Err(error));
            }
            return;
        };
        let savepoints = home.savepoints();
        self.shared.host.data.blocking_in(&mut self.work, move || {
            let known = |(name, again): (SavepointName, bool)| (name.clone(), again, savepoints.get(&name));
            Done::Named(names.into_iter().map(known).collect())
        });
    }

    pub(super) fn named(&mut self, name: SavepointName, again: bool, known: StateResult<Option<Savepoint>>) -> Vec<Decision> {
        let answer = match known {
            Ok(None) => return self.machine.ask_savepoint(name, self.now()),
            // An attempt that failed right then had taken it.
            Ok(Some(taken)) if again => Ok(taken),
            Ok(Some(_)) => Err(refused(format!("there is a savepoint `{name}` already"), "give another name, or remove it first")),
            Err(error) => Err(error.into()),
        };
        self.progress.savepoints.answer(&name, answer);
        Vec::new()
    }

    pub(super) fn refuse(&mut self, names: Vec<SavepointName>, why: &'static str) {
        for name in &names {
            let error = refused(format!("savepoint `{name}` was not taken: {why}"), "see the run's events");
            self.progress.savepoints.answer(name, Err(error));
        }
        let Some(home) = &self.home else { return };
        let savepoints = home.savepoints();
        self.shared.host.data.blocking_in(&mut self.work, move || {
            for name in names {
                if let Err(error) = savepoints.refuse(&name, why) {
                    tracing::warn!(%error, "a request for a savepoint could not be answered");
                }
            }
            Done::Refused
        });
    }

    pub(super) fn say_kept(&self, kept: Vec<(SavepointName, StateResult<Savepoint>)>) {
        for (name, kept) in kept {
            match &kept {
                Ok(savepoint) => self.shared.notices.say(None, NoticeSeverity::Info, "savepoint", 1, || {
                    format!("savepoint `{}` is there: epoch {}, {} bytes", savepoint.name, savepoint.epoch, savepoint.bytes)
                }),
                Err(error) => self.shared.notices.say(None, NoticeSeverity::Error, "savepoint", 1, || {
                    format!("a savepoint could not be kept, and the run goes on: {error}")
                }),
            }
            self.progress.savepoints.answer(&name, kept.map_err(RunError::from));
        }
    }
}
