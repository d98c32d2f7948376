//! The cost of a turn. The CLI reports running totals, whose base depends on its version.
//!
//! - 2.1.330 names each turn's own usage in its result: that figure is taken.
//! - Older versions report only a total. It starts again at 0 in a resumed or forked process; in some versions in
//!   between it continued from the saved total. `/clear` may drop it.

use crate::options::{CliTotals, SavedTotals};
use crate::protocol::inbound::TurnResult;

/// The base for the next total.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    totals: SavedTotals,
    /// Whether the totals come from another process, so that the next total may have started again at 0.
    carried_over: bool,
}

impl Ledger {
    /// A ledger for a new process; `saved` are the totals of the conversation it resumes.
    #[must_use]
    pub fn new(saved: Option<SavedTotals>) -> Self {
        Self {
            totals: saved.unwrap_or_default(),
            carried_over: saved.is_some(),
        }
    }

    /// A ledger for a fork of the conversation that this ledger counts, while its process may still live.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            carried_over: true,
            ..*self
        }
    }

    /// The totals for the record.
    #[must_use]
    pub fn totals(&self) -> SavedTotals {
        self.totals
    }

    /// Notes that the process has ended in order: the CLI saves its totals then, and at no other time.
    pub fn process_ended(&mut self) {
        self.totals.on_disk = self.totals.last;
    }

    /// The cost of the turn of this result, in USD. Moves the base.
    pub fn charge(&mut self, result: &TurnResult) -> f64 {
        let Some(cost_usd) = result.total_cost_usd else {
            return plain(result.turn_cost_usd.unwrap_or(0.0));
        };
        let total = CliTotals {
            cost_usd,
            tokens: result.total_tokens,
        };
        let cost = result
            .turn_cost_usd
            .unwrap_or_else(|| total.cost_usd - self.base(&total, result.turn_tokens));
        self.totals.last = total;
        self.carried_over = false;
        plain(cost)
    }

    fn base(&self, total: &CliTotals, turn_tokens: u64) -> f64 {
        if !self.carried_over {
            return if total.cost_usd < self.totals.last.cost_usd {
                0.0
            } else {
                self.totals.last.cost_usd
            };
        }
        let candidates = [self.totals.last, self.totals.on_disk, CliTotals::default()];
        let possible = |base: &&CliTotals| base.cost_usd <= total.cost_usd;
        // Tokens are whole numbers, so the base whose tokens fit exactly is the right one. If none fits (the turn's
        // own usage is not reported), the total continued if it is at least the saved one.
        let exact = candidates
            .iter()
            .filter(possible)
            .find(|base| base.tokens.checked_add(turn_tokens) == Some(total.tokens));
        let went_on = total.tokens >= self.totals.last.tokens.saturating_add(turn_tokens);
        match exact {
            Some(base) => base.cost_usd,
            None if went_on && possible(&&self.totals.last) => self.totals.last.cost_usd,
            None => 0.0,
        }
    }
}

