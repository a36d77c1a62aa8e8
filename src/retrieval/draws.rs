//! What is chosen at random: so that no server, and no sender of mail, can know it beforehand.

/// Numbers by SplitMix64: what matters is that nobody outside can know the seed.
#[derive(Debug, Default)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `places`; none where there is no place.
    pub(super) fn below(&mut self, places: usize) -> Option<usize> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)).checked_rem(u64::try_from(places).ok()?)?).ok()
    }

    /// Brings them into another order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last.saturating_add(1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}
