//! What a line costs, framing and parsing, on lines of the sizes that the CLI writes; and what a commit of turns costs.
//!
//! `cargo bench --no-default-features`

use clearctx_core::protocol::framer::{Framed, Framer};
use clearctx_core::protocol::inbound;
use clearctx_core::store::{Change, Record, Store};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::value::RawValue;

/// Bytes of the text in an `assistant` message.
const SIZES: [usize; 4] = [64, 1024, 16 * 1024, 256 * 1024];

/// Bytes read at once from a pipe.
const CHUNK: usize = 64 * 1024;

const RESULT: &str = r#"{"type":"result","subtype":"success","is_error":false,"duration_ms":180,"num_turns":1,"result":"ok","stop_reason":"end_turn","session_id":"5e551011-0000-4000-8000-000000000001","total_cost_usd":0.0001,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":5},"modelUsage":{"claude-sonnet":{"inputTokens":10,"outputTokens":5,"cacheReadInputTokens":0,"cacheCreationInputTokens":0,"costUSD":0.0001}},"permission_denials":[],"uuid":"33333333-3333-4333-8333-333333333333","user_message_uuids":["11111111-1111-4111-8111-111111111111"]}"#;

fn main() {
    divan::main();
}

fn assistant(bytes: usize) -> String {
    let text = "plain words and a break\\n".repeat(bytes / 25 + 1);
    format!(
        r#"{{"type":"assistant","message":{{"role":"assistant","content":[{{"type":"text","text":"{text}"}}]}},"session_id":"s"}}"#
    )
}

#[divan::bench(args = SIZES)]
fn frame(bencher: Bencher, bytes: usize) {
    let stream = format!("{}\n", assistant(bytes)).repeat((1 << 20) / bytes);
    bencher.counter(BytesCount::of_str(&stream)).bench_local(|| {
        let (mut framer, mut lines) = (Framer::new(1 << 24, inbound::RESULT_MARK), 0_usize);
        for chunk in stream.as_bytes().chunks(CHUNK) {
            framer.push(chunk, |framed| {
                lines += usize::from(matches!(framed, Framed::Line(_)));
            });
        }
        lines
    });
}

#[divan::bench(args = SIZES)]
fn parse_content(bencher: Bencher, bytes: usize) {
    let line = assistant(bytes);
    bencher
        .counter(BytesCount::of_str(&line))
        .bench_local(|| inbound::parse(black_box(&line)));
}

#[divan::bench]
fn parse_result(bencher: Bencher) {
    bencher
        .counter(BytesCount::of_str(RESULT))
        .bench_local(|| inbound::parse(black_box(RESULT)));
}

/// A record as sessions keep it.
const RECORD: &str = r#"{"name":"s","claudeSessionId":"5e551011-0000-4000-8000-000000000001","status":"ready","model":"sonnet","workDir":"/home/someone/project","permissionMode":"default","allowedTools":[],"systemPrompt":"","maxBudget":null,"agent":null,"totalCostUsd":0.25,"totalTurns":12,"interactions":[],"created":"2026-11-22T06:10:28.562Z","timeout":600000,"tags":[],"newSessionId":"5e551011-0000-4000-8000-000000000001","owner":{"host":"0b8f0c5e-3a55-4d0c-9a0e-3b6c3a0f8a11","pid":4711,"instance":"the instance"},"pid":4712,"pending":[],"cliTotals":{"costUsd":0.25,"tokens":2500,"onDisk":null}}"#;

/// What is stored when a turn has ended.
const TURN: &str = r#"{"prompt":"what is left to do?","response":{"success":true,"text":"nothing","cost":0.0001,"turns":1,"duration":180,"sessionId":"5e551011-0000-4000-8000-000000000001","isError":false},"timestamp":"2026-11-22T06:10:28.562Z"}"#;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

fn turn(name: &str) -> Change {
    let mut fields = Record::new();
    fields.set("claudeSessionId", "5e551011-0000-4000-8000-000000000001");
    fields.set("status", "ready");
    fields.set("pid", 4712);
    fields.set_raw("pending", &raw("[]"));
    fields.set("totalCostUsd", 0.26);
    fields.set("totalTurns", 13);
    Change::Turn {
        name: name.to_owned(),
        instance: Some("the owner".into()),
        interaction: raw(TURN),
        fields,
    }
}

/// Commits of so many turns, each of another session; `sessions.json` is too big to be rewritten at once.
#[divan::bench(args = [1, 10, 100])]
fn commit(bencher: Bencher, turns: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    let record = || Record::from_json(RECORD).expect("a record");
    let put = |name: String| Change::Put {
        name,
        record: record(),
        only_if_free: false,
    };
    let mut padding = record();
    padding.set("padding", "x".repeat(1 << 20));
    let padding = Change::Put {
        name: "big".to_owned(),
        record: padding,
        only_if_free: false,
    };
    let all = (0..turns).map(|n| put(n.to_string())).chain([padding]);
    store.apply(all.collect::<Vec<_>>()).expect("a commit");
    bencher
        .with_inputs(|| (0..turns).map(|n| turn(&n.to_string())).collect::<Vec<_>>())
        .counter(ItemsCount::new(turns))
        .bench_local_values(|changes| store.apply(changes).expect("a commit"));
}
