//! Converts the core's errors to the form that `js/errors.js` decodes.

use clearctx_core::api::to_raw;
use clearctx_core::error::Error;
use napi::Status;

/// One error as JSON: `{"code":"ERR_...","class":"TypeError","message":"...","data":{...}}`.
pub(crate) fn envelope(error: &Error) -> String {
    to_raw(error).get().to_owned()
}

/// The error to throw from an export.
pub(crate) fn throw(error: &Error) -> napi::Error {
    napi::Error::new(Status::GenericFailure, envelope(error))
}

/// Reads JSON that our own JavaScript wrote.
pub(crate) fn read<'a, T: serde::Deserialize<'a>>(json: &'a str, what: &str) -> napi::Result<T> {
    serde_json::from_str(json).map_err(|error| unreadable(what, &error))
}

/// The error for an argument that is not such JSON.
pub(crate) fn unreadable(what: &str, error: &serde_json::Error) -> napi::Error {
    throw(&Error::InvalidArgValue {
        argument: what.to_owned(),
        expected: "an object that can be written as JSON".to_owned(),
        received: error.to_string(),
    })
}
