//! One session: a name, a conversation, and the process that carries it.
//!
//! - [`state`]: the rules, without I/O: what a call, a line, an end, a deadline does.
//! - [`effect`]: what the rules are told and what they ask for.
//! - [`escalation`]: the steps by which a process is ended.
//! - [`ledger`]: what a turn cost; [`turn`]: a finished turn as JSON; [`status`], [`event`]: what is told.
//! - [`start`]: from options to a started session; [`handle`]: the session as the outside holds it; [`run`]: the task that moves its bytes.
//! - [`record`]: what is told to the writer of its record.
//! - [`pending`]: messages without an answer, as the record keeps them.
//! - [`registry`]: the live sessions of this process.
//! - [`outbox`]: events on their way out, held back until what they report is stored.

mod backlog;
pub mod effect;
pub mod escalation;
pub mod event;
mod guards;
pub mod handle;
pub mod ledger;
pub mod outbox;
pub mod pending;
pub mod record;
pub mod registry;
pub(crate) mod run;
#[cfg(test)]
pub(crate) mod simulation;
pub mod start;
pub mod state;
pub mod status;
pub mod turn;
