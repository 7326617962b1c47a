//! How a run's numbers of tasks follow its load: what `[pipeline.autoscale]` says.
//!
//! ```toml
//! [pipeline.autoscale]
//! mode = "on"                       # "advise" if absent: told, and left to a person; "off": not even looked at
//! target_utilisation = 0.8          # the share of its time that a task is to be at work
//! min = 1                           # tasks of a node, at least
//! max = 8                           # and at most
//! cool_down = "60s"                 # from one change to the next
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::Duration;

/// The share of its time that a task is to be at work, unless the file says otherwise: what is left is for catching up.
pub const TARGET_UTILISATION: f64 = 0.8;

/// From one change to the next, unless the file says otherwise.
pub const COOL_DOWN: Duration = Duration::from_secs(60);

/// What comes of it where a node wants another number of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AutoscaleMode {
    /// Nothing is looked at.
    Off,
    /// It is said what the run would do, and why.
    #[default]
    Advise,
    /// The run goes on in those numbers of tasks by itself. Needs `checkpoint_every`.
    On,
}

impl AutoscaleMode {
    pub const fn name(self) -> &'static str {
        match self {
            AutoscaleMode::Off => "off",
            AutoscaleMode::Advise => "advise",
            AutoscaleMode::On => "on",
        }
    }
}

/// The `[pipeline.autoscale]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoscaleFields {
    /// Whether a run changes its numbers of tasks by itself, or only says what it would do; `advise` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AutoscaleMode>,
    /// The share of its time that a task is to be at work; 0.8 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 1.0))]
    pub target_utilisation: Option<f64>,
    /// Tasks of a node, at least; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub min: Option<u32>,
    /// Tasks of a node, at most; if absent as many as there are cores, or slots of the nodes that take part, or the run begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub max: Option<u32>,
    /// From one change to the next, and from a failure to the next change; `60s` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cool_down: Option<Duration>,
}

/// How a run is scaled, with nothing left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Autoscale {
    pub mode: AutoscaleMode,
    /// More than 0, at most 1.
    pub target_utilisation: f64,
    /// At least 1.
    pub min: u32,
    /// At least `min`.
    pub max: u32,
    /// Whether somebody has said so: else a node keeps what it has, also where that is more.
    pub is_max_said: bool,
    pub cool_down: Duration,
}

impl Autoscale {
    /// Not scaled at all.
    pub const OFF: Autoscale = Autoscale {
        mode: AutoscaleMode::Off,
        target_utilisation: TARGET_UTILISATION,
        min: 1,
        max: 1,
        is_max_said: false,
        cool_down: COOL_DOWN,
    };

    /// What the file says; `most` is how many tasks of a node make sense where it is run.
    pub fn resolve(fields: Option<&AutoscaleFields>, most: u32) -> Autoscale {
        let said = fields.cloned().unwrap_or_default();
        let min = said.min.unwrap_or(1).max(1);
        Autoscale {
            mode: said.mode.unwrap_or_default(),
            target_utilisation: said.target_utilisation.filter(|share| *share > 0.0).unwrap_or(TARGET_UTILISATION).min(1.0),
            min,
            max: said.max.unwrap_or(most).max(min),
            is_max_said: said.max.is_some(),
            cool_down: said.cool_down.unwrap_or(COOL_DOWN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_does_not_say_is_filled_in_and_bounds_hold_each_other() {
        let said = AutoscaleFields { min: Some(3), ..AutoscaleFields::default() };
        let read = Autoscale::resolve(Some(&said), 2);
        assert_eq!((read.mode, read.min, read.max), (AutoscaleMode::Advise, 3, 3));
        assert_eq!((read.target_utilisation, read.cool_down), (TARGET_UTILISATION, COOL_DOWN));
        assert_eq!(Autoscale::resolve(None, 4).max, 4);
    }

    #[test]
    fn a_mode_is_named_as_the_file_writes_it() {
        for mode in [AutoscaleMode::Off, AutoscaleMode::Advise, AutoscaleMode::On] {
            assert_eq!(serde_json::to_value(mode).unwrap(), serde_json::json!(mode.name()));
        }
    }
}
