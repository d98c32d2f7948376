//! The CLI of the benchmarks: speaks as much of the protocol as every peer needs and costs as little as can be, one
//! read and one write a turn. What it answers is in the message: `flood COUNT BYTES` gives so many messages of that
//! size before the result, `reply BYTES` one answer of that size, anything else a short answer.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

/// A one-shot call takes as long as a very quick start of the real CLI.
const ONE_SHOT: Duration = Duration::from_millis(300);

/// Written at once: what a pipe holds.
const WRITE_BYTES: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let streams = arguments
        .windows(2)
        .any(|pair| pair[0] == "--input-format" && pair[1] == "stream-json");
    let mut session = Session::new();
    if streams {
        session.serve()
    } else {
        thread::sleep(ONE_SHOT);
        session.push_result("ok", "");
        session.flush()
    }
}

struct Session {
    id: String,
    turns: u64,
    out: Vec<u8>,
}

impl Session {
    fn new() -> Self {
        Self {
            id: format!("5e551011-0000-4000-8000-{:012x}", std::process::id()),
            turns: 0,
            out: Vec::new(),
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut input = io::stdin().lock();
        let mut bytes = Vec::new();
        let mut chunk = vec![0; WRITE_BYTES];
        loop {
            let length = input.read(&mut chunk)?;
            if length == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&chunk[..length]);
            while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
                bytes.drain(..=end);
                self.answer(&line)?;
            }
        }
    }

    fn answer(&mut self, line: &str) -> io::Result<()> {
        if line.contains(r#""type":"control_request""#) {
            self.push_control_response(after(line, r#""request_id":""#));
        } else if line.contains(r#""type":"user""#) {
            self.turn(line)?;
        }
        self.flush()
    }

    fn turn(&mut self, line: &str) -> io::Result<()> {
        self.push_init();
        let reply = if let Some([count, bytes]) = numbers(line, r#""flood "#) {
            self.flood(count, bytes)?;
            "done".to_owned()
        } else if let Some([bytes]) = numbers(line, r#""reply "#) {
            words(bytes)
        } else {
            "ok".to_owned()
        };
        self.push_assistant(&reply);
        // The message's own uuid stands last in it.
        let uuid = line
            .rfind(r#""uuid":""#)
            .map_or("", |at| until_quote(&line[at + 8..]));
        self.push_result(&reply, uuid);
        Ok(())
    }

    fn flood(&mut self, count: usize, bytes: usize) -> io::Result<()> {
        let text = words(bytes.saturating_sub(self.assistant("").len() + 1));
        let message = self.assistant(&text);
        for _ in 0..count {
            if self.out.len() + message.len() + 1 > WRITE_BYTES {
                self.flush()?;
            }
            self.push(&message);
        }
        Ok(())
    }

    fn push_init(&mut self) {
        self.push(&format!(
            r#"{{"type":"system","subtype":"init","cwd":"/home/user/project","session_id":"{}","tools":["Task","Bash","Edit","Glob","Grep","Read","WebFetch","WebSearch","Write"],"mcp_servers":[],"model":"claude-sonnet","permissionMode":"default","slash_commands":["clear","compact","context","cost","init"],"apiKeySource":"none","claude_code_version":"2.1.330","output_style":"default","agents":["general-purpose"],"skills":[],"plugins":[],"uuid":"11111111-1111-4111-8111-111111111111"}}"#,
            self.id
        ));
    }

    fn assistant(&self, text: &str) -> String {
        format!(
            r#"{{"type":"assistant","message":{{"model":"claude-sonnet","id":"msg_01","type":"message","role":"assistant","content":[{{"type":"text","text":"{text}"}}],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":5}}}},"parent_tool_use_id":null,"session_id":"{}","uuid":"22222222-2222-4222-8222-222222222222"}}"#,
            self.id
        )
    }

    fn push_assistant(&mut self, text: &str) {
        let message = self.assistant(text);
        self.push(&message);
    }

    /// Its last field is what peers that parse nothing know the end of a turn by.
    fn push_result(&mut self, text: &str, uuid: &str) {
        self.turns += 1;
        let (id, turns) = (&self.id, self.turns);
        let cost = 0.0001 * f64::from(u32::try_from(turns).unwrap_or(u32::MAX));
        let uuids = if uuid.is_empty() {
            String::new()
        } else {
            format!(r#""user_message_uuid":"{uuid}","user_message_uuids":["{uuid}"],"#)
        };
        let line = format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"duration_ms":180,"duration_api_ms":120,"num_turns":1,"result":"{text}","stop_reason":"end_turn","session_id":"{id}","total_cost_usd":{cost:.6},"usage":{{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":5,"service_tier":"standard"}},"modelUsage":{{"claude-sonnet":{{"inputTokens":{},"outputTokens":{},"cacheReadInputTokens":0,"cacheCreationInputTokens":0,"webSearchRequests":0,"costUSD":{cost:.6},"contextWindow":200000}}}},"permission_denials":[],"uuid":"33333333-3333-4333-8333-333333333333",{uuids}"end_of_turn":true}}"#,
            turns * 10,
            turns * 5,
        );
        self.push(&line);
    }

    fn push_control_response(&mut self, request_id: &str) {
        self.push(&format!(
            r#"{{"type":"control_response","response":{{"subtype":"success","request_id":"{request_id}","response":{{"commands":[],"agents":[],"models":[],"account":{{}},"output_style":"default","available_output_styles":["default"]}}}}}}"#
        ));
    }

    fn push(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.push(b'\n');
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

/// JSON text of so many bytes: words, with a line break now and then.
fn words(bytes: usize) -> String {
    const LINE: &str = "a line of plain words, as a model would write them, and then the next one.\\n";
    let mut text = LINE.repeat(bytes / LINE.len() + 1);
    text.truncate(bytes);
    // Cut in the middle of an escape it would be no JSON.
    if text.ends_with('\\') {
        text.pop();
    }
    text
}

/// The numbers behind `key`, up to the quote.
fn numbers<const COUNT: usize>(line: &str, key: &str) -> Option<[usize; COUNT]> {
    let at = line.find(key)? + key.len();
    let found: Result<Vec<usize>, _> = until_quote(&line[at..]).split(' ').map(str::parse).collect();
    found.ok()?.try_into().ok()
}

fn after<'a>(line: &'a str, key: &str) -> &'a str {
    line.find(key)
        .map_or("", |at| until_quote(&line[at + key.len()..]))
}

fn until_quote(text: &str) -> &str {
    text.split('"').next().unwrap_or_default()
}
