//! Processes of the CLI: found, started, fed, read, ended. Knows nothing of turns.
//!
//! - [`locate`]: the program; [`command`]: its arguments and environment, pure.
//! - [`script`]: what is run in the place of a script where the system cannot start one.
//! - [`launch`]: starts it; [`child`]: one process and its pipes; [`pipe`]: where its output is read; [`input`]: where it is fed;
//!   [`diagnostics`]: what it writes to standard error.
//! - [`off_thread`]: work that must not hold up the I/O thread.
//! - [`kill_tree`]: ends a process and its descendants.
//! - [`keeper`]: the watchdog that does so when this program has ended, as a client of it.
//! - [`left_over`]: what a host left behind that had no keeper.
//! - [`transcript`]: what the CLI keeps of a conversation.

pub mod child;
pub(crate) mod command;
pub(crate) mod diagnostics;
pub(crate) mod input;
pub mod keeper;
pub(crate) mod kill_tree;
pub mod launch;
pub mod left_over;
pub mod locate;
pub(crate) mod off_thread;
pub(crate) mod pipe;
#[cfg(any(windows, test))]
pub(crate) mod script;
pub(crate) mod transcript;
