//! Random numbers that a seed repeats: SplitMix64 (Steele, Lea and Flood, 2014), and how a seed is made for each use.
//!
//! Each part of a life draws from a generator of its own, seeded by the life's seed, a word for the use, and a number.
//! So a part that is taken away while a story is made shorter doesn't change what the other parts draw.

/// A generator of random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator for one use: the same arguments give the same numbers.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let mut random = Self(seed);
        for octet in purpose.bytes().chain(number.to_le_bytes()) {
            random.0 = random.next().wrapping_add(u64::from(octet));
        }
        random
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True once in `times`, on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.between(1, times) == 1
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// A place in a list of this length, which isn't empty.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.between(0, length as u64 - 1)).unwrap()
    }

    /// `true` with an even chance.
    pub fn coin(&mut self) -> bool {
        self.once_in(2)
    }
}
