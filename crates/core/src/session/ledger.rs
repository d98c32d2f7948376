//! The cost of a turn. The CLI reports running totals, whose base depends on its version.
//!
//! - 2.1.330 names each turn's own usage in its result: that figure is taken.
//! - Older versions report only a total. In a resumed or forked process it starts again at 0 up to 2.1.260, and goes on
//!   from the saved total from 2.1.300 on. `/clear` may drop it.
//! - A turn without a result is estimated by what was seen of it.

use super::estimate::{self, Seen};
use crate::options::{CliTotals, SavedTotals};
use crate::protocol::inbound::TurnResult;
use crate::protocol::usage::{self, Models};
use crate::protocol::version::Version;

/// What a turn cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// In USD.
    pub usd: f64,
    /// Whether it may be another amount.
    pub estimated: bool,
}

/// The base for the next total.
#[derive(Debug, Clone)]
pub struct Ledger {
    totals: SavedTotals,
    /// Whether the totals come from another process, so that the next total may have started again at 0.
    carried_over: bool,
    /// USD that were charged for a turn that had no result: a later total has them, too.
    estimated: f64,
}

impl Ledger {
    /// A ledger for a new process; `saved` are the totals of the conversation it resumes.
    #[must_use]
    pub fn new(saved: Option<SavedTotals>) -> Self {
        Self {
            carried_over: saved.is_some(),
            totals: saved.unwrap_or_default(),
            estimated: 0.0,
        }
    }

    /// A ledger for a fork of the conversation that this ledger counts, while its process may still live.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::new(Some(self.totals()))
    }

    /// The totals for the record.
    #[must_use]
    pub fn totals(&self) -> SavedTotals {
        self.totals.clone()
    }

    /// Notes that the process has ended in order: the CLI saves its totals then, and at no other time.
    pub fn process_ended(&mut self) {
        self.totals.on_disk = self.totals.last.clone();
    }

    /// The cost of the turn of this result, from a CLI of this version. Moves the base.
    pub fn charge(&mut self, result: &TurnResult, version: Option<Version>) -> Cost {
        let charged = self.charge_whole(result, version);
        let before = std::mem::take(&mut self.estimated);
        Cost {
            usd: plain(charged.usd - before),
            ..charged
        }
    }

    /// What a turn cost that ended without a result. A total that comes after it has it, too.
    pub fn estimate(&mut self, seen: &Seen) -> Cost {
        let usd = plain(seen.price(&self.totals.last.models));
        self.estimated += usd;
        Cost { usd, estimated: true }
    }

    fn charge_whole(&mut self, result: &TurnResult, version: Option<Version>) -> Cost {
        let own = result.turn_cost_usd.map(Cost::certain);
        let Some(cost_usd) = result.total_cost_usd else {
            return own.unwrap_or(Cost::certain(0.0));
        };
        let total = CliTotals {
            cost_usd,
            tokens: usage::sum(&result.models).sum(),
            models: result.models.clone(),
        };
        let cost = own.unwrap_or_else(|| {
            let base = self.base(&total, result, version);
            Cost {
                usd: total.cost_usd - base.usd,
                ..base
            }
        });
        estimate::learn(&total.models);
        self.totals.last = total;
        self.carried_over = false;
        cost
    }

    /// The total from which this one went on.
    fn base(&self, total: &CliTotals, result: &TurnResult, version: Option<Version>) -> Cost {
        let SavedTotals { last, on_disk } = &self.totals;
        if !self.carried_over {
            let fell = total.cost_usd < last.cost_usd;
            return Cost::certain(if fell { 0.0 } else { last.cost_usd });
        }
        let may_follow = |base: &&CliTotals| follows(total, base, result);
        let zero = CliTotals::default();
        // Tokens are whole numbers, so the base whose tokens fit exactly is the right one. None fits where the turn's own
        // usage is not all that it cost, as with subagents.
        let turn_tokens = result.turn_tokens.sum();
        let exact = [last, on_disk, &zero]
            .into_iter()
            .filter(may_follow)
            .find(|base| base.tokens.checked_add(turn_tokens) == Some(total.tokens));
        if let Some(base) = exact {
            return Cost::certain(base.cost_usd);
        }
        let saved: Vec<&CliTotals> = [on_disk, last].into_iter().filter(may_follow).collect();
        match (version.and_then(Version::totals_go_on), saved.as_slice()) {
            (Some(false), _) | (_, []) => Cost::certain(0.0),
            // What an orderly end has saved is what the next process reads.
            (Some(true), [base, ..]) => Cost {
                usd: base.cost_usd,
                estimated: on_disk.cost_usd.to_bits() != last.cost_usd.to_bits(),
            },
            (None, [.., base]) => Cost {
                usd: base.cost_usd,
                estimated: base.cost_usd > 0.0,
            },
        }
    }
}

