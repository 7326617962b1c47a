//! What can be asked of the agreed state, and what it answers.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::deployments::Source;

/// What fences: grows with every change of whom it is about. 0: there is nothing yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    #[must_use]
    pub const fn next(self) -> Generation {
        Generation(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An epoch of a run. A run is named by when it began, as its state on disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EpochId {
    /// Microseconds since 1970.
    pub run: i64,
    /// Grows within a run, not by one: epochs that were given up leave gaps.
    pub number: u64,
}

/// Who wants to lead a deployment's run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The member's name.
    pub node: String,
    /// Drawn for this claim, so that one which comes twice is known.
    pub nonce: u64,
    /// Whether the run may go on from an epoch before the newest complete one: a savepoint that somebody asked for.
    #[serde(default)]
    pub may_rewind: bool,
    /// Whether it gives up what was complete, and begins with nothing.
    #[serde(default)]
    pub fresh: bool,
    /// Whether it goes on with what the group keeps running: refused if that is not to run any more.
    #[serde(default)]
    pub goes_on: bool,
}

/// Whether a deployment's run is to be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    #[default]
    Running,
    Stopped,
}

/// A change that somebody asks for. `generation` is the newest that the sender knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Command {
    /// A member's process has begun. `generation` is its incarnation: higher than that of the process before.
    Join {
        name: String,
        generation: Generation,
        address: String,
        /// Of how many tasks of each operator it takes part.
        slots: u32,
        /// Whether it is of the control group. Who votes there is the group's to decide.
        is_control: bool,
    },
    Leave {
        name: String,
        generation: Generation,
    },
    /// What a deployment runs from now on: its next version. Generation 0 makes a deployment.
    Deploy {
        name: String,
        generation: Generation,
        source: Source,
    },
    /// Whether it is to run.
    Desire {
        name: String,
        generation: Generation,
        desired: Desired,
    },
    Remove {
        name: String,
        generation: Generation,
    },
    /// A node begins to lead the run, in place of whoever did: the next generation is its.
    Lead {
        name: String,
        generation: Generation,
        claim: Claim,
    },
    /// An epoch's manifest is there. Complete from now on; only now may sinks commit it.
    Complete {
        name: String,
        generation: Generation,
        epoch: EpochId,
        /// The nodes that hold all of it, by name; none where it lies in a store that all reach, or nobody but its leader goes on from it.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        holders: BTreeSet<String>,
    },
    /// These nodes hold the newest complete epoch, in place of those that were said to.
    Held {
        name: String,
        generation: Generation,
        epoch: EpochId,
        holders: BTreeSet<String>,
    },
    /// Whoever leads the run is gone, or cannot: another node is to lead it. From here on nobody else enters anything.
    Hand {
        name: String,
        generation: Generation,
        to: String,
        /// What became of the one before, in words.
        why: String,
    },
    /// The node that the run was handed to cannot lead it.
    Decline {
        name: String,
        generation: Generation,
        node: String,
        why: String,
    },
    /// Nobody can lead the run at the moment.
    Wait {
        name: String,
        generation: Generation,
        why: String,
    },
    /// What runs is changed by whoever leads it, and goes on in its generation.
    Revise {
        name: String,
        generation: Generation,
        source: Source,
    },
    /// All sinks have committed an epoch.
    Commit {
        name: String,
        generation: Generation,
        epoch: EpochId,
    },
    /// A join token was made. Times of this and of what follows are in seconds since 1970; `now` is the sender's.
    Invite {
        /// Its id.
        token: String,
        role: String,
        /// Of its secret, which is nowhere in the log.
        hash: String,
        expires: u64,
        /// By which whoever gives a certificate for it sees that one of its like made it: who only writes to the log lets nobody in.
        seal: String,
        now: u64,
    },
    /// Somebody has shown a token with this hash of a secret, and is to come in under this name: the first one does.
    Enrol {
        token: String,
        hash: String,
        name: String,
        /// Drawn for this use, so that one which comes twice is known.
        nonce: u64,
        /// When the certificate ends.
        expires: u64,
        now: u64,
    },
    /// Somebody has a certificate, or a further one.
    Certify {
        name: String,
        role: String,
        expires: u64,
        now: u64,
    },
    /// No certificate of this name is believed any more.
    Revoke {
        name: String,
    },
}

impl Command {
    /// Whether it is about who is let into the cluster, which is not every node's to say.
    pub const fn is_of_admissions(&self) -> bool {
        matches!(self, Command::Invite { .. } | Command::Enrol { .. } | Command::Certify { .. } | Command::Revoke { .. })
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// It changed what it was to change. The generation from now on.
    Done {
        generation: Generation,
    },
    /// It had been done before.
    Already {
        generation: Generation,
    },
    /// The sender knows of an older generation than this one, or of one that there never was.
    Stale {
        generation: Generation,
    },
    /// Nothing has that name.
    Unknown,
    /// An epoch that may not be completed, or committed, after this one.
    OutOfOrder {
        newest: Option<EpochId>,
    },
    Refused {
        why: Refusal,
    },
}

impl Answer {
    /// Whether what was asked for holds now.
    pub const fn is_done(&self) -> bool {
        matches!(self, Answer::Done { .. } | Answer::Already { .. })
    }
}

/// What is not taken, whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// As many members or deployments are held as can be.
    Full,
    /// A name is empty, or it or a text is longer than may be.
    TooLong,
    /// Nobody leads the run in this generation.
    NotLed,
    /// Its files are its node's alone.
    NotInPlace,
    /// It was stopped: nobody is to go on with it.
    Stopped,
    /// A join token was used before.
    Used,
    /// A join token has expired.
    Expired,
    /// Somebody else has that name.
    Taken,
}
