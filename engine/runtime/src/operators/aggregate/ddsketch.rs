//! DDSketch: quantiles with a relative error, in bounded memory.
//!
//! After Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees" (2019). A value falls in
//! the bin of its logarithm to the base 1.01 / 0.99, so that the middle of its bin is within 1 % of it. Each sign has at most 2,048 bins:
//! were there more, those nearest to zero become one. That happens only if the magnitudes of one sign span more than a factor of 10^17, and
//! spoils only the values that are nearest to zero.
//!
//! The state is a function of the values, whatever their order, their batches and the merges.

use millrace_state::snapshot::{Reader, Writer};

use super::approx::{One, Sketch};
use super::cells::Cells;
use super::words;
use crate::error::RunResult;

/// How far, relatively, the middle of a bin may be from a value in it.
const ACCURACY: f64 = 0.01;

const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);

/// Most bins of one sign.
const MOST_BINS: usize = 2_048;

/// Counts by bin, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bins {
    bins: Vec<(i32, u64)>,
    count: u64,
}

impl Bins {
    fn add(&mut self, bin: i32, count: u64) {
        self.count += count;
        match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(at) => {
                if let Some((_, there)) = self.bins.get_mut(at) {
                    *there += count;
                }
            }
            Err(at) if self.bins.len() < MOST_BINS => self.bins.insert(at, (bin, count)),
            // What is nearer to zero than all bins there are joins the nearest.
            Err(0) => {
                if let Some((_, lowest)) = self.bins.first_mut() {
                    *lowest += count;
                }
            }
            Err(at) => {
                let (_, lowest) = self.bins.remove(0);
                self.bins.insert(at - 1, (bin, count));
                if let Some((_, next)) = self.bins.first_mut() {
                    *next += lowest;
                }
            }
        }
    }

    fn merge(&mut self, other: &Bins) {
        other.bins.iter().for_each(|(bin, count)| self.add(*bin, *count));
    }

    fn save(&self, out: &mut Writer) {
        out.u64(self.bins.len() as u64);
        for (bin, count) in &self.bins {
            out.i64(i64::from(*bin));
            out.u64(*count);
        }
    }

    fn load(from: &mut Reader<'_>) -> RunResult<Bins> {
        let mut bins = Bins::default();
        for _ in 0..from.count(2 * size_of::<u64>())? {
            let Ok(bin) = i32::try_from(from.i64()?) else { return Err(from.damaged("a sketch has a bin that cannot be").into()) };
            bins.add(bin, from.u64()?);
        }
        Ok(bins)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct DdSketch {
    low_infinite: u64,
    negative: Bins,
    zero: u64,
    positive: Bins,
    high_infinite: u64,
    /// NaN sorts after all numbers, as in SQL.
    nan: u64,
    /// Of the finite values.
    least: f64,
    greatest: f64,
}

fn bin_of(magnitude: f64) -> i32 {
    (magnitude.ln() / GAMMA.ln()).ceil() as i32
}

/// The value from which those of a bin differ least.
fn middle_of(bin: i32) -> f64 {
    2.0 * (f64::from(bin) * GAMMA.ln()).exp() / (GAMMA + 1.0)
}

impl DdSketch {
    fn count(&self) -> u64 {
        self.low_infinite + self.negative.count + self.zero + self.positive.count + self.high_infinite + self.nan
    }

    /// About the value with so many before it, a relative 1 % off at most.
    fn at_rank(&self, mut before: u64) -> f64 {
        let mut lies_in = |count: u64| {
            let lies = before < count;
            before -= if lies { 0 } else { count };
            lies
        };
        if lies_in(self.low_infinite) {
            return f64::NEG_INFINITY;
        }
        if let Some((bin, _)) = self.negative.bins.iter().rev().find(|(_, count)| lies_in(*count)) {
            return self.bounded(-middle_of(*bin));
        }
        if lies_in(self.zero) {
            return 0.0;
        }
        if let Some((bin, _)) = self.positive.bins.iter().find(|(_, count)| lies_in(*count)) {
            return self.bounded(middle_of(*bin));
        }
        if lies_in(self.high_infinite) { f64::INFINITY } else { f64::NAN }
    }

    fn bounded(&self, value: f64) -> f64 {
        value.max(self.least).min(self.greatest)
    }

    fn quantile(&self, quantile: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        Some(self.at_rank(((last as f64 * quantile).floor() as u64).min(last)))
    }
}

impl Sketch for DdSketch {
    /// The quantile that is asked for.
    type Rules = f64;

    fn new(_: &f64) -> Self {
        let none = Bins::default();
        DdSketch {
            low_infinite: 0,
            negative: none.clone(),
            zero: 0,
            positive: none,
            high_infinite: 0,
            nan: 0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
        }
    }

    fn add(&mut self, _: &f64, value: One<'_>) {
        let value = match value {
            One::Float(value) => value,
            One::Word(word) => words::to_f64(word),
            One::Text(_) => return,
        };
        if value.is_nan() {
            self.nan += 1;
            return;
        }
        if value.is_infinite() {
            *(if value > 0.0 { &mut self.high_infinite } else { &mut self.low_infinite }) += 1;
            return;
        }
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        if value > 0.0 {
            self.positive.add(bin_of(value), 1);
        } else if value < 0.0 {
            self.negative.add(bin_of(-value), 1);
        } else {
            self.zero += 1;
        }
    }

    fn merge(&mut self, _: &f64, other: &Self) {
        self.low_infinite += other.low_infinite;
        self.negative.merge(&other.negative);
        self.zero += other.zero;
        self.positive.merge(&other.positive);
        self.high_infinite += other.high_infinite;
        self.nan += other.nan;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }

    fn finish(&mut self, quantile: &f64, out: &mut Cells) {
        match self.quantile(*quantile) {
            Some(value) => out.push_f64(value),
            None => out.push_null(),
        }
    }

    fn nothing(out: &mut Cells) {
        out.push_null();
    }

    fn save(&self, out: &mut Writer) {
        for count in [self.low_infinite, self.zero, self.high_infinite, self.nan] {
            out.u64(count);
        }
        out.f64(self.least);
        out.f64(self.greatest);
        self.negative.save(out);
        self.positive.save(out);
    }

    fn load(_: &f64, from: &mut Reader<'_>) -> RunResult<Self> {
        let (low_infinite, zero, high_infinite, nan) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
        let (least, greatest) = (from.f64()?, from.f64()?);
        let (negative, positive) = (Bins::load(from)?, Bins::load(from)?);
        Ok(DdSketch { low_infinite, negative, zero, positive, high_infinite, nan, least, greatest })
    }

    fn bytes(&self) -> usize {
        (self.negative.bins.capacity() + self.positive.bins.capacity()) * size_of::<(i32, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> DdSketch {
        let mut sketch = DdSketch::new(&0.0);
        values.iter().for_each(|value| sketch.add(&0.0, One::Float(*value)));
        sketch
    }

    proptest! {
        #[test]
        fn every_quantile_is_within_one_percent_of_the_value_there(mut values in proptest::collection::vec(
            prop_oneof![-1e6..1e6f64, -1e-3..1e-3f64, Just(0.0)], 1..300), quantile in 0.0..=1.0f64) {
            let sketch = of(&values);
            values.sort_by(f64::total_cmp);
            let exact = values[((values.len() - 1) as f64 * quantile).floor() as usize];
            let estimate = sketch.quantile(quantile).unwrap();
            prop_assert!((estimate - exact).abs() <= ACCURACY * exact.abs() * (1.0 + 1e-9), "{estimate} for {exact}");
        }

        #[test]
        fn the_order_and_the_parts_make_no_difference(values in proptest::collection::vec(any::<f64>(), 1..200), cut in 0usize..200) {
            let whole = of(&values);
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = of(right);
            merged.merge(&0.0, &of(left));
            prop_assert_eq!(&merged, &whole);
            let backwards: Vec<f64> = values.iter().rev().copied().collect();
            prop_assert_eq!(of(&backwards), whole);
        }
    }

    #[test]
    fn memory_is_bounded_and_the_greater_values_stay_exact() {
        // Ten times more bins than there may be, forwards, backwards and in parts.
        let values: Vec<f64> = (-10_000..10_000).map(middle_of).collect();
        let sketch = of(&values);
        assert_eq!(sketch.positive.bins.len(), MOST_BINS);
        assert!(sketch.bytes() <= 1 << 16);
        let backwards: Vec<f64> = values.iter().rev().copied().collect();
        assert_eq!(of(&backwards), sketch);
        let mut merged = of(&values[..9_000]);
        merged.merge(&0.0, &of(&values[9_000..]));
        assert_eq!(merged, sketch);
        let exact = values[19_900];
        assert!((sketch.at_rank(19_900) - exact).abs() <= ACCURACY * exact);
    }

    #[test]
    fn what_is_no_number_sorts_as_in_sql() {
        let sketch = of(&[f64::NAN, f64::INFINITY, -3.0, f64::NEG_INFINITY, 0.0]);
        assert_eq!((sketch.at_rank(0), sketch.at_rank(2), sketch.at_rank(3)), (f64::NEG_INFINITY, 0.0, f64::INFINITY));
        assert!(sketch.at_rank(4).is_nan());
        assert!((sketch.at_rank(1) + 3.0).abs() <= 3.0 * ACCURACY);
        assert_eq!(of(&[]).quantile(0.5), None);
    }
}
