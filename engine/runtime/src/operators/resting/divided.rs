//! The slices of a task: which of them are in memory, which have something to do.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use millrace_model::Timestamp;
use millrace_plan::key_group::{groups_of, task_of};
use millrace_state::block::BlockWriter;
use millrace_state::snapshot::{Apart, SnapshotWriter, Writer, write_piece};

use super::at_rest::{AtRest, SharedState, Summary, least};
use super::queue::Time;
use super::slice::Slice;
use super::{Cut, Make};
use crate::batch::Batch;
use crate::checkpoint::OperatorSnapshot;
use crate::error::{RunError, RunResult};
use crate::flow::partition::Partitioner;
use crate::memory::SpillSpace;
use crate::operator::{Budget, EndReason, Operator, Output, RowCounts, StateSize, Step, Timer, Timers};

/// Into how many slices a task's key groups are cut: the memory that one of them takes must be little, and so must what a batch costs more.
const SLICES: u32 = 64;

/// Written together, in bytes.
const BLOCK_BYTES: usize = 32 << 20;

/// Slices in memory are put to rest while others are worked off, once they take this part of the process' budget, between these bounds.
const REST_OF_BUDGET: u64 = 8;
const REST_BYTES: RangeInclusive<u64> = 1 << 20..=32 << 20;

/// What is read at most, in bytes on disk, because rows have waited for some time.
const PUT_OFF_BYTES: u64 = 64 << 20;

/// What waits may take this part of the process' budget, and may always take this much.
const QUEUES_OF_BUDGET: u64 = 4;
const QUEUES_BYTES: u64 = 1 << 20;

/// What a slice takes in memory, by what it takes on disk: a guess.
const BYTES_OF_DISK: u64 = 2;

/// A budget for work that nobody waits to see in parts.
const AT_ONCE: Budget = Budget { rows: 4096 };

pub struct Divided {
    slices: Vec<Slice>,
    groups: Range<u16>,
    space: SpillSpace,
    partitioner: Partitioner,
    /// Holds no key, and is told all that slices are: what it writes of itself is what no key owns.
    keyless: Box<dyn Operator>,
    /// Slices that have something to do.
    busy: VecDeque<usize>,
    /// Once all rows are worked off, what is open is closed because nothing came.
    closes_idle: bool,
    watermark: Timestamp,
    /// Of operators that are gone.
    counted: RowCounts,
    /// Batches so far.
    now: u64,
    /// Whether some slice was read back since what is held was last looked at.
    has_read: bool,
}

/// Passes batches on, and counts their rows.
struct Counting<'a> {
    out: &'a mut dyn Output,
    rows: usize,
}

impl Output for Counting<'_> {
    fn emit(&mut self, port: usize, batch: Batch) {
        self.rows += batch.rows();
        self.out.emit(port, batch);
    }
}

/// The ranges that key groups are cut into.
fn ranges(groups: &Range<u16>) -> impl Iterator<Item = Range<u16>> {
    let (first, len) = (groups.start, groups.len() as u16);
    let count = SLICES.min(u32::from(len)).max(1);
    (0..count).map(move |slice| {
        let of = groups_of(slice, len, count);
        first + of.start..first + of.end
    })
}

/// What an operator writes of itself for all keys together.
fn shared_of(operator: &mut dyn Operator, key_groups: u16) -> RunResult<Vec<u8>> {
    let mut writer = SnapshotWriter::new(key_groups);
    operator.snapshot(&mut writer)?;
    Ok(std::mem::take(writer.shared()).into_bytes())
}

impl Divided {
    fn new(slices: Vec<Slice>, keyless: Box<dyn Operator>, cut: &Cut, space: SpillSpace) -> Divided {
        let partitioner = Partitioner::new(cut.columns.clone(), space.key_groups, slices.len()).within(cut.groups.clone());
        Divided {
            slices,
            groups: cut.groups.clone(),
            space,
            partitioner,
            keyless,
            busy: VecDeque::new(),
            closes_idle: false,
            watermark: Timestamp::MIN,
            counted: RowCounts::default(),
            now: 0,
            has_read: false,
        }
    }

