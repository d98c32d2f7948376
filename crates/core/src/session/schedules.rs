//! Random schedules: calls, lines, ends, passing time and the store's answers in any order, on a session whose
//! process, clock and store are in memory, held against a model that knows what the CLI really does.
//!
//! `CLEARCTX_SCHEDULES` sets how many run, `CLEARCTX_SEED` the first seed: a failure names its own.

mod cli;
mod model;
mod stage;

use stage::Stage;
use std::panic::catch_unwind;

/// Schedules of a run that does not ask for a number.
const SCHEDULES: u64 = 10_000;

/// Longest schedule, in steps.
const STEPS: u64 = 60;

/// Numbers that are the same for the same seed (`SplitMix64`).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    /// The same for an index.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % sides
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }
}

fn run(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut stage = Stage::new(dice.once_in(2));
    for _ in 0..dice.roll(STEPS) {
        stage.step(&mut dice);
        stage.check();
    }
    stage.end(&mut dice);
}

/// The number that a variable of the environment holds.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable holds a number"))
}

#[test]
fn every_send_settles_once_whatever_happens_when() {
    let first = number("CLEARCTX_SEED").unwrap_or(1);
    for seed in first..first + number("CLEARCTX_SCHEDULES").unwrap_or(SCHEDULES) {
        assert!(
            catch_unwind(|| run(seed)).is_ok(),
            "the schedule failed; to repeat it: CLEARCTX_SEED={seed} CLEARCTX_SCHEDULES=1"
        );
    }
}
