//! How this process is: what it takes of its machine.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use millrace_cluster::seen::Vitals;
use millrace_wire::cluster::Health;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// The least time between two looks: a share of time taken over less means little, and whoever asks in between gets the look before.
const LEAST: Duration = Duration::from_millis(500);

/// Looks at the process when it is asked, and once when it is made, so that the first who asks is told a share.
pub struct ProcessVitals {
    cores: f64,
    state: Mutex<State>,
}

struct State {
    system: System,
    looked: Option<Instant>,
    looks: u32,
    health: Health,
}

impl ProcessVitals {
    pub fn new(cores: usize, started_us: i64) -> ProcessVitals {
        let health = Health { started_us, ..Health::default() };
        let (cores, mut state) = (cores.max(1) as f64, State { system: System::new(), looked: None, looks: 0, health });
        state.look(cores);
        ProcessVitals { cores, state: Mutex::new(state) }
    }
}

impl State {
    /// Unless it was only just looked. A process that the system does not tell of stays as it was.
    fn look(&mut self, cores: f64) {
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= LEAST);
        let Some(pid) = sysinfo::get_current_pid().ok().filter(|_| is_due) else { return };
        self.looked = Some(Instant::now());
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        let Some(process) = self.system.process(pid) else { return };
        self.looks = self.looks.saturating_add(1);
        // The first look has nothing to compare with.
        self.health.cpu_percent = (self.looks > 1).then(|| (f64::from(process.cpu_usage()) / cores).clamp(0.0, 100.0));
        self.health.memory_bytes = process.memory();
    }
}

impl Vitals for ProcessVitals {
    fn health(&self) -> Health {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.look(self.cores);
        state.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_at_once_and_a_share_of_its_cores_after_a_while() {
        let vitals = ProcessVitals::new(2, 7);
        let first = vitals.health();
        assert!(first.memory_bytes > 0 && first.cpu_percent.is_none() && first.started_us == 7);
        std::thread::sleep(LEAST);
        let share = vitals.health().cpu_percent.unwrap();
        assert!((0.0..=100.0).contains(&share), "{share}");
    }
}
