//! Merges the watermarks of channels: the least of those that are not idle, and never back.

use millrace_model::Timestamp;

/// What is known of one channel.
#[derive(Debug, Clone, Copy)]
struct Mark {
    watermark: Timestamp,
    is_idle: bool,
}

/// The merged view of some channels.
#[derive(Debug, Clone)]
pub struct WatermarkMerge {
    marks: Vec<Mark>,
    merged: Timestamp,
    is_idle: bool,
}

/// What a change of one channel changes for all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// The merged watermark has moved to here.
    pub watermark: Option<Timestamp>,
    /// All are idle now, or not all any longer.
    pub idle: Option<bool>,
}

impl WatermarkMerge {
    pub fn new(channels: usize) -> Self {
        let mark = Mark { watermark: Timestamp::MIN, is_idle: false };
        WatermarkMerge { marks: vec![mark; channels], merged: Timestamp::MIN, is_idle: false }
    }

    pub fn merged(&self) -> Timestamp {
        self.merged
    }

    /// A channel's watermark has come. One that is older than the channel's last changes nothing.
    pub fn advance(&mut self, channel: usize, watermark: Timestamp) -> Change {
        if let Some(mark) = self.marks.get_mut(channel) {
            mark.watermark = mark.watermark.max(watermark);
        }
        self.look()
    }

    /// A channel has gone idle, or come back. A channel that has ended counts as back, with the last watermark it sent.
    pub fn set_idle(&mut self, channel: usize, is_idle: bool) -> Change {
        if let Some(mark) = self.marks.get_mut(channel) {
            mark.is_idle = is_idle;
        }
        self.look()
    }

    fn look(&mut self) -> Change {
        let least = self.marks.iter().filter(|mark| !mark.is_idle).map(|mark| mark.watermark).min();
        let watermark = least.filter(|least| *least > self.merged);
        self.merged = watermark.unwrap_or(self.merged);
        let is_idle = least.is_none();
        let idle = (is_idle != self.is_idle).then_some(is_idle);
        self.is_idle = is_idle;
        Change { watermark, idle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: i64) -> Change {
        Change { watermark: Some(Timestamp(micros)), idle: None }
    }

    #[test]
    fn the_slowest_channel_holds_the_others_and_an_idle_one_does_not() {
        let mut merge = WatermarkMerge::new(3);
        assert_eq!(merge.advance(0, Timestamp(10)), Change::default());
        assert_eq!(merge.advance(1, Timestamp(7)), Change::default());
        assert_eq!(merge.set_idle(2, true), at(7), "the silent channel no longer holds");
        assert_eq!(merge.advance(1, Timestamp(20)), at(10));
    }

    #[test]
    fn a_channel_that_comes_back_behind_does_not_pull_the_watermark_back() {
        let mut merge = WatermarkMerge::new(2);
        merge.set_idle(1, true);
        merge.advance(0, Timestamp(100));
        assert_eq!(merge.set_idle(1, false), Change::default());
        assert_eq!(merge.advance(1, Timestamp(50)), Change::default());
        assert_eq!(merge.merged(), Timestamp(100));
        merge.advance(0, Timestamp(120));
        assert_eq!(merge.merged(), Timestamp(100), "it holds again from where it stands");
        assert_eq!(merge.advance(1, Timestamp(110)), at(110));
    }

    #[test]
    fn when_all_are_idle_the_watermark_stays_and_the_idleness_goes_on() {
        let mut merge = WatermarkMerge::new(2);
        merge.advance(0, Timestamp(5));
        merge.advance(1, Timestamp(9));
        assert_eq!(merge.set_idle(0, true), at(9));
        assert_eq!(merge.set_idle(1, true), Change { watermark: None, idle: Some(true) });
        assert_eq!(merge.set_idle(0, false), Change { watermark: None, idle: Some(false) });
        assert_eq!(merge.merged(), Timestamp(9));
    }
}
