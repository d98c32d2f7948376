//! Processes of the CLI: found, started, fed, read, ended. Knows nothing of turns.
//!
//! - [`locate`]: the program; [`command`]: its arguments and environment, pure.
//! - [`child`]: one process and its pipes; [`pipe`]: one end of a pipe;
//!   [`diagnostics`]: what it writes to standard error.
//! - [`tree`]: a process and all its descendants, killed.
//! - [`transcript`]: what the CLI keeps of a conversation.
//! - [`one_shot`]: a process that is run for its output.

pub mod child;
pub mod command;
pub mod diagnostics;
pub mod locate;
pub mod one_shot;
pub mod pipe;
pub mod transcript;
pub mod tree;
