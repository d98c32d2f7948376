//! The recorded lines, and made ones for what no recording shows.

use super::*;
use crate::protocol::inbound::{self, Content, Frame};
use std::fs;
use std::path::Path;

/// The failures of the results among these lines.
fn failures(lines: &str) -> Vec<Option<Failure>> {
    let mut signs = Signs::default();
    let mut found = Vec::new();
    for line in lines.lines() {
        match inbound::parse(line) {
            Frame::Content(Content::Model, _) => signs.on_answer(),
            Frame::Content(Content::Error(error), _) => signs.on_error(*error),
            Frame::Retry(retry) => drop(signs.on_retry(retry)),
            Frame::UsageLimit(limit) => signs.on_limit(limit),
            Frame::Refusal => signs.on_refusal(),
            Frame::Result(result) => found.push(signs.conclude(&result)),
            _ => {}
        }
    }
    found
}

fn recorded(name: &str) -> Vec<Option<(FailureKind, Option<u16>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures/transcripts");
    let lines = fs::read(folder.join(format!("{name}.ndjson"))).expect("the recording is there");
    let found = failures(&String::from_utf8_lossy(&lines));
    let shown = |failure: Failure| (failure.kind, failure.status);
    found.into_iter().map(|failure| failure.map(shown)).collect()
}

/// The failure of one result line with these fields.
fn failure(fields: &str) -> Option<Failure> {
    let found = failures(&format!(r#"{{"type":"result",{fields}}}"#));
    found.into_iter().next().expect("it is a result")
}

fn kind(fields: &str) -> Option<FailureKind> {
    failure(fields).map(|failure| failure.kind)
}

fn kind_of_text(text: &str) -> Option<FailureKind> {
    kind(&format!(
        r#""subtype":"success","is_error":true,"result":"{text}""#
    ))
}

#[test]
fn the_recorded_failures_have_their_kinds() {
    use FailureKind::{Auth, Budget, InvalidRequest, MaxTurns, Other, Overloaded, Refused};
    assert_eq!(recorded("error-400"), [Some((InvalidRequest, Some(400))), None]);
    assert_eq!(recorded("error-401-last"), [Some((Auth, Some(401)))]);
    assert_eq!(recorded("error-529"), [Some((Overloaded, Some(529)))]);
    assert_eq!(recorded("error-no-credentials"), [Some((Auth, None))]);
    assert_eq!(recorded("error-refusal"), [Some((Refused, None))]);
    assert_eq!(
        recorded("max-budget"),
        [Some((Budget, None)), Some((Budget, None))]
    );
    assert_eq!(recorded("max-turns"), [Some((MaxTurns, None)), None]);
    assert_eq!(recorded("resume-unknown"), [Some((Other, None))]);
    for healthy in [
        "error-429-retry-after",
        "error-500-recovers",
        "stream-cut",
        "v330-plain",
        "tool-bash-denied",
    ] {
        assert!(recorded(healthy).iter().all(Option::is_none), "{healthy}");
    }
}

#[test]
fn a_failure_is_there_exactly_if_the_result_is_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures/transcripts");
    for file in fs::read_dir(folder).expect("the recordings are there").flatten() {
        let lines = String::from_utf8_lossy(&fs::read(file.path()).expect("it is read")).into_owned();
        let errors: Vec<bool> = lines
            .lines()
            .filter_map(|line| match inbound::parse(line) {
                Frame::Result(result) => Some(result.is_error),
                _ => None,
            })
            .collect();
        let found: Vec<bool> = failures(&lines).iter().map(Option::is_some).collect();
        assert_eq!(found, errors, "{}", file.path().display());
    }
}

const REJECTED: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1795542204,"rateLimitType":"five_hour"}}"#;
const HIT: &str = r#"{"type":"assistant","message":{"model":"<synthetic>","content":[]},"parent_tool_use_id":null,"error":"rate_limit","api_error_status":429,"api_error":"usage_limit_reached"}"#;
const LIMITED: &str = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"result":"You've hit your limit"}"#;

