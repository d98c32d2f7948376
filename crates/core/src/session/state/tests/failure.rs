//! Why a turn failed, and why a session ended.

use super::*;
use crate::protocol::failure::FailureKind;

const FOREIGN_ERROR: &str = r#","subtype":"error_during_execution","result":null,"errors":["only prompts"],"origin":{"kind":"task-notification"}"#;

/// The first error among the outcomes of sends.
fn failed(effects: &Effects) -> &Error {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Emit(Event::Failed { error, .. }) => Some(error),
        _ => None,
    });
    found.expect("a send failed")
}

#[test]
fn the_end_of_a_process_has_the_words_of_an_error_that_answered_nothing() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.send(2);
    bench.result(FOREIGN_ERROR);
    let effects = bench.state.on_exit(Some(1), None, "");
    let error = failed(&effects);
    assert_eq!(
        (error.code(), error.failure().map(|failure| failure.kind)),
        ("ERR_PROCESS_EXITED", Some(FailureKind::Other))
    );
    assert!(
        error.to_string().ends_with("exited with code 1: only prompts"),
        "{error}"
    );
}

#[test]
fn such_words_are_forgotten_once_a_turn_begins() {
    let mut bench = Bench::new();
    bench.send(1);
    bench.init();
    bench.result("");
    bench.result(FOREIGN_ERROR);
    bench.send(2);
    bench.init();
    let effects = bench.state.on_exit(Some(1), None, "other words");
    assert!(
        failed(&effects)
            .to_string()
            .ends_with("exited with code 1: other words")
    );
}
