//! Reads the CLI's transcript of a conversation to find out what became of certain messages.
//!
//! The transcript is `projects/DIRECTORY/ID.jsonl` in the CLI's configuration directory; DIRECTORY is derived from the
//! working directory. A message of ours is a line of type `user` with our uuid. The answer is in `assistant` lines after
//! it, the last of which has a `stop_reason` other than `tool_use`. docs/protocol.md has the measurements.

use crate::fs::conversation_lock::ConfigDirId;
use crate::options::{CallerEnv, RunOptions, variable_name};
use crate::protocol::failure::ApiError;
use crate::protocol::inbound::model_call;
use crate::protocol::json_text;
use crate::protocol::usage::ModelCall;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The tags around the output of a local command (`/cost`).
const LOCAL_OUTPUT: (&str, &str) = ("<local-command-stdout>", "</local-command-stdout>");

/// The variable that names the user's directory.
const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// What the transcript tells of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// What became of it.
    pub fate: Fate,
    /// The requests to models in its turn.
    pub calls: Vec<ModelCall>,
}

impl Told {
    /// Nothing: the conversation does not have the message.
    pub(crate) fn nothing() -> Self {
        Self {
            fate: Fate::Unsent,
            calls: Vec::new(),
        }
    }
}

/// The fate of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The conversation does not have it.
    Unsent,
    /// The conversation has it, but no complete answer to it.
    Unanswered,
    /// It was answered.
    Answered(Answer),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its text.
    pub text: String,
    /// Whether it is the CLI's report of an error of the API.
    pub is_error: bool,
    /// What it says of that error.
    pub api_error: ApiError,
    /// When it came, ISO 8601, if the transcript says so.
    pub at: Option<String>,
}

/// The file of a conversation, if there is one. `run.env` goes over the caller's environment.
#[must_use]
pub(crate) fn find(
    conversation: &str,
    work_dir: &str,
    run: &RunOptions,
    caller: &CallerEnv,
) -> Option<PathBuf> {
    // Checked, since it becomes part of a path.
    let id = uuid::Uuid::parse_str(conversation).ok()?;
    let name = format!("{}.jsonl", id.hyphenated());
    let projects = config_dir(run, caller)?.join("projects");
    let usual = projects.join(folder(work_dir)).join(&name);
    if usual.is_file() {
        return Some(usual);
    }
    // The CLI shortens long paths, and a `/cd` of a session moves it.
    let folders = fs::read_dir(projects).ok()?.flatten();
    folders
        .map(|folder| folder.path().join(&name))
        .find(|path| path.is_file())
}

/// The CLI's configuration directory.
#[must_use]
pub(crate) fn config_dir_id(run: &RunOptions, caller: &CallerEnv) -> ConfigDirId {
    ConfigDirId::of(&config_dir(run, caller).unwrap_or_default())
}

fn config_dir(run: &RunOptions, caller: &CallerEnv) -> Option<PathBuf> {
    let variable = |name: &str| {
        let name = variable_name(name);
        let value = match run.env.get(&name) {
            Some(value) => value.as_ref(),
            None => caller.env.get(&name),
        };
        value.filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    variable("CLAUDE_CONFIG_DIR")
        .or_else(|| Some(variable(HOME).or_else(std::env::home_dir)?.join(".claude")))
}

/// The CLI's name for a working directory: all but letters and digits becomes `-`.
fn folder(work_dir: &str) -> String {
    let real = fs::canonicalize(work_dir).unwrap_or_else(|_| PathBuf::from(work_dir));
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    // In UTF-16 units, as JavaScript replaces them.
    let text = real.to_string_lossy();
    text.encode_utf16()
        .map(|unit| char::from_u32(unit.into()).map_or('-', letter))
        .collect()
}

/// What is told of the messages with these uuids, in the same order.
pub(crate) fn look_up(path: &Path, uuids: &[&str]) -> io::Result<Vec<Told>> {
    let mut reading = Reading {
        uuids,
        told: vec![Told::nothing(); uuids.len()],
        current: None,
    };
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        reading.take(&line);
        line.clear();
    }
    Ok(reading.told)
}

struct Reading<'a> {
    uuids: &'a [&'a str],
    told: Vec<Told>,
    /// The message whose turn the present line belongs to.
    current: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    subtype: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uuid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    is_sidechain: Option<bool>,
    #[serde(default)]
    is_meta: Option<bool>,
    #[serde(default)]
    is_api_error_message: Option<bool>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

