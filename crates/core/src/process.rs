//! Processes of the CLI: found, started, fed, read, ended. Knows nothing of turns.
//!
//! - [`locate`]: the program; [`command`]: its arguments and environment, pure.
//! - [`script`]: the program to run in the place of a script that the system cannot start.
//! - [`child`]: one process and its pipes; [`pipe`]: its output; [`input`]: its input; [`diagnostics`]: its standard error.
//! - [`kill_tree`]: ends a process and its descendants.
//! - [`keeper`]: the watchdog that does so when this program has ended, as a client of it.
//! - [`left_over`]: ends the processes that a host without a keeper left behind.
//! - [`transcript`]: the CLI's own file of a conversation.

pub mod child;
pub(crate) mod command;
pub(crate) mod diagnostics;
pub(crate) mod input;
pub mod keeper;
pub(crate) mod kill_tree;
pub mod launch;
pub mod left_over;
pub mod locate;
pub(crate) mod pipe;
#[cfg(any(windows, test))]
pub(crate) mod script;
pub(crate) mod transcript;
