//! What a line costs: framing and parsing, on lines of the sizes that the CLI writes.
//!
//! `cargo bench --no-default-features`

use clearctx::protocol::framer::{Framed, Framer};
use clearctx::protocol::inbound;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

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
