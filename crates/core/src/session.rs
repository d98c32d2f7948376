//! One session: a name, a conversation, and the processes that carry it, one after the other.
//!
//! - [`state`]: the rules, without I/O: what a call, a line, an end, a deadline does.
//! - [`effect`]: what goes into the rules and what they ask for.
//! - [`delivery`]: what became of the message that was written last.
//! - [`escalation`]: the steps by which a process is ended.
//! - [`ledger`]: what a turn cost; [`turn`]: a finished turn as JSON; [`status`], [`event`]: what is emitted.
//! - [`start`]: from options to a started session; [`handle`]: the session as the outside holds it.
//! - `launch`: starts its processes and supervises them; `run`: the task that moves the bytes of one process.
//! - [`record`]: what the writer of its record is given.
//! - [`pending`]: messages without an answer, as the record keeps them.
//! - [`registry`]: the live sessions of this process.
//! - [`outbox`]: events on their way out, held back until what they report is stored.

mod backlog;
pub mod delivery;
pub mod effect;
pub(crate) mod escalation;
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