#[test]
fn a_usage_limit_says_when_it_ends() {
    let expected = Failure {
        status: Some(429),
        resets_at: Some(1_795_542_204_000),
        ..FailureKind::UsageLimit.into()
    };
    // The event comes when something has changed: the second message meets the same limit.
    let found = failures(&[REJECTED, HIT, LIMITED, HIT, LIMITED].join("\n"));
    assert_eq!(found, [Some(expected), Some(expected)]);
    // Versions before 2.1.330 have no word for the cause.
    let found = failures(&[REJECTED, LIMITED].join("\n"));
    assert_eq!(found, [Some(expected)]);
    let warned = REJECTED.replace("rejected", "allowed_warning");
    assert_eq!(
        failures(&[&warned, LIMITED].join("\n"))[0].map(|failure| failure.kind),
        Some(FailureKind::RateLimit)
    );
}

#[test]
fn without_an_answer_it_is_the_network() {
    let retry = r#"{"type":"system","subtype":"api_retry","attempt":1,"retry_delay_ms":550.7,"error_status":null,"error":"unknown"}"#;
    let word = r#"{"type":"assistant","message":{"model":"<synthetic>"},"error":"server_error"}"#;
    let result =
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":null,"result":"x"}"#;
    for lines in [vec![retry, word, result], vec![word, result], vec![retry, result]] {
        let found = failures(&lines.join("\n"));
        assert_eq!(found, [Some(FailureKind::Network.into())], "{lines:?}");
    }
    let answer = r#"{"type":"assistant","message":{"model":"m"},"parent_tool_use_id":null}"#;
    let execution = r#"{"type":"result","subtype":"error_during_execution","errors":["x"]}"#;
    let found = failures(&[retry, answer, execution].join("\n"));
    assert_eq!(found, [Some(FailureKind::Other.into())], "the retry has worked");
}

#[test]
fn a_retry_has_a_failure_of_its_own() {
    let retry = |status: u16, word: &str| {
        Signs::default().on_retry(Retry {
            attempt: 1,
            delay_ms: 1999.6,
            error: ApiError {
                status: Some(status),
                word: Some(word.to_owned()),
                ..ApiError::default()
            },
        })
    };
    let limited = retry(429, "rate_limit");
    assert_eq!(
        (limited.kind, limited.status, limited.retry_after),
        (FailureKind::RateLimit, Some(429), Some(2000))
    );
    let auth = retry(401, "authentication_failed");
    assert_eq!((auth.kind, auth.retry_after), (FailureKind::Auth, None));
    assert_eq!(retry(500, "server_error").kind, FailureKind::Server);
}

#[test]
fn what_only_the_form_or_the_status_tells() {
    let with_status = |status: u16, text: &str| {
        kind(&format!(
            r#""subtype":"success","is_error":true,"api_error_status":{status},"result":"{text}""#
        ))
    };
    assert_eq!(with_status(413, "Request too large"), Some(FailureKind::TooLong));
    assert_eq!(
        with_status(400, "API Error: 400 prompt is too long: 210000 tokens"),
        Some(FailureKind::TooLong)
    );
    assert_eq!(
        with_status(404, "no such model"),
        Some(FailureKind::InvalidRequest)
    );
    assert_eq!(with_status(503, "x"), Some(FailureKind::Server));
    assert_eq!(
        kind(r#""subtype":"error_max_structured_output_retries""#),
        Some(FailureKind::Schema)
    );
    // Up to 2.1.61.
    assert_eq!(
        kind(r#""subtype":"error_max_budget_usd","is_error":false"#),
        Some(FailureKind::Budget)
    );
    assert_eq!(
        kind(r#""subtype":"success","stop_reason":"refusal""#),
        Some(FailureKind::Refused)
    );
    assert_eq!(
        kind(r#""subtype":"success","result":"API Error: 500""#),
        None,
        "text of the model"
    );
}

#[test]
fn text_is_the_last_resort() {
    assert_eq!(
        kind_of_text("Invalid API key · Please run /login"),
        Some(FailureKind::Auth)
    );
    assert_eq!(
        kind_of_text("API Error: 500 something"),
        Some(FailureKind::Server)
    );
    assert_eq!(
        kind_of_text("API Error: Connection error."),
        Some(FailureKind::Network)
    );
    assert_eq!(
        kind_of_text("Claude AI usage limit reached|1755806400"),
        Some(FailureKind::UsageLimit)
    );
    assert_eq!(kind_of_text("Prompt is too long"), Some(FailureKind::TooLong));
    assert_eq!(kind_of_text("something else"), Some(FailureKind::Other));
}
