//! The data that a session gives to the writer of its record. The store's side is in `crate::manager`.

use super::status::Status;
use crate::error::{Error, Result};
use crate::ids::ConversationId;
use crate::options::SavedTotals;
use serde::Serialize;
use serde_json::value::RawValue;

/// Called once the change is stored, or could not be; from any thread.
pub type Stored = Box<dyn FnOnce(Result<()>) + Send>;

/// The part of a record that changes while the session lives.
#[derive(Debug, Clone)]
pub struct Fields {
    /// Status.
    pub status: Status,
    /// The conversation's id.
    pub session_id: Option<ConversationId>,
    /// The model, if the caller has changed it since the start.
    pub model: Option<String>,
    /// The permission mode, if the caller has changed it since the start.
    pub permission_mode: Option<String>,
    /// Cost, turns and the CLI's own running totals; `None` until a resumed session has read them.
    pub totals: Option<Totals>,
    /// Pid of the process, while there is one.
    pub pid: Option<u32>,
    /// Why the session ended, if nobody had asked for that.
    pub last_error: Option<LastError>,
    /// JSON of the messages without an answer, if they have changed since the last save.
    pub pending: Option<Box<RawValue>>,
    /// Count of changes up to these fields.
    pub revision: u64,
}

/// An error as a record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// Its code.
    pub code: &'static str,
    /// Its words.
    pub message: String,
}

impl From<&Error> for LastError {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

/// The totals of the turns so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Cost over all processes, in USD.
    pub cost_usd: f64,
    /// Turns over all processes.
    pub turns: u64,
    /// The CLI's own running totals.
    pub cli: SavedTotals,
}

/// Writes the record of one session. Never blocks.
pub trait Writer: Send + Sync {
    /// Saves the fields.
    fn save(&self, fields: Fields, stored: Stored);

    /// Saves the messages without an answer, if they are given. `stored` is called after everything saved before.
    fn note(&self, pending: Option<Box<RawValue>>, stored: Stored);

    /// Adds an interaction and saves the fields.
    fn add_turn(&self, interaction: Box<RawValue>, fields: Fields, stored: Stored);
}