    /// Cuts an operator that has been told this watermark into slices, all of which are at rest.
    pub fn of(mut whole: Box<dyn Operator>, watermark: Timestamp, make: &Make, cut: &Cut, space: SpillSpace) -> RunResult<Divided> {
        let mut written = SnapshotWriter::new(space.key_groups);
        whole.snapshot(&mut written)?;
        while whole.copy_on(&mut written)? == Step::More {}
        let counted = whole.counts();
        // Its memory is given back before the pieces take some.
        drop(whole);
        let shared: SharedState = vec![std::mem::take(written.shared()).into_bytes()].into();
        let mut keyless = make()?;
        keyless.restore(&OperatorSnapshot::of(&Apart::new("what no key owns", shared.clone())), 0..0)?;
        let at_rest = |groups| Slice::at_rest(groups, AtRest::empty(shared.clone()), watermark);
        let slices = ranges(&cut.groups).map(at_rest).collect();
        let mut divided = Divided { counted, watermark, ..Divided::new(slices, keyless, cut, space) };
        divided.write_all(&written, make, &shared)?;
        Ok(divided)
    }

    /// Writes what the undivided operator was made of. Each slice is read once, so that it is known what it will have to do.
    fn write_all(&mut self, written: &SnapshotWriter, make: &Make, shared: &SharedState) -> RunResult<()> {
        let records = written.by_key_group();
        let mut block = BlockWriter::default();
        for at in 0..self.slices.len() {
            let Some(slice) = self.slices.get_mut(at) else { break };
            let mut apart = Apart::new("a part of what is cut", shared.clone());
            for (group, records) in records.range(slice.groups.clone()) {
                let mut piece = Writer::default();
                write_piece(records, &mut piece);
                apart.add(*group, piece.into_bytes())?;
                block.piece(*group, |out| write_piece(records, out));
            }
            let mut operator = make()?;
            operator.restore(&OperatorSnapshot::of(&apart), slice.groups.clone())?;
            let at_rest = AtRest { summary: Summary::of(operator.as_ref()), ..AtRest::empty(shared.clone()) };
            slice.set_at_rest(at_rest);
            if block.len() >= BLOCK_BYTES {
                self.put(std::mem::take(&mut block))?;
            }
        }
        self.put(block)
    }

