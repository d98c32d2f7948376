//! One session: a name, a conversation, and the processes that carry it, one after the other.
//!
//! - [`state`]: the rules, without I/O, for calls, lines, ends and deadlines.
//! - [`effect`]: the input of the rules, and the effects that they ask for.
//! - [`delivery`]: how far the last message has got on its way to the process.
//! - [`escalation`]: the steps by which a process is ended.
//! - [`ledger`]: the cost of a turn; [`estimate`]: the same where no result tells it; [`turn`]: a finished turn as JSON; [`status`], [`event`]: what sinks get.
//! - [`start`]: from options to a started session; [`handle`]: the session for its callers.
//! - `launch`: starts its processes and supervises them; `run`: the task that moves the bytes of one process.
//! - [`record`]: the data for the writer of its record.
//! - [`pending`]: messages without an answer, as the record keeps them.
//! - `deltas`: pieces of an answer on their way to the program.
//! - [`registry`]: the live sessions of this process.
//! - [`outbox`]: events on their way out, each held back until the change that it reports is stored.

mod backlog;
pub mod delivery;
mod deltas;
pub mod effect;
pub(crate) mod escalation;
pub(crate) mod estimate;
pub mod event;
mod guards;
pub mod handle;
pub(crate) mod launch;
pub(crate) mod ledger;
pub mod outbox;
pub(crate) mod pending;
pub mod record;
pub(crate) mod registry;
mod run;
#[cfg(test)]
pub(crate) mod simulation;
pub mod start;
pub mod state;
pub mod status;
pub mod turn;
