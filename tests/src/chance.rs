//! Chance that is the same every time.

/// Numbers that look like chance, decided by a seed (Knuth's MMIX generator).
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// As how many tasks a run goes on.
    pub fn parallelism(&mut self) -> usize {
        self.one_of(&[1, 2, 3, 7])
    }
}
