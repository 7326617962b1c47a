//! How long to wait before a failed run is begun again, and when to give it up.

use std::time::Duration;

/// Tries from one place, after which the failure stands.
const MOST_TRIES: u32 = 5;

const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The restarts of a run. Each waits twice as long as the one before; a run that has got further in between begins anew with both.
///
/// Further are more rows in an epoch: a run that fails at the same row again and again may well complete epochs before it.
#[derive(Debug, Default)]
pub struct Restarts {
    rows: u64,
    tries: u32,
}

impl Restarts {
    /// The wait before the run goes on from an epoch that so many rows were read for; none if it was tried often enough.
    pub fn wait(&mut self, rows: u64) -> Option<Duration> {
        if rows > self.rows {
            *self = Restarts { rows, tries: 0 };
        }
        if self.tries == MOST_TRIES {
            return None;
        }
        self.tries += 1;
        Some(wait_before(self.tries))
    }
}

/// The wait before a try from one place, counted from 1.
pub fn wait_before(attempt: u32) -> Duration {
    FIRST_WAIT * 2u32.pow(attempt.clamp(1, MOST_TRIES) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_waits_longer_and_getting_further_forgives() {
        let mut restarts = Restarts::default();
        let waits: Vec<Option<u128>> = (0..6).map(|_| restarts.wait(3).map(|wait| wait.as_millis())).collect();
        assert_eq!(waits, [Some(200), Some(400), Some(800), Some(1_600), Some(3_200), None]);
        assert_eq!(restarts.wait(4), Some(FIRST_WAIT));
    }
}
