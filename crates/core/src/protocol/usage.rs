//! Tokens by class and by model, as the CLI counts them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Token counts by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Read as they are.
    pub input: u64,
    /// Written by the model.
    pub output: u64,
    /// Written into the cache.
    pub written: u64,
    /// Read from the cache.
    pub read: u64,
}

/// What one model was used for, and its price in USD.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelTotals {
    /// How much.
    #[serde(flatten)]
    pub tokens: Tokens,
    /// How dear.
    pub cost_usd: f64,
}

/// Totals by the model's name.
pub type Models = BTreeMap<String, ModelTotals>;

/// One request to a model, as far as a line shows it. Several lines may tell of the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCall {
    /// Id of the model's message.
    pub id: String,
    /// Name of the model.
    pub model: String,
    /// Its tokens so far.
    pub tokens: Tokens,
}

impl Tokens {
    /// All classes together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.classes().into_iter().fold(0, u64::saturating_add)
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// The higher count of each class.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.zip(other, u64::max)
    }

    /// Whether no class has less than in `part`.
    #[must_use]
    pub fn covers(&self, part: &Self) -> bool {
        self.classes()
            .into_iter()
            .zip(part.classes())
            .all(|(all, part)| all >= part)
    }

    fn classes(&self) -> [u64; 4] {
        [self.input, self.output, self.written, self.read]
    }

    fn zip(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input: with(self.input, other.input),
            output: with(self.output, other.output),
            written: with(self.written, other.written),
            read: with(self.read, other.read),
        }
    }
}

/// The tokens of all models.
#[must_use]
pub fn sum(models: &Models) -> Tokens {
    models
        .values()
        .fold(Tokens::default(), |sum, model| sum.plus(&model.tokens))
}