/// An amount that can be shown and added: finite, not negative, and not the -0 of an empty sum.
fn plain(usd: f64) -> f64 {
    if usd.is_finite() { usd.max(0.0) + 0.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(total: f64, tokens: u64, turn_tokens: u64) -> TurnResult {
        TurnResult {
            total_cost_usd: Some(total),
            total_tokens: tokens,
            turn_tokens,
            ..TurnResult::default()
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it stands for what a record has saved, which may be nothing"
    )]
    fn saved(cost_usd: f64, tokens: u64) -> Option<SavedTotals> {
        let last = CliTotals { cost_usd, tokens };
        Some(SavedTotals { last, on_disk: last })
    }

    #[expect(clippy::float_cmp, reason = "the figures are exact in binary")]
    fn check(saved: Option<SavedTotals>, results: &[(TurnResult, f64)]) {
        let mut ledger = Ledger::new(saved);
        for (index, (result, cost)) in results.iter().enumerate() {
            assert_eq!(ledger.charge(result), *cost, "result {index}");
        }
    }

    #[test]
    fn totals_of_one_process_are_subtracted() {
        check(
            None,
            &[
                (result(0.25, 15, 15), 0.25),
                (result(0.75, 45, 30), 0.5),
                (result(0.75, 45, 0), 0.0),
            ],
        );
    }

    #[test]
    fn an_older_cli_starts_again_after_a_resume_even_with_a_dear_turn() {
        check(
            saved(0.25, 15),
            &[(result(0.125, 10, 10), 0.125), (result(0.25, 20, 10), 0.125)],
        );
        check(saved(0.25, 15), &[(result(4.0, 14, 14), 4.0)]);
    }

    #[test]
    fn a_cli_whose_total_goes_on_is_not_counted_twice() {
        check(
            saved(0.25, 15),
            &[(result(0.5, 25, 10), 0.25), (result(1.0, 35, 10), 0.5)],
        );
    }

    #[test]
    fn a_total_that_falls_is_a_new_base() {
        check(
            None,
            &[
                (result(0.5, 50, 50), 0.5),
                (result(0.0, 0, 0), 0.0),
                (result(0.25, 5, 5), 0.25),
            ],
        );
    }

    #[test]
    fn the_results_own_figure_comes_first() {
        let own = TurnResult {
            turn_cost_usd: Some(0.125),
            ..result(9.0, 900, 10)
        };
        check(saved(0.25, 15), &[(own, 0.125), (result(9.5, 950, 50), 0.5)]);
    }

    #[test]
    fn a_first_result_without_a_total_does_not_charge_what_was_saved() {
        let none = || TurnResult {
            total_cost_usd: None,
            ..TurnResult::default()
        };
        check(saved(5.0, 100), &[(none(), 0.0), (result(5.5, 110, 10), 0.5)]);
    }

    #[test]
    fn an_amount_beyond_numbers_costs_nothing() {
        let endless = TurnResult {
            turn_cost_usd: Some(f64::INFINITY),
            ..result(1.0, 1, 1)
        };
        check(None, &[(endless, 0.0), (result(1.5, 2, 1), 0.5)]);
    }

    #[test]
    fn a_turn_that_cost_nothing_costs_zero_without_a_sign() {
        let nothing = TurnResult {
            turn_cost_usd: Some(-0.0),
            ..result(0.0, 0, 0)
        };
        assert!(Ledger::new(None).charge(&nothing).is_sign_positive());
    }

    #[test]
    fn a_result_without_a_total_costs_nothing_and_keeps_the_base() {
        let none = TurnResult {
            total_cost_usd: None,
            ..TurnResult::default()
        };
        check(
            None,
            &[
                (result(0.5, 50, 50), 0.5),
                (none, 0.0),
                (result(0.75, 75, 25), 0.25),
            ],
        );
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the figures are exact in binary")]
    fn a_fork_of_a_live_session_starts_from_what_is_on_disk() {
        let mut source = Ledger::new(saved(0.25, 10));
        source.charge(&result(0.75, 30, 20));
        assert_eq!(
            source.fork().charge(&result(0.5, 20, 10)),
            0.25,
            "base: when the source's process started"
        );
        assert_eq!(
            source.fork().charge(&result(1.0, 40, 10)),
            0.25,
            "base: the source's last total"
        );
        assert_eq!(source.fork().charge(&result(0.25, 10, 10)), 0.25, "base: nothing");
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the figures are exact in binary")]
    fn a_fork_of_a_killed_session_starts_from_what_its_last_orderly_end_saved() {
        let mut first = Ledger::new(None);
        first.charge(&result(0.25, 10, 10));
        first.process_ended();
        let mut second = Ledger::new(Some(first.totals()));
        second.charge(&result(0.75, 30, 20));
        let after_kill = Ledger::new(Some(second.totals()));
        assert_eq!(after_kill.fork().charge(&result(0.5, 20, 10)), 0.25);
    }

    #[test]
    fn a_turn_whose_usage_is_not_reported_counts_from_the_saved_total_if_that_fits() {
        check(saved(0.25, 15), &[(result(0.5, 25, 0), 0.25)]);
        check(saved(0.25, 15), &[(result(0.125, 5, 0), 0.125)]);
    }
}
