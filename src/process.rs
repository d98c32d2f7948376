//! Processes of the CLI: found, started, fed, read, ended. Knows nothing of turns.
//!
//! - [`locate`]: the program; [`command`]: its arguments and environment, pure.
//! - [`script`]: what is run in the place of a script where the system cannot start one.
//! - [`child`]: one process and its pipes; [`pipe`]: where its output is read; [`input`]: where it is fed;
//!   [`diagnostics`]: what it writes to standard error.
//! - [`off_thread`]: work that must not hold up the I/O thread.
//! - `table`, `family`: which processes belong together; [`tree`]: ends them.
//! - [`keeper`]: the process that does so when this one has ended; [`watch`]: its side.
//! - [`left_over`]: what a host left behind that had no keeper.
//! - [`transcript`]: what the CLI keeps of a conversation.
//! - [`one_shot`]: a process that is run for its output.

pub mod child;
pub mod command;
pub mod diagnostics;
#[cfg(unix)]
mod family;
pub mod input;
pub mod keeper;
pub mod left_over;
pub mod locate;
pub mod off_thread;
pub mod one_shot;
pub mod pipe;
pub mod script;
#[cfg(unix)]
mod table;
pub mod transcript;
pub mod tree;
#[cfg(unix)]
pub mod watch;
