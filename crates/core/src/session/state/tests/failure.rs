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

#[test]
fn turns_are_counted_where_the_version_does_not_say_them_right() {
    const MODEL: &str = r#"{"type":"assistant","message":{"model":"m","content":[{"type":"tool_use"}]},"parent_tool_use_id":null}"#;
    const TOOL: &str = r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}"#;
    const COMMAND: &str =
        r#"{"type":"assistant","message":{"model":"<synthetic>","content":[{"type":"text","text":"cost"}]}}"#;
    for (version, expected) in [
        ("2.0.0", [2, 3, 3]),
        ("2.1.112", [2, 3, 3]),
        ("2.1.120", [9, 18, 27]),
    ] {
        let mut bench = Bench::new();
        let init = format!(
            r#"{{"type":"system","subtype":"init","session_id":"s","claude_code_version":"{version}"}}"#
        );
        for (lines, total) in [vec![MODEL, TOOL, MODEL], vec![MODEL], vec![COMMAND]]
            .into_iter()
            .zip(expected)
        {
            bench.send(total);
            bench.line(&init);
            for line in lines {
                bench.line(line);
            }
            bench.line(r#"{"type":"result","result":"r","num_turns":9,"session_id":"s"}"#);
            assert_eq!(bench.state.totals().1, total, "{version}");
        }
    }
}

#[test]
fn a_session_that_ended_unasked_says_why_to_whoever_comes_later() {
    let later = |bench: &Bench| match bench.state.require_alive() {
        Err(Error::SessionNotAlive { reason, .. }) => reason.map(|reason| reason.code()),
        other => panic!("it is not alive: {other:?}"),
    };
    let mut crashed = Bench::new();
    crashed.send(1);
    crashed.state.on_exit(Some(3), None, "");
    assert_eq!(later(&crashed), Some("ERR_PROCESS_EXITED"));

    let mut refused = Bench::new();
    refused.send(1);
    refused.result(r#","subtype":"error_during_execution","is_error":true"#);
    assert_eq!(
        later(&refused),
        Some("ERR_START_FAILED"),
        "before the process has ended"
    );
    refused.state.on_exit(Some(1), None, "");
    assert_eq!(later(&refused), Some("ERR_START_FAILED"));

    let mut killed = Bench::new();
    killed.state.kill(killed.now);
    killed.state.on_exit(None, Some("SIGKILL".into()), "");
    assert_eq!(later(&killed), None);
}
