//! Priority sampling (Duffield, Lund and Thorup, "Priority sampling for estimation of arbitrary subset sums", 2007): a
//! sample of bounded size from a stream of weighted items, from which the weight of any part of the stream can be
//! estimated without bias. A few heavy items do not spoil it: they are kept for what they weigh.

/// The items of the highest priorities, which are their weights divided by chance.
#[derive(Clone, Debug)]
pub(super) struct Reservoir<T> {
    room: usize,
    /// One more than there is room for: the last of them only tells what the others stand for.
    kept: Vec<Kept<T>>,
    /// The place of the last of them.
    last: usize,
}

#[derive(Clone, Debug)]
struct Kept<T> {
    priority: f64,
    weight: f64,
    item: T,
}

impl<T> Reservoir<T> {
    /// An empty sample of at most `room` items.
    pub(super) fn new(room: usize) -> Self {
        Self { room, kept: Vec::new(), last: 0 }
    }

    /// Takes the item if its priority is among the highest. Of `chance`, above 0 and at most 1, each item has its own.
    pub(super) fn offer(&mut self, weight: f64, chance: f64, item: T) {
        let priority = weight / chance;
        if priority <= self.threshold() {
            return;
        }
        let kept = Kept { priority, weight, item };
        if self.is_full() {
            self.kept[self.last] = kept;
        } else {
            self.kept.push(kept);
        }
        let lower = |&one: &usize, &other: &usize| self.kept[one].priority.total_cmp(&self.kept[other].priority);
        self.last = (0..self.kept.len()).min_by(lower).unwrap_or_default();
    }

    /// What is not above this priority would not be taken.
    pub(super) fn threshold(&self) -> f64 {
        if self.is_full() { self.kept[self.last].priority } else { 0.0 }
    }

    /// The items of the sample, each with the weight that it stands for: its own while there is room for all, later also
    /// that of items like it which were not taken.
    pub(super) fn estimates(&self) -> impl Iterator<Item = (&T, f64)> {
        let threshold = self.threshold();
        let sample = self.kept.iter().filter(move |kept| kept.priority > threshold);
        sample.map(move |kept| (&kept.item, kept.weight.max(threshold)))
    }

    fn is_full(&self) -> bool {
        self.kept.len() > self.room
    }
}

/// Whether an item may be above the threshold: what would not is not worth its place on the road of a request, and this
/// costs no division.
pub(super) fn may_exceed(weight: f64, chance: f64, threshold: f64) -> bool {
    weight > threshold * chance
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of the even numbers' weight that samples of `room` give: on average, and at its farthest from the truth.
    fn estimated(weights: &[f64], room: usize) -> (f64, f64, f64) {
        let truth = share(weights.iter().copied().enumerate());
        let mut random = fastrand::Rng::with_seed(60);
        let (mut sum, mut farthest) = (0.0, 0.0_f64);
        for _ in 0..RUNS {
            let mut reservoir = Reservoir::new(room);
            for (number, weight) in weights.iter().enumerate() {
                reservoir.offer(*weight, 1.0 - random.f64(), number);
            }
            assert!(reservoir.estimates().count() <= room);
            let estimate = share(reservoir.estimates().map(|(number, weight)| (*number, weight)));
            sum += estimate;
            farthest = farthest.max((estimate - truth).abs());
        }
        (truth, sum / f64::from(RUNS), farthest)
    }

    fn share(items: impl Iterator<Item = (usize, f64)>) -> f64 {
        let (mut even, mut all) = (0.0, 0.0);
        for (number, weight) in items {
            all += weight;
            even += if number % 2 == 0 { weight } else { 0.0 };
        }
        even / all
    }

    #[track_caller]
    fn check(case: &str, weights: &[f64], bias_max: f64, error_max: f64) {
        let (truth, mean, farthest) = estimated(weights, 64);
        assert!((mean - truth).abs() <= bias_max, "{case}: {mean} on average, in truth {truth}");
        assert!(farthest <= error_max, "{case}: off by {farthest}");
    }

    #[test]
    fn shares_are_estimated_without_bias() {
        let weights = |weight: &dyn Fn(usize) -> f64| (0..4000).map(weight).collect::<Vec<_>>();
        check("as many as there is room for", &weights(&|number| number as f64)[..64], 1e-12, 1e-12);
        check("all alike", &weights(&|_| 1.0), 0.01, 0.25);
        check("one kind three times as heavy", &weights(&|number| [3.0, 1.0][number % 2]), 0.01, 0.25);
        check("a long tail", &weights(&|number| 1e9 / (1.0 + number as f64)), 0.01, 0.15);
        let giant = weights(&|number| if number == 1234 { 1e7 } else { 1000.0 });
        check("one giant among many", &giant, 0.005, 0.1);
    }

    #[test]
    fn totals_are_estimated_without_bias() {
        let mut random = fastrand::Rng::with_seed(61);
        let total: f64 = (0..RUNS)
            .map(|_| {
                let mut reservoir = Reservoir::new(16);
                (0..1000).for_each(|number| reservoir.offer(f64::from(number % 7), 1.0 - random.f64(), ()));
                reservoir.estimates().map(|(_, weight)| weight).sum::<f64>()
            })
            .sum();
        let truth: f64 = (0..1000).map(|number| f64::from(number % 7)).sum();
        assert!((total / f64::from(RUNS) / truth - 1.0).abs() < 0.05, "{} instead of {truth}", total / f64::from(RUNS));
    }

    #[test]
    fn what_weighs_nothing_is_not_taken() {
        let mut reservoir = Reservoir::new(4);
        (0..9).for_each(|number| reservoir.offer(0.0, 0.5, number));
        assert_eq!((reservoir.estimates().count(), reservoir.threshold()), (0, 0.0));
    }

    #[test]
    fn what_the_threshold_turns_away_would_not_have_been_taken() {
        let mut random = fastrand::Rng::with_seed(62);
        let (mut all, mut some) = (Reservoir::new(8), Reservoir::new(8));
        for number in 0..5000 {
            let (weight, chance) = (random.f64() * 100.0, 1.0 - random.f64());
            all.offer(weight, chance, number);
            if may_exceed(weight, chance, some.threshold()) {
                some.offer(weight, chance, number);
            }
        }
        assert!(all.estimates().eq(some.estimates()));
    }

    const RUNS: u32 = 200;
}
