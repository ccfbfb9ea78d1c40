//! A seeded generator of choices, the same on every machine, so that a run is told by its seed.

/// Draws numbers from a seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    /// Returns the generator of one part, which does not depend on how often others are drawn.
    pub fn of(seed: u64, part: &str, number: usize) -> Dice {
        let mut hash = seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in part.bytes().chain(number.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Dice(hash)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a number from 0 to one less than `count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.draw() % count as u64) as usize
    }

    /// Returns true this many times in a hundred.
    pub fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}