    /// What a former attempt had: pieces stay where they lie, records are read.
    pub fn restored(snapshot: &OperatorSnapshot<'_>, make: &Make, cut: &Cut, space: SpillSpace) -> RunResult<Divided> {
        let shared: SharedState = snapshot.shared().map(|mut it| it.take(it.remaining()).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        // Also sees that the state is of the types that there are now.
        let mut keyless = make()?;
        keyless.restore(snapshot, 0..0)?;
        let at_rest = |groups| Slice::at_rest(groups, AtRest::empty(shared.clone()), Timestamp::MIN);
        let mut divided = Divided::new(ranges(&cut.groups).map(at_rest).collect(), keyless, cut, space);
        for piece in snapshot.spilled(cut.groups.clone()) {
            let (group, place, mut head) = piece?;
            let summary = Summary::read(&mut head)?;
            let piece = divided.space.blocks.open(&place)?;
            if let Some(at_rest) = divided.slice_of(group).and_then(Slice::resting_mut) {
                at_rest.pieces.push((group, piece));
                at_rest.summary = at_rest.summary.and(summary);
            }
        }
        for at in 0..divided.slices.len() {
            divided.load(at, snapshot, make)?;
            divided.hold();
            divided.rest_beyond()?;
        }
        Ok(divided)
    }

    /// Reads a slice that has records in the snapshot, with its pieces.
    fn load(&mut self, at: usize, snapshot: &OperatorSnapshot<'_>, make: &Make) -> RunResult<()> {
        let Some(slice) = self.slices.get_mut(at) else { return Ok(()) };
        let Some(at_rest) = slice.resting().filter(|_| snapshot.keyed(slice.groups.clone()).next().is_some()) else { return Ok(()) };
        let mut apart = AtRest::empty(Vec::new().into());
        apart.pieces.clone_from(&at_rest.pieces);
        let mut operator = make()?;
        operator.restore(&snapshot.with(&apart.read()?), slice.groups.clone())?;
        slice.set_awake(operator);
        Ok(())
    }

    fn slice_of(&mut self, group: u16) -> Option<&mut Slice> {
        let place = task_of(group.saturating_sub(self.groups.start), self.groups.len() as u16, self.slices.len() as u32);
        self.slices.get_mut(place as usize)
    }

    /// Puts pieces on disk, each to its slice, which is at rest.
    fn put(&mut self, block: BlockWriter) -> RunResult<()> {
        if block.is_empty() {
            return Ok(());
        }
        let blocks = self.space.blocks.clone();
        for (group, piece) in blocks.write(block)? {
            if let Some(at_rest) = self.slice_of(group).and_then(Slice::resting_mut) {
                at_rest.pieces.push((group, piece));
            }
        }
        Ok(())
    }

    /// Takes a batch, each row to its slice.
    pub fn take(&mut self, make: &Make, input: usize, batch: Batch, out: &mut dyn Output) -> RunResult<()> {
        self.now += 1;
        for (at, part) in self.partitioner.split(&batch)? {
            let Some(slice) = self.slices.get_mut(at) else { continue };
            if !slice.take(input, part, self.now, out)? || slice.is_busy {
                continue;
            }
            let bytes = slice.resting().map_or(0, AtRest::bytes) * BYTES_OF_DISK + slice.queue.bytes() as u64;
            if slice.is_worth_reading() || self.space.share.has_room(bytes) {
                self.work_off(at, make, out)?;
            }
        }
        let most = (self.space.share.budget_bytes() / QUEUES_OF_BUDGET).max(QUEUES_BYTES);
        while self.queued_bytes() > most {
            let Some(at) = self.most_queued() else { break };
            self.work_off(at, make, out)?;
        }
        Ok(())
    }

    fn queued_bytes(&self) -> u64 {
        self.slices.iter().map(|slice| slice.queue.bytes() as u64).sum()
    }

    fn most_queued(&self) -> Option<usize> {
        let with_rows = self.slices.iter().enumerate().filter(|(_, slice)| slice.queue.has_rows());
        with_rows.max_by_key(|(_, slice)| slice.queue.bytes()).map(|(at, _)| at)
    }

    /// Reads a slice and works off all that waits for it.
    fn work_off(&mut self, at: usize, make: &Make, out: &mut dyn Output) -> RunResult<()> {
        let Some(slice) = self.slices.get_mut(at) else { return Ok(()) };
        self.has_read |= slice.wake(make)?;
        while slice.work(AT_ONCE, out)? == Step::More {}
        self.hold();
        self.rest_beyond()
    }

    fn say_busy(&mut self, at: usize) {
        if let Some(slice) = self.slices.get_mut(at).filter(|slice| !slice.is_busy) {
            slice.is_busy = true;
            self.busy.push_back(at);
        }
    }

    /// Slices for which rows wait, the longest first.
    fn with_rows(&self) -> Vec<usize> {
        let mut with_rows: Vec<usize> = (0..).zip(&self.slices).filter(|(_, slice)| slice.queue.has_rows()).map(|(at, _)| at).collect();
        with_rows.sort_by_key(|at| self.slices.get(*at).map(|slice| slice.queue.since()));
        with_rows
    }

    fn tell(&mut self, time: Time) {
        for at in 0..self.slices.len() {
            let Some(slice) = self.slices.get_mut(at) else { break };
            let is_last = time.watermark == Timestamp::MAX && slice.queue.has_rows();
            if slice.tell(time) || is_last {
                self.say_busy(at);
            }
        }
    }

    /// Does a part of what slices have to do.
    pub fn work(&mut self, make: &Make, budget: Budget, out: &mut dyn Output) -> RunResult<Step> {
        let mut out = Counting { out, rows: 0 };
        while out.rows < budget.rows.max(1) {
            let Some(at) = self.busy.front().copied() else {
                if std::mem::take(&mut self.closes_idle) {
                    let last_close = self.slices.iter().filter_map(|slice| slice.outlook().last_close).max();
                    self.close_idle(last_close.unwrap_or(Timestamp::MIN))?;
                    continue;
                }
                if std::mem::take(&mut self.has_read) {
                    self.hold();
                    self.rest(self.to_free())?;
                }
                return Ok(Step::Done);
            };
            let Some(slice) = self.slices.get_mut(at) else { break };
            self.has_read |= slice.wake(make)?;
            if slice.work(budget, &mut out)? == Step::More {
                continue;
            }
            slice.is_busy = false;
            self.busy.pop_front();
            if self.has_read {
                self.hold();
                self.rest_beyond()?;
            }
        }
        Ok(Step::More)
    }

    /// Puts some to rest if the process is over its budget, and works off half of what waits if it still is. Comes between batches.
    pub fn relieve(&mut self, make: &Make, out: &mut dyn Output) -> RunResult<()> {
        self.rest(self.to_free())?;
        let most = (self.queued_bytes() / 2).max(QUEUES_BYTES);
        while self.space.share.is_over_budget() && self.queued_bytes() > most {
            let Some(at) = self.most_queued() else { break };
            self.work_off(at, make, out)?;
        }
        self.rest(self.to_free())
    }

    fn hold(&self) {
        self.space.share.hold(self.state_size().bytes, self.spilled_bytes());
    }

    /// How much of what is held should go to disk, in bytes.
    fn to_free(&self) -> u64 {
        let bytes = self.awake_bytes();
        if self.space.share.is_over_budget() && self.space.share.is_worth(bytes) { bytes.div_ceil(2) } else { 0 }
    }

    fn awake_bytes(&self) -> u64 {
        self.slices.iter().filter(|slice| slice.awake().is_some()).map(|slice| slice.size().bytes).sum()
    }

    /// Puts slices to rest if the process is over its budget and those in memory take much together.
    fn rest_beyond(&mut self) -> RunResult<()> {
        let awake = self.awake_bytes();
        let bytes = (self.space.share.budget_bytes() / REST_OF_BUDGET).clamp(*REST_BYTES.start(), *REST_BYTES.end());
        if awake > bytes && self.space.share.is_over_budget() { self.rest(awake.div_ceil(2)) } else { Ok(()) }
    }

    /// Puts slices to rest until so many bytes are freed: those that are large, or were not used for long.
    fn rest(&mut self, bytes: u64) -> RunResult<()> {
        if bytes == 0 {
            return Ok(());
        }
        let can = |slice: &Slice| slice.awake().is_some() && !slice.is_busy && slice.queue.is_empty();
        let weight = |slice: &Slice| u128::from(slice.size().bytes) * u128::from(self.now - slice.last_used.min(self.now) + 1);
        let mut awake: Vec<(Reverse<u128>, usize)> =
            self.slices.iter().enumerate().filter(|(_, slice)| can(slice)).map(|(at, slice)| (Reverse(weight(slice)), at)).collect();
        awake.sort_unstable();
        let (mut freed, mut block) = (0, BlockWriter::default());
        for (_, at) in awake {
            if freed >= bytes {
                break;
            }
            freed += self.lay_down(at, &mut block)?;
            if block.len() >= BLOCK_BYTES {
                self.put(std::mem::take(&mut block))?;
            }
        }
        self.put(block)?;
        self.hold();
        Ok(())
    }

    /// Writes a slice into a block, and drops it. Its pieces come to it once the block is written.
    fn lay_down(&mut self, at: usize, block: &mut BlockWriter) -> RunResult<u64> {
        let key_groups = self.space.key_groups;
        let Some(slice) = self.slices.get_mut(at) else { return Ok(0) };
        let (summary, bytes) = (slice.summary(), slice.size().bytes);
        let Some(operator) = slice.awake_mut() else { return Ok(0) };
        let mut written = SnapshotWriter::new(key_groups);
        operator.snapshot(&mut written)?;
        while operator.copy_on(&mut written)? == Step::More {}
        self.counted = self.counted.plus(operator.counts());
        let shared = vec![std::mem::take(written.shared()).into_bytes()].into();
        slice.set_at_rest(AtRest { summary, ..AtRest::empty(shared) });
        for (group, records) in written.by_key_group() {
            block.piece(group, |out| write_piece(&records, out));
        }
        Ok(bytes)
    }
}

impl Operator for Divided {
    fn on_batch(&mut self, _: usize, _: Batch, _: &mut dyn Output) -> RunResult<()> {
        Err(RunError::bug("slices take rows from what holds them"))
    }

