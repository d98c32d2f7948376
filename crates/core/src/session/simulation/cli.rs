//! A CLI without a process: it takes messages, runs turns, and writes the lines that the real one writes.

use super::once_in;
use fastrand::Rng;
use std::collections::VecDeque;

/// A message as it came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) send: u64,
    uuid: String,
}

/// Whose turn runs.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    Answer(Received),
    Own,
}

/// What a CLI writes around its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// 2.1.330: an init for each turn, which is named in it and in the result.
    Newer,
    /// An init for each turn, no names.
    Older,
    /// One init for the whole process, at its start or with the first turn; no names, no version.
    OneInit,
}

#[derive(Debug)]
pub(super) struct Cli {
    habit: Habit,
    unread: VecDeque<Received>,
    turn: Option<Turn>,
    any_init: bool,
    /// The message answered last, as long as nothing was written since.
    just_answered: Option<Received>,
    /// Control requests that it has not answered: ids, and whether it is an interrupt.
    requests: VecDeque<(String, bool)>,
    /// The turn that runs was interrupted.
    cut: bool,
}

impl Cli {
    pub(super) fn new(habit: Habit) -> Self {
        Self {
            habit,
            unread: VecDeque::new(),
            turn: None,
            any_init: false,
            just_answered: None,
            requests: VecDeque::new(),
            cut: false,
        }
    }

