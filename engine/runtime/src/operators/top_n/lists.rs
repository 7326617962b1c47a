//! A list of row numbers for each group, all in one array.

/// Where a group's list stands, and how much room it has.
#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    length: u32,
    /// The room is 2 to this power; none where there is no list yet.
    class: u8,
    has_room: bool,
}

const CLASSES: usize = 32;

/// Lists that grow by doubling: the room that one leaves serves the next that needs as much.
pub struct IdLists {
    spans: Vec<Span>,
    ids: Vec<u32>,
    /// Beginnings of free room, by class.
    free: [Vec<usize>; CLASSES],
}

impl Default for IdLists {
    fn default() -> Self {
        IdLists { spans: Vec::new(), ids: Vec::new(), free: [const { Vec::new() }; CLASSES] }
    }
}

impl IdLists {
    /// Makes room for groups 0 to `groups` - 1; new ones have empty lists.
    pub fn resize(&mut self, groups: usize) {
        self.spans.resize(groups, Span::default());
    }

    pub fn get(&self, group: u32) -> &[u32] {
        let Some(span) = self.spans.get(group as usize) else { return &[] };
        self.ids.get(span.start..span.start + span.length as usize).unwrap_or_default()
    }

    /// Puts a row at a place of the list, which is at most its length.
    pub fn insert(&mut self, group: u32, at: usize, id: u32) {
        let Some(mut span) = self.spans.get(group as usize).copied() else { return };
        if !span.has_room || span.length >> span.class != 0 {
            span = self.grow(span);
        }
        let (start, length) = (span.start, span.length as usize);
        let at = at.min(length);
        self.ids.copy_within(start + at..start + length, start + at + 1);
        if let Some(place) = self.ids.get_mut(start + at) {
            *place = id;
        }
        span.length += 1;
        if let Some(place) = self.spans.get_mut(group as usize) {
            *place = span;
        }
    }

    /// Takes the last row away.
    pub fn pop(&mut self, group: u32) -> Option<u32> {
        let last = self.get(group).last().copied()?;
        self.spans.get_mut(group as usize)?.length -= 1;
        Some(last)
    }

    fn grow(&mut self, span: Span) -> Span {
        let class = if span.has_room { span.class + 1 } else { 0 };
        let start = self.free.get_mut(class as usize).and_then(Vec::pop).unwrap_or_else(|| {
            let start = self.ids.len();
            self.ids.resize(start + (1 << class), 0);
            start
        });
        self.ids.copy_within(span.start..span.start + span.length as usize, start);
        if let Some(free) = self.free.get_mut(span.class as usize).filter(|_| span.has_room) {
            free.push(span.start);
        }
        Span { start, class, has_room: true, ..span }
    }

    /// Forgets all lists and keeps the memory.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.ids.clear();
        self.free.iter_mut().for_each(Vec::clear);
    }

    pub fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(|free| free.capacity() * 8).sum();
        self.spans.capacity() * size_of::<Span>() + self.ids.capacity() * 4 + free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_are_those_of_a_plain_model(steps in prop::collection::vec((0u32..7, any::<prop::sample::Index>(), any::<u8>()), 1..400)) {
            let (mut lists, mut model) = (IdLists::default(), vec![Vec::<u32>::new(); 7]);
            lists.resize(7);
            for (number, (group, at, pops)) in (0..).zip(steps) {
                let expected = &mut model[group as usize];
                if pops < 60 {
                    prop_assert_eq!(lists.pop(group), expected.pop());
                } else {
                    let at = at.index(expected.len() + 1);
                    lists.insert(group, at, number);
                    expected.insert(at, number);
                }
                prop_assert!((0..7).all(|group| lists.get(group) == model[group as usize]));
            }
        }
    }
}
