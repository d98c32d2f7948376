//! Pieces of an answer on their way to the program: joined for an interval, and dropped, with a count, while the program does
//! not keep up. A listener who is slow never holds up a turn, nor takes memory.

use super::event::{Delta, Event};
use super::turn;
use crate::protocol::partial::Piece;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The pieces of one process.
#[derive(Debug)]
pub(super) struct Deltas {
    interval: Duration,
    pending: Option<Pending>,
    /// Ids of the tool calls of the present message, by block.
    tools: HashMap<u64, String>,
    /// Pieces that were dropped, and their bytes.
    dropped: (u64, u64),
}

#[derive(Debug)]
struct Pending {
    kind: Kind,
    /// The inside of a JSON string.
    text: String,
    since: Instant,
    pieces: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    ToolInput(String),
}

impl Deltas {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            pending: None,
            tools: HashMap::new(),
            dropped: (0, 0),
        }
    }

    /// When the pieces so far are to be emitted.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.since + self.interval)
    }

    /// Takes a piece. Returns whether something must be emitted before it is joined: the caller calls [`Deltas::take`] and
    /// then this again.
    pub(super) fn add(&mut self, piece: Piece, now: Instant) -> Result<(), Piece> {
        let (kind, text) = match piece {
            Piece::Text(text) => (Kind::Text, text),
            Piece::Thinking(text) => (Kind::Thinking, text),
            Piece::ToolInput { index, json } => {
                let id = self.tools.get(&index).cloned().unwrap_or_default();
                return self.join(Kind::ToolInput(id), json, now, |json| Piece::ToolInput {
                    index,
                    json,
                });
            }
            Piece::Tool { index, id } => {
                self.tools.insert(index, id);
                return Ok(());
            }
            Piece::Nothing => return Ok(()),
        };
        let again = match kind {
            Kind::Text => Piece::Text,
            _ => Piece::Thinking,
        };
        self.join(kind, text, now, again)
    }

    fn join(
        &mut self,
        kind: Kind,
        text: String,
        now: Instant,
        again: impl FnOnce(String) -> Piece,
    ) -> Result<(), Piece> {
        match &mut self.pending {
            Some(pending) if pending.kind == kind && pending.since + self.interval > now => {
                pending.text.push_str(&text);
                pending.pieces += 1;
            }
            Some(_) => return Err(again(text)),
            None => {
                self.pending = Some(Pending {
                    kind,
                    text,
                    since: now,
                    pieces: 1,
                });
            }
        }
        Ok(())
    }

    /// What is to be emitted now. Without room it is dropped and counted.
    pub(super) fn take(&mut self, send: Option<u64>, has_room: bool) -> Vec<Event> {
        let Some(pending) = self.pending.take() else {
            return Vec::new();
        };
        if !has_room {
            self.dropped.0 += pending.pieces;
            self.dropped.1 += pending.text.len() as u64;
            return Vec::new();
        }
        let mut events = self.gap(send);
        let text = turn::raw(format!("\"{}\"", pending.text));
        let delta = match pending.kind {
            Kind::Text => Delta::Text { text },
            Kind::Thinking => Delta::Thinking { thinking: text },
            Kind::ToolInput(id) => Delta::ToolInput {
                id: turn::raw(format!("\"{id}\"")),
                json: text,
            },
        };
        events.push(Event::Delta { send, delta });
        events
    }

    /// What was dropped, if anything was: told before whatever comes next.
    pub(super) fn gap(&mut self, send: Option<u64>) -> Vec<Event> {
        match std::mem::take(&mut self.dropped) {
            (0, _) => Vec::new(),
            (deltas, bytes) => vec![Event::Gap { send, deltas, bytes }],
        }
    }

    /// A message is over: the blocks of the next one are others.
    pub(super) fn end_message(&mut self) {
        self.tools.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn json(events: &[Event]) -> String {
        serde_json::to_string(events).expect("it is written")
    }

    #[test]
    fn pieces_of_a_kind_are_joined_for_an_interval() {
        let mut deltas = Deltas::new(INTERVAL);
        let now = Instant::now();
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(deltas.add(text(r"a\ud83d"), now), Ok(()));
        assert_eq!(deltas.add(text(r"\ude00"), now), Ok(()));
        assert_eq!(deltas.add(text("late"), now + INTERVAL), Err(text("late")));
        assert_eq!(
            json(&deltas.take(Some(1), true)),
            r#"[{"type":"delta","send":1,"delta":{"kind":"text","text":"a\ud83d\ude00"}}]"#
        );
        assert_eq!(deltas.add(Piece::Thinking("t".to_owned()), now), Ok(()));
        assert!(deltas.add(text("x"), now).is_err(), "another kind");
    }

    #[test]
    fn a_tool_input_names_its_call() {
        let mut deltas = Deltas::new(INTERVAL);
        let now = Instant::now();
        let id = "t1".to_owned();
        assert_eq!(deltas.add(Piece::Tool { index: 3, id }, now), Ok(()));
        let json_text = r#"{\"a\""#.to_owned();
        let input = Piece::ToolInput {
            index: 3,
            json: json_text,
        };
        assert_eq!(deltas.add(input, now), Ok(()));
        assert_eq!(
            json(&deltas.take(None, true)),
            r#"[{"type":"delta","send":null,"delta":{"kind":"tool_input","id":"t1","json":"{\"a\""}}]"#
        );
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_before_the_next() {
        let mut deltas = Deltas::new(INTERVAL);
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(deltas.add(Piece::Text("ab".to_owned()), now), Ok(()));
        }
        assert!(deltas.take(None, false).is_empty());
        assert_eq!(deltas.add(Piece::Text("c".to_owned()), now), Ok(()));
        let told = json(&deltas.take(None, true));
        assert!(
            told.starts_with(r#"[{"type":"gap","send":null,"deltas":2,"bytes":4},{"type":"delta""#),
            "{told}"
        );
        assert!(deltas.gap(None).is_empty());
    }
}
