//! The binding: Node-API on one side, the core on the other. It converts and calls; it decides nothing.
//!
//! - Only text, numbers and JSON cross: the JavaScript side builds the objects, in its own realm.
//! - Errors cross as one JSON envelope, which `js/errors.js` decodes ([`error`]).
//! - Events cross through one queue per JavaScript environment ([`environment`]).
//!
//! Every export catches panics: in a plain synchronous export one would abort Node.

#![expect(
    clippy::fn_params_excessive_bools,
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

/// One thread frees what another has allocated: a message, an answer, a change of a record. With the C library's allocator
/// the two threads would wait for each other.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