    /// Takes a control request. An interrupt cuts the turn that runs, and misses one that is about to begin.
    pub(super) fn read_request(&mut self, line: &str) {
        let is_interrupt = line.contains("\"interrupt\"");
        self.cut |= is_interrupt && self.turn.is_some();
        let id = part(line, r#""request_id":""#).to_owned();
        self.requests.push_back((id, is_interrupt));
    }

    /// Answers the control request that waits longest, in one of many ways; whether that settles it, and its id.
    pub(super) fn answer_request(&mut self, rng: &mut Rng) -> Option<(String, String)> {
        let (id, is_interrupt) = self.requests.pop_front()?;
        let next = self
            .unread
            .front()
            .filter(|_| is_interrupt && self.habit == Habit::Newer);
        let line = match (rng.u64(..8), next) {
            (0, _) => format!(r#"{{"subtype":"error","request_id":"{id}","error":"no"}}"#),
            (1, _) => r#"{"subtype":"success","request_id":"of nobody"}"#.to_owned(),
            (_, Some(next)) => {
                let queued = format!(r#"{{"still_queued":["{}"]}}"#, next.uuid);
                format!(r#"{{"subtype":"success","request_id":"{id}","response":{queued}}}"#)
            }
            (_, None) => format!(r#"{{"subtype":"success","request_id":"{id}"}}"#),
        };
        Some((id, format!(r#"{{"type":"control_response","response":{line}}}"#)))
    }

    /// Asks for a permission.
    pub(super) fn ask(id: u64) -> String {
        let request = r#"{"subtype":"can_use_tool","tool_name":"Bash","input":{}}"#;
        format!(r#"{{"type":"control_request","request_id":"p{id}","request":{request}}}"#)
    }

    /// Wants the answer to such a request no more.
    pub(super) fn cancel(id: &str) -> String {
        format!(r#"{{"type":"control_cancel_request","request_id":"{id}"}}"#)
    }

    /// The send that a line is of.
    pub(super) fn send_of(line: &str) -> u64 {
        let number = part(line, r#""content":"m"#);
        number.parse().expect("a message is its number")
    }

    /// Takes a line of its input; the send that it is of.
    pub(super) fn read(&mut self, line: &str) -> u64 {
        let send = Self::send_of(line);
        let uuid = part(line, r#""uuid":""#).to_owned();
        self.unread.push_back(Received { send, uuid });
        send
    }

    /// Begins the turn of the next message.
    pub(super) fn begin(&mut self) -> Option<String> {
        if self.turn.is_some() {
            return None;
        }
        let message = self.unread.pop_front()?;
        let needs_init = self.habit != Habit::OneInit || !self.any_init;
        let line = needs_init.then(|| self.init(Some(&message.uuid)));
        self.turn = Some(Turn::Answer(message));
        line
    }

    /// Writes its init before it has anything to do.
    pub(super) fn start(&mut self) -> Option<String> {
        (self.habit == Habit::OneInit && !self.any_init).then(|| self.init(None))
    }

    /// Begins a turn that nobody asked for.
    pub(super) fn begin_own(&mut self) -> Option<String> {
        if self.turn.is_some() || self.habit == Habit::OneInit {
            return None;
        }
        self.turn = Some(Turn::Own);
        Some(self.init(None))
    }

    /// Ends the turn that runs: the line, and whose it was.
    pub(super) fn finish(&mut self, rng: &mut Rng) -> Option<(String, Turn)> {
        let turn = self.turn.take()?;
        let is_cut = std::mem::take(&mut self.cut);
        let is_error = is_cut || once_in(rng, 5);
        let (line, answered) = match &turn {
            Turn::Answer(message) => (self.result(Some(message), is_error), Some(message.clone())),
            Turn::Own => (self.result(None, is_error), None),
        };
        self.just_answered = answered;
        Some((line, turn))
    }

    /// A turn without its init: only by the name in its result can it be known as an answer.
    pub(super) fn answer_without_init(&mut self) -> Option<(String, Turn)> {
        if self.turn.is_some() || self.habit != Habit::Newer {
            return None;
        }
        let message = self.unread.pop_front()?;
        let line = self.result(Some(&message), false);
        self.just_answered = Some(message.clone());
        Some((line, Turn::Answer(message)))
    }

    /// The result before, once more.
    pub(super) fn repeat(&self) -> Option<String> {
        let message = self.just_answered.as_ref()?;
        if !self.any_init || self.habit == Habit::OneInit {
            return None;
        }
        Some(self.result(Some(message), false))
    }

    /// It refuses to start.
    pub(super) fn refuse(&self) -> Option<String> {
        let line = r#"{"type":"result","subtype":"error","is_error":true,"errors":["no such conversation"]}"#;
        (!self.any_init && self.turn.is_none() && self.just_answered.is_none()).then(|| line.to_owned())
    }

    /// Something else.
    pub(super) fn noise(rng: &mut Rng) -> String {
        let lines = [
            "",
            "words",
            "{\"type\":\"assistant\",\"message\":{}}",
            "{\"type\":\"result\"",
            "[]",
        ];
        let at = rng.usize(..5);
        lines[at].to_owned()
    }

    fn init(&mut self, uuid: Option<&str>) -> String {
        self.any_init = true;
        self.just_answered = None;
        let names = self.names(uuid);
        let version = match self.habit {
            Habit::Newer => r#","claude_code_version":"2.1.330""#,
            Habit::Older => r#","claude_code_version":"2.1.197""#,
            Habit::OneInit => "",
        };
        format!(r#"{{"type":"system","subtype":"init","session_id":"s"{names}{version}}}"#)
    }

    fn result(&self, message: Option<&Received>, is_error: bool) -> String {
        let names = self.names(message.map(|message| message.uuid.as_str()));
        let origin = match message {
            Some(_) => "",
            None => r#","origin":{"kind":"task-notification"}"#,
        };
        format!(
            r#"{{"type":"result","result":"r","is_error":{is_error},"num_turns":1,"session_id":"s"{names}{origin}}}"#
        )
    }

    fn names(&self, uuid: Option<&str>) -> String {
        let name = uuid.filter(|_| self.habit == Habit::Newer);
        name.map_or_else(String::new, |uuid| format!(r#","user_message_uuids":["{uuid}"]"#))
    }
}

/// What comes after `before`, up to the next quote.
fn part<'a>(line: &'a str, before: &str) -> &'a str {
    let (_, rest) = line.split_once(before).expect("a message has this part");
    rest.split('"').next().unwrap_or_default()
}
