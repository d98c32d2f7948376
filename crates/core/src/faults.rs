//! Defects on demand, to show that a defect fails its session and nothing else. They are compiled in only with the feature
//! `faults`, which no package has. A session then panics at the place that its own `env` names.

use crate::options::SessionOptions;

/// The variable that names the place.
#[cfg(feature = "faults")]
pub const VARIABLE: &str = "CLEARCTX_FAULT";

/// Panics if the session's `env` names this place.
///
/// # Panics
/// On request.
#[cfg(feature = "faults")]
pub fn place(name: &str, options: &SessionOptions) {
    let wanted = options.run.env.get(VARIABLE).and_then(Option::as_deref);
    assert!(wanted != Some(name), "a fault at \"{name}\" was asked for");
}

/// Does nothing: the feature is off.
#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) fn place(_name: &str, _options: &SessionOptions) {}
