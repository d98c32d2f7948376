//! How often a small `sessions.json` is rewritten before a call returns.

use std::time::Instant;

use crate::limits;

/// A token bucket of rewrites: full at first, refilled at a steady rate.
#[derive(Debug)]
pub(super) struct Pace {
    left: f64,
    at: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            left: limits::STORE_REWRITES_AT_ONCE,
            at: Instant::now(),
        }
    }
}

impl Pace {
    /// Takes a rewrite, if one is left.
    pub(super) fn take(&mut self) -> bool {
        self.take_at(Instant::now())
    }

    /// Whether a rewrite is left.
    pub(super) fn has_left(&mut self) -> bool {
        self.refill(Instant::now());
        self.left >= 1.0
    }

    fn take_at(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left =
            (self.left + passed * limits::STORE_REWRITES_PER_SECOND).min(limits::STORE_REWRITES_AT_ONCE);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn fifty_at_once_and_fifty_a_second() {
        let mut pace = Pace::default();
        let start = pace.at;
        let taken = (0..60).filter(|_| pace.take_at(start)).count();
        assert_eq!(taken, 50);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..60).filter(|_| pace.take_at(later)).count(), 25);
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..60).filter(|_| pace.take_at(much_later)).count(), 50);
    }
}