impl Line<'_> {
    fn message(&self) -> Option<Message<'_>> {
        serde_json::from_str(self.message?.get()).ok()
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
}

impl Reading<'_> {
    fn take(&mut self, line: &[u8]) {
        // Most of a transcript is before the wanted messages and need not be parsed.
        let named = |uuid: &&str| memchr::memmem::find(line, uuid.as_bytes()).is_some();
        if self.current.is_none() && !self.uuids.iter().any(named) {
            return;
        }
        let text = String::from_utf8_lossy(line);
        // A line that was torn by a kill is skipped.
        let Ok(line) = serde_json::from_str::<Line<'_>>(&text) else {
            return;
        };
        // Subagents cost money, too.
        self.take_call(&line);
        if line.is_sidechain == Some(true) || line.is_meta == Some(true) {
            return;
        }
        match &*line.kind {
            "user" => self.take_user(&line),
            "assistant" => self.take_assistant(&line),
            "system" if line.subtype.as_deref() == Some("local_command") => {
                let words = line.content.and_then(json_text::decode).unwrap_or_default();
                let (before, after) = LOCAL_OUTPUT;
                let words = words.strip_prefix(before).unwrap_or(&words);
                let words = words.strip_suffix(after).unwrap_or(words);
                self.answer(words.to_owned(), false, &line);
            }
            _ => {}
        }
    }

    fn take_call(&mut self, line: &Line<'_>) {
        let message = line.message.filter(|_| line.kind == "assistant");
        if let (Some(index), Some(call)) = (self.current, message.and_then(model_call)) {
            self.told[index].calls.push(call);
        }
    }

    fn take_user(&mut self, line: &Line<'_>) {
        let ours = self
            .uuids
            .iter()
            .position(|uuid| line.uuid.as_deref() == Some(uuid));
        if let Some(index) = ours {
            self.current = Some(index);
            // The message may have been seen already: a fork copies lines, and a resume may write them again.
            let fate = &mut self.told[index].fate;
            if *fate == Fate::Unsent {
                *fate = Fate::Unanswered;
            }
            return;
        }
        let Some(index) = self.current else { return };
        let content = line.message().and_then(|message| message.content);
        let blocks = content.map(blocks).unwrap_or_default();
        let goes_on = blocks.iter().any(|block| block.kind == "tool_result");
        if goes_on {
            // The CLI asks the model again.
            self.told[index].fate = Fate::Unanswered;
        } else {
            // This includes `[Request interrupted by user]`: a complete answer before it stays one.
            self.current = None;
        }
    }

    fn take_assistant(&mut self, line: &Line<'_>) {
        let (Some(index), Some(message)) = (self.current, line.message()) else {
            return;
        };
        let is_error = line.is_api_error_message == Some(true);
        // The CLI writes this in the place of an answer that never came.
        if message.model.as_deref() == Some("<synthetic>") && !is_error {
            return;
        }
        let blocks = message.content.map(blocks).unwrap_or_default();
        match message.stop_reason.as_deref() {
            Some("tool_use" | "pause_turn") => self.told[index].fate = Fate::Unanswered,
            Some(_) if blocks.iter().any(|block| block.kind == "text") => {
                self.answer(blocks_text(message.content, &blocks), is_error, line);
            }
            _ => {}
        }
    }

    fn answer(&mut self, text: String, is_error: bool, line: &Line<'_>) {
        if let Some(index) = self.current {
            self.told[index].fate = Fate::Answered(Answer {
                text,
                is_error,
                api_error: ApiError {
                    word: line.error.and_then(json_text::decode),
                    ..ApiError::default()
                },
                at: line.timestamp.as_deref().map(str::to_owned),
            });
        }
    }
}

fn blocks(content: &RawValue) -> Vec<Block<'_>> {
    serde_json::from_str(content.get()).unwrap_or_default()
}