    fn on_watermark(&mut self, watermark: Timestamp) -> RunResult<()> {
        self.watermark = self.watermark.max(watermark);
        self.keyless.on_watermark(watermark)?;
        self.tell(Time::watermark(watermark));
        Ok(())
    }

    fn timers(&self) -> Timers {
        self.keyless.timers()
    }

    fn on_timer(&mut self, timer: Timer) -> RunResult<()> {
        match timer {
            Timer::Every => {
                for at in 0..self.slices.len() {
                    let Some(slice) = self.slices.get_mut(at).filter(|slice| slice.is_stirred) else { continue };
                    slice.is_stirred = false;
                    slice.queue.push_every();
                    self.say_busy(at);
                }
            }
            Timer::AfterIdle => {
                self.with_rows().into_iter().for_each(|at| self.say_busy(at));
                self.closes_idle = true;
            }
            Timer::PutOff => {
                let mut bytes = 0;
                for at in self.with_rows() {
                    self.say_busy(at);
                    bytes += self.slices.get(at).and_then(Slice::resting).map_or(0, AtRest::bytes);
                    if bytes >= PUT_OFF_BYTES {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn close_idle(&mut self, until: Timestamp) -> RunResult<()> {
        self.keyless.close_idle(until)?;
        self.tell(Time::idle(until));
        Ok(())
    }

    fn settle(&mut self) -> RunResult<Step> {
        self.with_rows().into_iter().for_each(|at| self.say_busy(at));
        Ok(if self.busy.is_empty() { Step::Done } else { Step::More })
    }

    fn output_watermark(&self, input: Timestamp) -> Timestamp {
        let least = self.slices.iter().map(|slice| slice.is_at(self.watermark)).min();
        self.keyless.output_watermark(least.map_or(input, |least| least.min(input)))
    }

    fn on_end(&mut self, reason: EndReason, out: &mut dyn Output) -> RunResult<()> {
        for mut slice in std::mem::take(&mut self.slices) {
            if slice.queue.has_rows() {
                return Err(RunError::bug("the input ended before a slice had worked off its rows"));
            }
            if let Some(operator) = slice.awake_mut() {
                operator.on_end(reason, out)?;
                self.counted = self.counted.plus(operator.counts());
            }
            let waiting = slice.resting().map_or(0, |at_rest| at_rest.summary.outlook.waiting_rows);
            if reason == EndReason::Finished && waiting > 0 {
                return Err(RunError::bug("the input finished before the greatest watermark passed all rows at rest"));
            }
            self.counted.accepted += waiting;
        }
        self.busy.clear();
        Ok(())
    }

    fn snapshot(&mut self, writer: &mut SnapshotWriter) -> RunResult<()> {
        if !self.busy.is_empty() || self.slices.iter().any(|slice| slice.queue.has_rows()) {
            return Err(RunError::bug("slices were asked for their state before all rows were worked off"));
        }
        let shared = shared_of(self.keyless.as_mut(), writer.key_groups())?;
        for slice in &mut self.slices {
            if let Some(operator) = slice.awake_mut() {
                operator.snapshot(writer)?;
                while operator.copy_on(writer)? == Step::More {}
                // Of all slices the same, and written once.
                writer.shared().truncate(0);
            }
            if let Some(at_rest) = slice.resting() {
                at_rest.refer(writer);
            }
        }
        writer.shared().bytes(&shared);
        Ok(())
    }

    fn spilled_bytes(&self) -> u64 {
        self.slices.iter().filter_map(|slice| slice.resting().map(AtRest::bytes)).sum()
    }

    fn counts(&self) -> RowCounts {
        self.slices.iter().filter_map(Slice::awake).fold(self.counted, |sum, operator| sum.plus(operator.counts()))
    }

    fn state_size(&self) -> StateSize {
        let sum = self.slices.iter().map(Slice::size).fold(StateSize::default(), |sum, size| StateSize {
            rows: sum.rows + size.rows,
            bytes: sum.bytes + size.bytes,
            open_windows: sum.open_windows + size.open_windows,
            next_window_end: least(sum.next_window_end, size.next_window_end),
        });
        StateSize { bytes: sum.bytes + self.queued_bytes(), ..sum }
    }
}
