//! Files that processes share.
//!
//! - [`private`]: files and directories that only their owner can read
//! - [`locked_file`]: the one way to lock a file that others may replace or remove
//! - [`conversation_lock`]: one writer for each conversation, across programs

pub(crate) mod conversation_lock;
pub(crate) mod locked_file;
pub(crate) mod private;
