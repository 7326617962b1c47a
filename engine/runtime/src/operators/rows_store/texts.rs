//! Text of kept rows: short ones where they stand, long ones in one heap of bytes.

/// The most bytes that stand in the spot itself.
const INLINE_BYTES: usize = 12;

/// The least garbage for which it pays to move what is left.
const LEAST_GARBAGE_BYTES: usize = 64 << 10;

/// A text: its length (`NULL` if there is none), then all its bytes, or where they begin in the heap.
#[derive(Clone, Copy)]
struct Spot {
    length: u32,
    bytes: [u8; INLINE_BYTES],
}

const NULL: u32 = u32::MAX;
const NULL_SPOT: Spot = Spot { length: NULL, bytes: [0; INLINE_BYTES] };

impl Spot {
    const fn is_long(&self) -> bool {
        self.length as usize > INLINE_BYTES && self.length != NULL
    }

    fn start(&self) -> usize {
        let (start, _) = self.bytes.split_at(8);
        start.try_into().map_or(0, u64::from_le_bytes) as usize
    }

    fn short(text: &[u8]) -> Spot {
        let mut bytes = [0; INLINE_BYTES];
        if let Some(place) = bytes.get_mut(..text.len()) {
            place.copy_from_slice(text);
        }
        Spot { length: text.len() as u32, bytes }
    }

    fn long(start: usize, length: usize) -> Spot {
        let mut bytes = [0; INLINE_BYTES];
        let (place, _) = bytes.split_at_mut(8);
        place.copy_from_slice(&(start as u64).to_le_bytes());
        Spot { length: length as u32, bytes }
    }
}

#[derive(Default)]
pub struct Texts {
    spots: Vec<Spot>,
    heap: Vec<u8>,
    /// Bytes of the heap that no spot tells of any more.
    garbage: usize,
}

impl Texts {
    /// Puts a text, or NULL, at a row; that after the last is a new one.
    pub fn set(&mut self, row: usize, text: Option<&[u8]>) {
        self.drop_heap(row);
        let spot = match text {
            None => NULL_SPOT,
            Some(text) if text.len() <= INLINE_BYTES => Spot::short(text),
            Some(text) => {
                let start = self.heap.len();
                self.heap.extend_from_slice(text);
                Spot::long(start, text.len())
            }
        };
        match self.spots.get_mut(row) {
            Some(place) => *place = spot,
            None => self.spots.push(spot),
        }
    }

    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let spot = self.spots.get(row).filter(|spot| spot.length != NULL)?;
        let length = spot.length as usize;
        Some(match spot.is_long() {
            true => self.heap.get(spot.start()..spot.start() + length).unwrap_or_default(),
            false => spot.bytes.get(..length).unwrap_or_default(),
        })
    }

    /// Forgets a row's text.
    pub fn free(&mut self, row: usize) {
        self.drop_heap(row);
        if let Some(spot) = self.spots.get_mut(row) {
            *spot = NULL_SPOT;
        }
        if self.garbage > LEAST_GARBAGE_BYTES && self.garbage * 2 > self.heap.len() {
            self.compact();
        }
    }

    fn drop_heap(&mut self, row: usize) {
        if let Some(spot) = self.spots.get(row).filter(|spot| spot.is_long()) {
            self.garbage += spot.length as usize;
        }
    }

    #[cold]
    fn compact(&mut self) {
        let mut heap = Vec::with_capacity(self.heap.len() - self.garbage);
        for spot in self.spots.iter_mut().filter(|spot| spot.is_long()) {
            let (start, length) = (heap.len(), spot.length as usize);
            heap.extend_from_slice(self.heap.get(spot.start()..spot.start() + length).unwrap_or_default());
            *spot = Spot::long(start, length);
        }
        (self.heap, self.garbage) = (heap, 0);
    }

    pub fn clear(&mut self) {
        self.spots.clear();
        self.heap.clear();
        self.garbage = 0;
    }

    pub fn bytes(&self) -> usize {
        self.spots.capacity() * size_of::<Spot>() + self.heap.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_those_of_a_plain_list(
            steps in prop::collection::vec((0usize..40, prop::option::of("[a-zé]{0,30}"), any::<bool>()), 1..300),
        ) {
            let (mut texts, mut model) = (Texts::default(), Vec::<Option<String>>::new());
            for (row, text, compacts) in steps {
                let row = row.min(model.len());
                texts.set(row, text.as_deref().map(str::as_bytes));
                match model.get_mut(row) {
                    Some(place) => *place = text,
                    None => model.push(text),
                }
                if compacts {
                    texts.free(row / 2);
                    model[row / 2] = None;
                    texts.compact();
                }
                prop_assert!((0..model.len()).all(|row| texts.get(row) == model[row].as_deref().map(str::as_bytes)));
            }
        }
    }
}
