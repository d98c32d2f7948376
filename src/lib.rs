//! The binding: Node-API on one side, the core on the other. It converts and calls; it decides nothing.
//!
//! - What crosses is text, numbers and JSON: the JavaScript side builds the objects, in its own realm.
//! - Errors cross as one JSON envelope, which `js/errors.js` decodes ([`error`]).
//! - Events cross through one queue per JavaScript environment ([`environment`]).
//!
//! Every export catches panics: in a plain synchronous export one would abort Node.

#![expect(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "the signatures are what napi-derive can convert"
)]

mod convert;
mod environment;
mod error;
mod manager;
mod notices;
mod queue;
mod session;
mod store;

/// What one thread makes another one throws away: a message, an answer, a change of a record. The C library's allocator
/// makes the two threads wait for each other then.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
