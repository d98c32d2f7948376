//! Events on their way into JavaScript: one JSON text for all that are taken at once, since one string and one parse
//! cost less than many values. Lines of the CLI stay strings of their own, parsed when somebody wants them.

use crate::error::envelope;
use crate::host::Item;
use clearctx_core::session::event::{Event, Turn};
use napi::Either;
use napi::bindgen_prelude::Latin1String;
use serde::Serialize;
use std::fmt::Write;

/// Rows being written. Each begins with the number of its session (or fork, or flush) and its kind; the kinds are
/// numbered in `js/host.js`, which also says what follows.
#[derive(Default)]
pub(crate) struct Rows {
    json: String,
    texts: Vec<String>,
}

impl Rows {
    pub(crate) fn push(&mut self, item: Item) {
        match item {
            Item::Session(number, event) => self.event(number, event),
            Item::Done(number, Ok(json)) => self.row(number, 8, &format_args!("{json},null")),
            Item::Done(number, Err(error)) => self.row(number, 8, &format_args!("null,{}", envelope(&error))),
            Item::Warning(reason) => self.row(0, 9, &json(&reason)),
        }
    }

    /// The JSON text, then the texts.
    pub(crate) fn finish(mut self) -> Vec<JsText> {
        self.json.push(']');
        std::iter::once(self.json)
            .chain(self.texts)
            .map(js_text)
            .collect()
    }

    fn event(&mut self, number: u64, event: Event) {
        match event {
            Event::Message { line } => {
                self.texts.push(line);
                self.row(number, 0, &"0");
            }
            Event::Init { session_id, line } => {
                self.texts.push(line.as_ref().to_owned());
                self.row(number, 1, &format_args!("0,{}", json(&session_id)));
            }
            Event::Turn(turn) => self.turn(number, &turn),
            Event::Failed { send, error } => {
                self.row(number, 3, &format_args!("{send},{}", envelope(&error)));
            }
            Event::Stderr(words) => {
                self.texts.push(words);
                self.row(number, 4, &"0");
            }
            Event::Status { status, change } => {
                self.row(number, 5, &format_args!("\"{}\",{change}", status.as_str()));
            }
            Event::Error(error) => self.row(number, 6, &envelope(&error)),
            Event::Close { code, signal } => {
                self.row(number, 7, &format_args!("{},{}", json(&code), json(&signal)));
            }
        }
    }

    fn turn(&mut self, number: u64, turn: &Turn) {
        let (status, change) = turn.status;
        let unsaved = turn.unsaved.as_ref().map_or_else(|| "null".to_owned(), envelope);
        self.row(
            number,
            2,
            &format_args!(
                "{},{},\"{}\",{},{},{},{},\"{}\",{change},{unsaved}",
                json(&turn.send),
                turn.prompt,
                turn.timestamp,
                turn.flags.to_json(),
                turn.response,
                turn.total_cost_usd,
                turn.total_turns,
                status.as_str(),
            ),
        );
    }

    fn row(&mut self, number: u64, kind: u8, rest: &dyn std::fmt::Display) {
        let start = if self.json.is_empty() { '[' } else { ',' };
        // Writing to a string cannot fail.
        let _ = write!(self.json, "{start}[{number},{kind},{rest}]");
    }
}

/// A text on its way into JavaScript.
pub(crate) type JsText = Either<Latin1String, String>;

/// Plain ASCII, as most lines are, is copied; anything else has to be decoded, which takes several times as long.
fn js_text(text: String) -> JsText {
    if text.is_ascii() {
        Either::A(text.into())
    } else {
        Either::B(text)
    }
}

/// Numbers, texts and nothing: they cannot fail to serialize.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
