//! What a turn cost that no result has told: the tokens that were seen, at the prices that the CLI has charged.
//!
//! No price is built in. A price is learnt from the CLI's own totals, which have tokens and USD for each model: those of
//! this conversation, else those of any other in this process. An unknown price is 0, and every estimate is marked as one.

use crate::limits;
use crate::protocol::usage::{ModelCall, ModelTotals, Models, Tokens};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// What tokens cost in relation to each other: input 1, output 5, written into the cache 1.25, read from it 0.1
/// (<https://platform.claude.com/docs/en/about-claude/pricing>). It decides only how much an estimate is off where the cut
/// turn used the classes in another proportion than the totals.
const WEIGHTS: [f64; 4] = [1.0, 5.0, 1.25, 0.1];

/// USD per unit of weighted tokens, by model: all that this process has learnt.
static PRICES: Mutex<BTreeMap<String, f64>> = Mutex::new(BTreeMap::new());

/// The requests to models that the lines of a turn tell of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// By the id of the model's message: several lines tell of one, each with what it knows.
    calls: BTreeMap<String, (String, Tokens)>,
    /// Of a turn with very many, all but the last ones, by model.
    earlier: BTreeMap<String, Tokens>,
    /// The turn is over: what comes late is not counted.
    is_closed: bool,
}

impl Extend<ModelCall> for Seen {
    fn extend<I: IntoIterator<Item = ModelCall>>(&mut self, calls: I) {
        calls.into_iter().for_each(|call| self.add(call));
    }
}

impl Seen {
    /// A line tells of a request.
    pub fn add(&mut self, call: ModelCall) {
        if self.is_closed {
            return;
        }
        if self.calls.len() >= limits::SEEN_CALLS && !self.calls.contains_key(&call.id) {
            for (model, tokens) in std::mem::take(&mut self.calls).into_values() {
                let sum = self.earlier.entry(model).or_default();
                *sum = sum.plus(&tokens);
            }
        }
        match self.calls.get_mut(&call.id) {
            Some((_, tokens)) => *tokens = tokens.max(&call.tokens),
            None => drop(self.calls.insert(call.id, (call.model, call.tokens))),
        }
    }

    /// All that was seen, when the turn is over.
    pub fn close(&mut self) -> Self {
        let closed = Self {
            is_closed: true,
            ..Self::default()
        };
        std::mem::replace(self, closed)
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.earlier.is_empty()
    }

    /// What it cost in USD, as far as prices are known; `totals` are those of the conversation.
    #[must_use]
    pub fn price(&self, totals: &Models) -> f64 {
        let own: BTreeMap<&str, f64> = totals
            .iter()
            .filter_map(|(model, totals)| Some((family(model), unit_price(totals)?)))
            .collect();
        let shared = PRICES.lock();
        let calls = self.calls.values().map(|(model, tokens)| (model, tokens));
        calls
            .chain(&self.earlier)
            .filter_map(|(model, tokens)| {
                let model = family(model);
                let price = own.get(model).or_else(|| shared.get(model))?;
                Some(price * weight(tokens))
            })
            .sum()
    }
}

/// Learns prices from totals of the CLI.
pub(crate) fn learn(totals: &Models) {
    let mut shared = PRICES.lock();
    for (model, totals) in totals {
        let model = family(model);
        let Some(price) = unit_price(totals) else { continue };
        if let Some(known) = shared.get_mut(model) {
            *known = price;
        } else if shared.len() < limits::PRICED_MODELS {
            shared.insert(model.to_owned(), price);
        }
    }
}

fn unit_price(totals: &ModelTotals) -> Option<f64> {
    let price = totals.cost_usd / weight(&totals.tokens);
    (price.is_finite() && price > 0.0).then_some(price)
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens are far below 2^52")]
fn weight(tokens: &Tokens) -> f64 {
    let classes = [tokens.input, tokens.output, tokens.written, tokens.read];
    classes
        .into_iter()
        .zip(WEIGHTS)
        .map(|(tokens, weight)| tokens as f64 * weight)
        .sum()
}

/// The totals name `claude-opus-4-8[1m]` what a message calls `claude-opus-4-8`.
fn family(model: &str) -> &str {
    model.split_once('[').map_or(model, |(family, _)| family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, model: &str, input: u64, output: u64) -> ModelCall {
        let tokens = Tokens {
            input,
            output,
            ..Tokens::default()
        };
        ModelCall {
            id: id.to_owned(),
            model: model.to_owned(),
            tokens,
        }
    }

    fn totals(model: &str, input: u64, output: u64, cost_usd: f64) -> Models {
        let ModelCall { tokens, model, .. } = call("", model, input, output);
        Models::from([(model, ModelTotals { tokens, cost_usd })])
    }

    #[test]
    fn tokens_cost_what_the_cli_has_charged_for_such_tokens() {
        let mut seen = Seen::default();
        seen.add(call("1", "estimate-a", 10, 1));
        seen.add(call("1", "estimate-a", 10, 5));
        seen.add(call("2", "estimate-a", 20, 1));
        let known = totals("estimate-a[1m]", 100, 50, 0.00175);
        assert!((seen.price(&known) - (30.0 * 5.0 + 6.0 * 25.0) / 1e6).abs() < 1e-12);
        assert!(seen.price(&Models::new()).abs() < 1e-12, "no price");
        learn(&known);
        assert!(seen.price(&Models::new()) > 0.0, "another session has shown it");
    }

    #[test]
    fn a_turn_with_very_many_requests_takes_bounded_memory_and_loses_none() {
        let mut seen = Seen::default();
        let count = 3 * limits::SEEN_CALLS;
        for id in 0..count {
            seen.add(call(&id.to_string(), "estimate-b", 1, 0));
        }
        assert!(seen.calls.len() <= limits::SEEN_CALLS);
        let price = seen.price(&totals("estimate-b", 1, 0, 1.0));
        assert!((price - f64::from(u32::try_from(count).unwrap_or(0))).abs() < 1e-6);
    }
}
