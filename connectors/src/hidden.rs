//! What sinks call their files until they are committed: hidden, after their run, and after whoever writes them where another process may have files of its
//! own under way.

use millrace_engine::runtime::connector::Durability;

/// What such a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Durable, of an epoch.
    Ready(u64),
    /// Under way, with the number after which the epochs of whoever writes it come; none of a run that no other process may go on with, or of a release
    /// before.
    Unfinished(Option<u64>),
    /// The mark that the result is in its place.
    Done,
}

impl What {
    /// Whether who goes on with the run removes it: it was given up with whatever came after the epoch that the run goes on from. What is of a process
    /// that has the run later than this one stays.
    pub fn is_left_over(self, durability: Durability) -> bool {
        match self {
            What::Ready(epoch) => durability.is_left_over(epoch),
            What::Unfinished(base) => base.is_none_or(|base| durability.is_not_later(base)),
            What::Done => durability.restored_epoch == 0 || durability.may_rewind,
        }
    }
}

/// What a file that is under way is called, after the name of its run.
pub fn unfinished(durability: Durability, rest: &str) -> String {
    match durability.base {
        Some(base) => format!("after-{base}-{rest}.tmp"),
        None => format!("{rest}.tmp"),
    }
}

/// What a hidden file is, by what follows in its name after that of its run.
pub fn what_is(rest: &str) -> Option<What> {
    let number_of = |text: &str| text.split_once('-').and_then(|(number, _)| number.parse().ok());
    if let Some(ready) = rest.strip_suffix(".ready") {
        return number_of(ready).map(What::Ready);
    }
    match rest.strip_suffix(".tmp") {
        Some(unfinished) => Some(What::Unfinished(unfinished.strip_prefix("after-").and_then(number_of))),
        None => rest.ends_with(".done").then_some(What::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_are_told_apart_whichever_release_named_them() {
        let told = [
            "7-0.ready",
            "7-0-3.ready",
            "all.done",
            "0.tmp",
            "0-3.tmp",
            "all.tmp",
            "after-5000-0.tmp",
            "after-0-0-3.tmp",
            "after-9-all.tmp",
        ];
        let unfinished = What::Unfinished;
        let (none, some) = (unfinished(None), |base| Some(unfinished(Some(base))));
        let ready = Some(What::Ready(7));
        let expected = [ready, ready, Some(What::Done), Some(none), Some(none), Some(none), some(5_000), some(0), some(9)];
        assert_eq!(told.map(what_is), expected);
        assert_eq!(["x.ready", "7.ready", "notes", "after-5000-0"].map(what_is), [None; 4]);
    }
}
