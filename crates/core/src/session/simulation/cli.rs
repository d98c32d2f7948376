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

#[derive(Debug)]
pub(super) struct Cli {
    /// 2.1.330 names the messages of a turn; an older one does not.
    newer: bool,
    unread: VecDeque<Received>,
    turn: Option<Turn>,
    any_init: bool,
    /// The message answered last, as long as nothing was written since.
    just_answered: Option<Received>,
}

impl Cli {
    pub(super) fn new(newer: bool) -> Self {
        Self {
            newer,
            unread: VecDeque::new(),
            turn: None,
            any_init: false,
            just_answered: None,
        }
    }

    /// Takes a line of its input; the send that it is of.
    pub(super) fn read(&mut self, line: &str) -> u64 {
        let cut = |before: &str| {
            let (_, rest) = line.split_once(before).expect("a message has this part");
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let send = cut(r#""content":"m"#).parse().expect("a message is its number");
        let uuid = cut(r#""uuid":""#);
        self.unread.push_back(Received { send, uuid });
        send
    }

    /// Begins the turn of the next message.
    pub(super) fn begin(&mut self) -> Option<String> {
        if self.turn.is_some() {
            return None;
        }
        let message = self.unread.pop_front()?;
        let line = self.init(Some(&message.uuid));
        self.turn = Some(Turn::Answer(message));
        Some(line)
    }

    /// Begins a turn that nobody asked for.
    pub(super) fn begin_own(&mut self) -> Option<String> {
        if self.turn.is_some() {
            return None;
        }
        self.turn = Some(Turn::Own);
        Some(self.init(None))
    }

    /// Ends the turn that runs: the line, and whose it was.
    pub(super) fn finish(&mut self, rng: &mut Rng) -> Option<(String, Turn)> {
        let turn = self.turn.take()?;
        let is_error = once_in(rng, 5);
        let (line, answered) = match &turn {
            Turn::Answer(message) => (self.result(Some(message), is_error), Some(message.clone())),
            Turn::Own => (self.result(None, is_error), None),
        };
        self.just_answered = answered;
        Some((line, turn))
    }

    /// A turn without its init: only by the name in its result can it be known as an answer.
    pub(super) fn answer_without_init(&mut self) -> Option<(String, Turn)> {
        if self.turn.is_some() || !self.newer {
            return None;
        }
        let message = self.unread.pop_front()?;
        let line = self.result(Some(&message), false);
        self.just_answered = Some(message.clone());
        Some((line, Turn::Answer(message)))
    }

    /// The result before, once more.
    pub(super) fn repeat(&self) -> Option<String> {
        let message = self.just_answered.as_ref().filter(|_| self.any_init)?;
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
        format!(r#"{{"type":"system","subtype":"init","session_id":"s"{names}}}"#)
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
        let name = uuid.filter(|_| self.newer);
        name.map_or_else(String::new, |uuid| format!(r#","user_message_uuids":["{uuid}"]"#))
    }
}
