//! What a session says of itself to whoever keeps its record. The store's side is in `crate::manager`.

use super::status::Status;
use crate::error::Result;
use crate::options::SavedTotals;
use serde_json::value::RawValue;

/// Called once the change is stored, or could not be; from any thread.
pub type Stored = Box<dyn FnOnce(Result<()>) + Send>;

/// The part of a record that changes while the session lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// Status.
    pub status: Status,
    /// The conversation's id.
    pub session_id: Option<String>,
    /// Cost over all processes, in USD.
    pub total_cost_usd: f64,
    /// Turns over all processes.
    pub total_turns: u64,
    /// The CLI's own running totals.
    pub cli_totals: SavedTotals,
    /// Pid of the process, while there is one.
    pub pid: Option<u32>,
    /// Count of changes up to these fields.
    pub revision: u64,
}

/// Keeps the record of one session. Never blocks.
pub trait Keeper: Send + Sync {
    /// Saves the fields.
    fn save(&self, fields: Fields, stored: Stored);

    /// Adds an interaction and saves the fields.
    fn add_turn(&self, interaction: Box<RawValue>, fields: Fields, stored: Stored);
}
