//! Named savepoints of a pipeline on this machine, whether it runs or not. What blocks does so on threads that may.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millrace_model::Diagnostic;
use millrace_plan::LogicalPlan;
use millrace_runtime::RunError;
use millrace_runtime::checkpoint::{Savepoint, Savepoints, codes, losses};
use millrace_runtime::files::Files;
use millrace_runtime::guarantee::sinks;
use millrace_runtime::registry::Registry;
use millrace_state::StateError;
use millrace_state::checkpoint::SavepointName;
use tokio::runtime::Handle;

use crate::inspect::NO_FOLDER;
use crate::state_place::StatePlace;

/// How long a running process may take to answer: an epoch and a copy of it.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK_EVERY: Duration = Duration::from_millis(50);

type Answer<T> = Result<T, Diagnostic>;

/// The savepoints of one pipeline, where its state lies.
#[derive(Debug, Clone)]
pub struct SavepointPlace {
    place: StatePlace,
    runtime: Handle,
}

impl SavepointPlace {
    /// Of the pipeline with that text, in a file of that name in that folder; `allowed` are folders beyond the project.
    ///
    /// # Errors
    /// If its state lies where it may not.
    pub fn of(folder: &Path, file: &str, text: &str, allowed: &[PathBuf]) -> Answer<SavepointPlace> {
        let unusable = |error| Diagnostic::error(NO_FOLDER, format!("the folder {} cannot be used: {error}", folder.display()));
        let files = Files::for_folder(folder, allowed).map_err(unusable)?;
        Ok(SavepointPlace { place: StatePlace::of_text(&files, file, text)?, runtime: Handle::current() })
    }

    fn visit(&self) -> Result<Savepoints, RunError> {
        Ok(Savepoints::new(self.place.visit(&self.runtime)?))
    }

    /// All of them, by name.
    pub async fn list(&self) -> Answer<Vec<Savepoint>> {
        let place = self.clone();
        blocking(move || Ok(place.visit()?.list()?)).await
    }

    /// Takes one: of the running process, which is asked and waited for, or else of the newest epoch of the unfinished run.
    pub async fn take(&self, name: &str) -> Answer<Savepoint> {
        let (name, place) = (parsed(name)?, self.clone());
        blocking(move || place.take_blocking(&name)).await
    }

    fn take_blocking(&self, name: &SavepointName) -> Result<Savepoint, RunError> {
        let visitor = self.visit()?;
        if visitor.get(name)?.is_some() {
            return Err(refused(format!("there is a savepoint `{name}` already"), "give another name, or remove it first"));
        }
        if self.place.is_missing() {
            return Err(nothing_kept());
        }
        let until = Instant::now() + PATIENCE;
        let mut is_asked = false;
        loop {
            match self.place.open(&self.runtime) {
                // Nobody runs it, or does not any more.
                Ok(store) => {
                    let own = Savepoints::new(store);
                    if is_asked {
                        own.withdraw(name)?;
                    }
                    return match own.get(name)? {
                        Some(taken) => Ok(taken),
                        None => own.keep_newest(name)?.ok_or_else(nothing_kept),
                    };
                }
                Err(StateError::InUse { .. }) if !is_asked => {
                    visitor.ask(name)?;
                    is_asked = true;
                }
                Err(StateError::InUse { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            if let Some(taken) = visitor.get(name)? {
                return Ok(taken);
            }
            if let Some(why) = visitor.refusal(name)? {
                visitor.withdraw(name)?;
                return Err(refused(format!("savepoint `{name}` was not taken: {why}"), "see the run's events"));
            }
            if Instant::now() >= until {
                visitor.withdraw(name)?;
                let message = format!("the running process has not answered within {} s", PATIENCE.as_secs());
                return Err(refused(message, "see whether its checkpoints come to anything"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Takes one away.
    pub async fn remove(&self, name: &str) -> Answer<()> {
        let (name, place) = (parsed(name)?, self.clone());
        blocking(move || {
            let savepoints = place.visit()?;
            match savepoints.get(&name)? {
                Some(_) => Ok(savepoints.remove(&name)?),
                None => Err(refused(format!("there is no savepoint `{name}`"), "see which there are: millrace savepoint FILE --list")),
            }
        })
        .await
    }

    /// What going back to one would take back or show twice: empty if nothing.
    pub async fn losses(&self, name: &str, plan: &LogicalPlan, registry: &Registry) -> Answer<Vec<String>> {
        let (name, place, sinks) = (parsed(name)?, self.clone(), sinks(plan, registry));
        blocking(move || {
            let savepoints = place.visit()?;
            let savepoint = savepoints.get(&name)?;
            let help = "see which there are: millrace savepoint FILE --list";
            let savepoint = savepoint.ok_or_else(|| refused(format!("there is no savepoint `{name}`"), help))?;
            losses(&savepoints, &savepoint, &sinks)
        })
        .await
    }
}

/// A savepoint's name, or what is wrong with it.
pub fn parsed(name: &str) -> Answer<SavepointName> {
    SavepointName::new(name).ok_or_else(|| {
        let finding = Diagnostic::error(codes::NO_SAVEPOINT, format!("`{name}` cannot name a savepoint"));
        finding.expected("lower-case letters, digits, `-` and `_`, at most 64")
    })
}

fn refused(message: String, help: &'static str) -> RunError {
    RunError::State { code: codes::NO_SAVEPOINT, message, help, retryable: false }
}

fn nothing_kept() -> RunError {
    let help = "run the pipeline with `checkpoint_every` under [pipeline], and take the savepoint while it runs or after it was stopped";
    refused("there is no unfinished run of this pipeline to take a savepoint of".to_owned(), help)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, RunError> + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(RunError::bug(panic.to_string())));
    done.map_err(|error| finding(&error))
}

/// An error that belongs to no node.
pub fn finding(error: &RunError) -> Diagnostic {
    let finding = Diagnostic::error(error.code(), error.to_string());
    match error {
        RunError::State { help, .. } => finding.help(*help),
        _ => finding,
    }
}
