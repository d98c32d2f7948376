//! Defects on demand, to show that one fails its session and nothing else. Compiled in with the feature `faults`
//! alone, which no package has: then a session panics at the place that its own `env` names.

use crate::options::SessionOptions;

/// Names the place.
#[cfg(feature = "faults")]
pub const VARIABLE: &str = "CLEARCTX_FAULT";

/// Does nothing, unless the session was told to fail here.
///
/// # Panics
/// Then.
#[cfg(feature = "faults")]
pub fn place(name: &str, options: &SessionOptions) {
    let wanted = options.run.env.get(VARIABLE).and_then(Option::as_deref);
    assert!(wanted != Some(name), "a fault at \"{name}\" was asked for");
}

/// Nothing.
#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) fn place(_name: &str, _options: &SessionOptions) {}