/// The last text of a content, which is the text of a result.
fn blocks_text(content: Option<&RawValue>, blocks: &[Block<'_>]) -> String {
    let last = blocks.iter().rev().find_map(|block| block.text);
    last.or(content).and_then(json_text::decode).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use std::collections::BTreeMap;

    const USER: &str = r#"{"type":"user","uuid":"u1","message":{"role":"user","content":"one"}}"#;

    fn fate(lines: &[&str]) -> Fate {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        fs::write(&path, lines.join("\n")).unwrap();
        look_up(&path, &["u1"]).unwrap().remove(0).fate
    }

    fn said(text: &str, stop: &str) -> String {
        format!(
            r#"{{"type":"assistant","timestamp":"t","message":{{"model":"m","stop_reason":{stop},"content":[{{"type":"text","text":"{text}"}}]}}}}"#
        )
    }

    fn answered(text: &str) -> Fate {
        Fate::Answered(Answer {
            text: text.to_owned(),
            is_error: false,
            api_error: ApiError::default(),
            at: Some("t".to_owned()),
        })
    }

    #[test]
    fn the_last_word_of_the_turn_decides() {
        let (end, tool) = (said("end", r#""end_turn""#), said("let me see", r#""tool_use""#));
        let result = r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}"#;
        let other = r#"{"type":"user","uuid":"u2","message":{"content":"two"}}"#;
        assert_eq!(fate(&["{}", "torn {"]), Fate::Unsent);
        assert_eq!(fate(&[other, &end]), Fate::Unsent);
        assert_eq!(fate(&[USER]), Fate::Unanswered);
        assert_eq!(fate(&[USER, &said("half", "null")]), Fate::Unanswered);
        assert_eq!(fate(&[USER, &tool, result]), Fate::Unanswered);
        assert_eq!(fate(&[USER, &end]), answered("end"));
        assert_eq!(
            fate(&[USER, &tool, result, &end, other, &said("no", r#""end_turn""#)]),
            answered("end")
        );
        assert_eq!(fate(&[USER, other, &end]), Fate::Unanswered);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let filler =
            said("No response requested.", r#""stop_sequence""#).replace(r#""m""#, r#""<synthetic>""#);
        assert_eq!(fate(&[USER, &filler]), Fate::Unanswered);
        let interrupted = r#"{"type":"user","message":{"content":[{"type":"text","text":"[Request interrupted by user]"}]}}"#;
        assert_eq!(
            fate(&[USER, &said("half", "null"), interrupted]),
            Fate::Unanswered
        );
        assert_eq!(
            fate(&[USER, &said("whole", r#""end_turn""#), interrupted]),
            answered("whole")
        );
        let aside = said("aside", r#""end_turn""#).replacen('{', r#"{"isSidechain":true,"#, 1);
        assert_eq!(fate(&[USER, &aside]), Fate::Unanswered);
        let failed = filler.replacen('{', r#"{"isApiErrorMessage":true,"#, 1);
        let Fate::Answered(answer) = fate(&[USER, &failed]) else {
            panic!("no answer")
        };
        assert!(answer.is_error);
        let local = r#"{"type":"system","subtype":"local_command","timestamp":"t","content":"<local-command-stdout>$0</local-command-stdout>"}"#;
        assert_eq!(fate(&[USER, local]), answered("$0"));
        assert_eq!(
            fate(&[USER, &said(r"a\ud83d", r#""end_turn""#)]),
            answered("a\u{fffd}")
        );
    }

    #[test]
    fn the_file_is_found_where_the_environment_says() {
        let id = "0b8f0c5e-3a55-4d0c-9a0e-3b6c3a0f8a11";
        let home = tempfile::tempdir().unwrap();
        let at = home.path().join(".claude/projects/-some-where");
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join(format!("{id}.jsonl")), "").unwrap();
        let caller = CallerEnv {
            env: BTreeMap::from([(HOME.to_owned(), home.path().to_string_lossy().into_owned())]),
            cwd: "/".to_owned(),
        };
        let run = RunOptions::default();
        let found = Some(at.join(format!("{id}.jsonl")));
        assert_eq!(find(id, "/some/where", &run, &caller), found);
        assert_eq!(find(id, "/else/where", &run, &caller), found);
        assert_eq!(find("../x", "/some/where", &run, &caller), None);
        let elsewhere = RunOptions {
            env: BTreeMap::from([("CLAUDE_CONFIG_DIR".to_owned(), Some("/none".to_owned()))]),
            ..RunOptions::default()
        };
        assert_eq!(find(id, "/some/where", &elsewhere, &caller), None);
    }
}
