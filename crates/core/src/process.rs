//! Processes of the CLI: found, started, fed, read, ended. Knows nothing of turns.
//!
//! - [`locate`]: the program; [`command`]: its arguments and environment, pure.
//! - [`script`]: what is run in the place of a script where the system cannot start one.
//! - [`child`]: one process and its pipes; [`pipe`]: where its output is read; [`input`]: where it is fed;
//!   [`diagnostics`]: what it writes to standard error.
//! - [`off_thread`]: work that must not hold up the I/O thread.
//! - [`kill_tree`]: ends a process and its descendants.
//! - [`keeper`]: the watchdog that does so when this program has ended, as a client of it.
//! - [`left_over`]: what a host left behind that had no keeper.
//! - [`transcript`]: what the CLI keeps of a conversation.

pub mod child;
pub mod command;
pub mod diagnostics;
pub mod input;
pub mod keeper;
pub mod kill_tree;
pub mod left_over;
pub mod locate;
pub mod off_thread;
pub mod pipe;
pub mod script;
pub mod transcript;