impl Cost {
    fn certain(usd: f64) -> Self {
        Self {
            usd,
            estimated: false,
        }
    }
}

/// Whether a total may be that of `base` and a turn: nothing in it is lower, for no model and in no class.
fn follows(total: &CliTotals, base: &CliTotals, result: &TurnResult) -> bool {
    let (all, before) = (usage::sum(&total.models), usage::sum(&base.models));
    let covers = |models: &Models| {
        models.iter().all(|(name, before)| {
            let now = total.models.get(name).copied().unwrap_or_default();
            now.tokens.covers(&before.tokens)
        })
    };
    base.cost_usd <= total.cost_usd
        && base.tokens.saturating_add(result.turn_tokens.sum()) <= total.tokens
        && all.covers(&before.plus(&result.turn_tokens))
        && covers(&base.models)
}

/// An amount that can be shown and added: finite, not negative, and not the -0 of an empty sum.
fn plain(usd: f64) -> f64 {
    if usd.is_finite() { usd.max(0.0) + 0.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::usage::{ModelCall, ModelTotals, Tokens};

    fn input(tokens: u64) -> Tokens {
        Tokens {
            input: tokens,
            ..Tokens::default()
        }
    }

    fn models(cost_usd: f64, tokens: u64) -> Models {
        let tokens = input(tokens);
        Models::from([("m".to_owned(), ModelTotals { tokens, cost_usd })])
    }

    fn result(total: f64, tokens: u64, turn_tokens: u64) -> TurnResult {
        TurnResult {
            total_cost_usd: Some(total),
            models: models(total, tokens),
            turn_tokens: input(turn_tokens),
            ..TurnResult::default()
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it stands for what a record has saved, which may be nothing"
    )]
    fn saved(cost_usd: f64, tokens: u64) -> Option<SavedTotals> {
        let last = CliTotals {
            cost_usd,
            tokens,
            models: Models::new(),
        };
        Some(SavedTotals {
            last: last.clone(),
            on_disk: last,
        })
    }

    #[expect(clippy::float_cmp, reason = "the figures are exact in binary")]
    fn check(saved: Option<SavedTotals>, results: &[(TurnResult, f64)]) {
        let mut ledger = Ledger::new(saved);
        for (index, (result, cost)) in results.iter().enumerate() {
            assert_eq!(ledger.charge(result, None).usd, *cost, "result {index}");
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
        assert!(Ledger::new(None).charge(&nothing, None).usd.is_sign_positive());
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
        source.charge(&result(0.75, 30, 20), None);
        assert_eq!(
            source.fork().charge(&result(0.5, 20, 10), None).usd,
            0.25,
            "base: when the source's process started"
        );
        assert_eq!(
            source.fork().charge(&result(1.0, 40, 10), None).usd,
            0.25,
            "base: the source's last total"
        );
        assert_eq!(
            source.fork().charge(&result(0.25, 10, 10), None).usd,
            0.25,
            "base: nothing"
        );
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the figures are exact in binary")]
    fn a_fork_of_a_killed_session_starts_from_what_its_last_orderly_end_saved() {
        let mut first = Ledger::new(None);
        first.charge(&result(0.25, 10, 10), None);
        first.process_ended();
        let mut second = Ledger::new(Some(first.totals()));
        second.charge(&result(0.75, 30, 20), None);
        let after_kill = Ledger::new(Some(second.totals()));
        assert_eq!(after_kill.fork().charge(&result(0.5, 20, 10), None).usd, 0.25);
    }

    #[test]
    fn a_turn_whose_usage_is_not_reported_counts_from_the_saved_total_if_that_fits() {
        check(saved(0.25, 15), &[(result(0.5, 25, 0), 0.25)]);
        check(saved(0.25, 15), &[(result(0.125, 5, 0), 0.125)]);
    }

    /// A conversation in which the main model and a subagent's have done the work of a resumed process's first turn.
    fn with_subagents(main: (u64, u64), agent: u64, cost_usd: f64, turn: u64) -> TurnResult {
        let entry = |input, output, cost_usd| ModelTotals {
            tokens: Tokens {
                input,
                output,
                ..Tokens::default()
            },
            cost_usd,
        };
        TurnResult {
            total_cost_usd: Some(cost_usd),
            models: Models::from([
                ("main".to_owned(), entry(main.0, main.1, cost_usd)),
                ("agent".to_owned(), entry(agent, 0, 0.0)),
            ]),
            turn_tokens: input(turn),
            ..TurnResult::default()
        }
    }

    fn after(saved: &TurnResult) -> Ledger {
        let mut first = Ledger::new(None);
        first.charge(saved, None);
        first.process_ended();
        Ledger::new(Some(first.totals()))
    }

    fn charged(saved: &TurnResult, result: &TurnResult, version: [u32; 3]) -> (f64, bool) {
        let Cost { usd, estimated } = after(saved).charge(result, Some(Version(version)));
        (usd, estimated)
    }

    #[test]
    fn big_subagents_in_the_first_turn_after_a_resume_are_charged_by_the_version() {
        let saved = with_subagents((100, 10), 0, 0.25, 110);
        // More than before in each class, and the turn's own usage has nothing of the subagent's.
        let result = with_subagents((200, 20), 5000, 4.0, 220);
        assert_eq!(charged(&saved, &result, [2, 1, 197]), (4.0, false), "starts at 0");
        assert_eq!(charged(&saved, &result, [2, 1, 300]), (3.75, false), "goes on");
        assert_eq!(
            charged(&saved, &result, [2, 1, 280]),
            (3.75, true),
            "may do either"
        );
    }

    #[test]
    fn a_class_that_is_lower_than_before_shows_that_the_totals_began_anew() {
        let saved = with_subagents((100, 90), 0, 0.25, 190);
        let result = with_subagents((200, 20), 5000, 4.0, 220);
        assert_eq!(charged(&saved, &result, [2, 1, 280]), (4.0, false));
        assert_eq!(
            charged(&saved, &result, [2, 1, 300]),
            (4.0, false),
            "whatever the version"
        );
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the figures are exact in binary")]
    fn a_result_that_comes_after_an_estimate_charges_the_rest() {
        let mut ledger = Ledger::new(None);
        ledger.charge(&result(0.25, 10, 10), None);
        let mut seen = Seen::default();
        seen.add(ModelCall {
            id: "1".to_owned(),
            model: "m".to_owned(),
            tokens: input(10),
        });
        let cut = ledger.estimate(&seen);
        assert_eq!((cut.usd, cut.estimated), (0.25, true));
        assert_eq!(ledger.charge(&result(1.0, 40, 30), None).usd, 0.5);
        assert_eq!(ledger.charge(&result(1.5, 60, 20), None).usd, 0.5);
    }
}
