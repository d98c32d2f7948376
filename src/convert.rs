//! Values on their way between JavaScript and the engine.

use clearctx_core::options::{CallerEnv, variable_name};
use std::collections::BTreeMap;

/// The caller's environment from what JavaScript read: names and values in turn, and `process.cwd()`.
pub(crate) fn caller_env(env: Vec<String>, cwd: String) -> CallerEnv {
    let mut names_and_values = env.into_iter();
    let mut map = BTreeMap::new();
    while let (Some(name), Some(value)) = (names_and_values.next(), names_and_values.next()) {
        map.insert(variable_name(&name), value);
    }
    CallerEnv { env: map, cwd }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counters of one process stay far below 2^53"
)]
pub(crate) fn to_number(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number we gave out"
)]
pub(crate) fn from_number(number: f64) -> u64 {
    number as u64
}
