//! Lists of values, one for each group, in one arena: adding allocates nothing per value or group, and lists join without copying.

const VALUES: usize = 7;
const NONE: u32 = u32::MAX;

/// Seven values, and where the list goes on: with 8-byte values, a cache line.
#[derive(Debug, Clone, Copy)]
struct Block<T> {
    values: [T; VALUES],
    count: u32,
    next: u32,
}

/// A group's blocks.
#[derive(Debug, Clone, Copy)]
struct List {
    first: u32,
    last: u32,
    count: usize,
}

const EMPTY: List = List { first: NONE, last: NONE, count: 0 };

/// One list for each group. At most 2^32 - 1 blocks, 224 GiB of them.
#[derive(Debug)]
pub struct Lists<T> {
    lists: Vec<List>,
    blocks: Vec<Block<T>>,
    /// The first of the blocks that are free again, each leading to the next.
    free: u32,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Lists { lists: Vec::new(), blocks: Vec::new(), free: NONE }
    }
}

impl<T: Copy + Default> Lists<T> {
    pub fn resize(&mut self, groups: usize) {
        self.lists.resize(groups, EMPTY);
    }

    pub fn groups(&self) -> usize {
        self.lists.len()
    }

    /// How many values a group has.
    pub fn count(&self, group: u32) -> usize {
        self.lists.get(group as usize).map_or(0, |list| list.count)
    }

    #[inline]
    pub fn push(&mut self, group: u32, value: T) {
        let Some(list) = self.lists.get_mut(group as usize) else { return };
        list.count += 1;
        if let Some(block) = self.blocks.get_mut(list.last as usize)
            && let Some(place) = block.values.get_mut(block.count as usize)
        {
            *place = value;
            block.count += 1;
            return;
        }
        self.push_block(group, value);
    }

    fn push_block(&mut self, group: u32, value: T) {
        let mut values = [T::default(); VALUES];
        if let Some(first) = values.first_mut() {
            *first = value;
        }
        let block = Block { values, count: 1, next: NONE };
        let at = match self.blocks.get_mut(self.free as usize) {
            Some(free) => {
                let at = self.free;
                self.free = free.next;
                *free = block;
                at
            }
            None => {
                self.blocks.push(block);
                self.blocks.len() as u32 - 1
            }
        };
        let Some(list) = self.lists.get_mut(group as usize) else { return };
        match self.blocks.get_mut(list.last as usize) {
            Some(last) => last.next = at,
            None => list.first = at,
        }
        list.last = at;
    }

    /// A group's values, in the order in which they were added and joined.
    pub fn values(&self, group: u32) -> impl Iterator<Item = &T> {
        let first = self.lists.get(group as usize).map_or(NONE, |list| list.first);
        let blocks = std::iter::successors(self.blocks.get(first as usize), |block| self.blocks.get(block.next as usize));
        blocks.flat_map(|block| block.values.iter().take(block.count as usize))
    }

    /// Appends one group's list to another's; the first is empty after.
    pub fn join(&mut self, from: u32, into: u32) {
        let Some(more) = self.lists.get_mut(from as usize).filter(|list| list.count > 0 && from != into) else { return };
        let more = std::mem::replace(more, EMPTY);
        let Some(list) = self.lists.get_mut(into as usize) else { return };
        match self.blocks.get_mut(list.last as usize) {
            Some(last) => last.next = more.first,
            None => list.first = more.first,
        }
        list.last = more.last;
        list.count += more.count;
    }

    /// Empties a group's list.
    pub fn reset(&mut self, group: u32) {
        let Some(list) = self.lists.get_mut(group as usize).filter(|list| list.count > 0) else { return };
        let list = std::mem::replace(list, EMPTY);
        if let Some(last) = self.blocks.get_mut(list.last as usize) {
            last.next = self.free;
            self.free = list.first;
        }
    }

    pub fn clear(&mut self) {
        self.lists.clear();
        self.blocks.clear();
        self.free = NONE;
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.lists.capacity() * size_of::<List>() + self.blocks.capacity() * size_of::<Block<T>>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Push(u32, i64),
        Join(u32, u32),
        Reset(u32),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            20 => (0u32..4, any::<i64>()).prop_map(|(group, value)| Act::Push(group, value)),
            1 => (0u32..4, 0u32..4).prop_map(|(from, into)| Act::Join(from, into)),
            1 => (0u32..4).prop_map(Act::Reset),
        ];
        proptest::collection::vec(act, 0..300)
    }

    proptest! {
        #[test]
        fn lists_hold_what_vectors_would(acts in acts()) {
            let mut lists = Lists::default();
            lists.resize(4);
            let mut model: [Vec<i64>; 4] = Default::default();
            for act in acts {
                match act {
                    Act::Push(group, value) => {
                        lists.push(group, value);
                        model[group as usize].push(value);
                    }
                    Act::Join(from, into) if from != into => {
                        lists.join(from, into);
                        let more = std::mem::take(&mut model[from as usize]);
                        model[into as usize].extend(more);
                    }
                    Act::Join(from, into) => lists.join(from, into),
                    Act::Reset(group) => {
                        lists.reset(group);
                        model[group as usize].clear();
                    }
                }
            }
            for (group, values) in (0..).zip(&model) {
                prop_assert_eq!(lists.count(group), values.len());
                prop_assert_eq!(&lists.values(group).copied().collect::<Vec<_>>(), values);
            }
        }
    }
}
