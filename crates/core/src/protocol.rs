//! The lines that travel over the pipes of the `claude` CLI: one JSON object a line, both ways. No I/O here.
//!
//! - [`control`]: requests in both directions beside the messages.
//! - [`failure`]: the kinds of failures; [`signs`]: which one the lines of a turn show.
//! - [`framer`]: bytes in, whole lines out.
//! - [`inbound`]: one line of the CLI to a typed [`inbound::Frame`].
//! - [`outbound`]: one message of ours to a line.
//! - [`partial`]: the pieces of an answer while it grows.
//! - [`json_text`]: JSON strings that a strict decoder rejects.
//! - [`usage`]: tokens by class and by model; [`version`]: what is known by the CLI's version.

pub mod control;
pub mod failure;
pub mod framer;
pub mod inbound;
pub(crate) mod json_text;
pub(crate) mod outbound;
pub mod partial;
pub(crate) mod signs;
pub mod usage;
pub mod version;
