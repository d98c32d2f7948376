//! Warnings about problems that belong to no call and no session. Each warning is given once in the process, to one
//! listener. If there is no listener yet, it waits.

use crate::limits;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::{Arc, Weak};

/// A warning, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable code: `CLEARCTX_...`.
    pub code: &'static str,
    /// The problem and its consequence.
    pub message: String,
}

/// Passes warnings on to people.
pub trait Listener: Send + Sync {
    /// Takes a warning; `false` if it can no longer pass any on. Called with locks held, so it must not block.
    fn hear(self: Arc<Self>, warning: &Warning) -> bool;
}

struct Warnings {
    /// Codes of earlier warnings, with what each was about.
    known: Vec<(&'static str, String)>,
    waiting: Vec<Warning>,
    listeners: Vec<Weak<dyn Listener>>,
}

static WARNINGS: Mutex<Warnings> = Mutex::new(Warnings {
    known: Vec::new(),
    waiting: Vec::new(),
    listeners: Vec::new(),
});

/// Warns, unless there was a warning of this code before.
pub(crate) fn warn(code: &'static str, message: String) {
    warn_about(code, String::new(), message);
}

/// Warns, unless there was a warning of this code about the same thing before.
pub(crate) fn warn_about(code: &'static str, thing: String, message: String) {
    let mut warnings = WARNINGS.lock();
    let known = (code, thing);
    if !warnings.known.contains(&known) && warnings.known.len() < limits::KNOWN_WARNINGS {
        warnings.known.push(known);
        warnings.waiting.push(Warning { code, message });
        warnings.hand_on();
    }
}

/// Sends warnings to `listener` as long as it lives.
pub fn listen(listener: &Arc<impl Listener + 'static>) {
    let shared: Arc<dyn Listener> = listener.clone();
    let mut warnings = WARNINGS.lock();
    warnings.listeners.retain(|known| known.strong_count() > 0);
    warnings.listeners.push(Arc::downgrade(&shared));
    warnings.hand_on();
}

impl Warnings {
    fn hand_on(&mut self) {
        let listeners: Vec<_> = self.listeners.iter().filter_map(Weak::upgrade).collect();
        let is_heard = |warning: &Warning| {
            listeners
                .iter()
                .any(|listener| Arc::clone(listener).hear(warning))
        };
        self.waiting.retain(|warning| !is_heard(warning));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Heard(Mutex<Vec<String>>, bool);

    impl Listener for Heard {
        fn hear(self: Arc<Self>, warning: &Warning) -> bool {
            // Other tests warn, too.
            if self.1 && warning.code == "CLEARCTX_A_TEST" {
                self.0.lock().push(warning.message.clone());
            }
            self.1
        }
    }

    #[test]
    fn a_warning_waits_for_a_listener_and_is_given_once() {
        let listener = |is_alive| Arc::new(Heard(Mutex::default(), is_alive));
        warn("CLEARCTX_A_TEST", "first".to_owned());
        warn("CLEARCTX_A_TEST", "again".to_owned());
        let (over, first, second) = (listener(false), listener(true), listener(true));
        for listener in [&over, &first, &second] {
            listen(listener);
        }
        let heard = [&over, &first, &second].map(|listener| listener.0.lock().clone());
        assert_eq!(heard, [vec![], vec!["first".to_owned()], vec![]]);
    }
}
