//! Messages without an answer, as the record keeps them. If their host ends, the next host can report them and send them
//! again.
//!
//! ```json
//! {"uuid":"...","sentAt":"2026-11-22T06:10:28.562Z","prompt":"hi"}
//! {"uuid":"...","sentAt":"2026-11-22T06:10:28.562Z","prompt":"[image]","content":[{"type":"image"}]}
//! {"uuid":"...","sentAt":"2026-11-22T06:10:28.562Z","prompt":"the beginning of it","cut":true}
//! ```

use crate::limits;
use serde_json::value::RawValue;

/// JSON of one message. `content` and `prompt` are JSON; the content is omitted if it equals the prompt or is too long.
#[must_use]
pub(crate) fn entry(uuid: &str, sent_at: &str, content: &str, prompt: &RawValue) -> String {
    let prompt = prompt.get();
    if content.len() > limits::PENDING_CONTENT_BYTES {
        let beginning = cut(prompt, limits::PENDING_PROMPT_BYTES);
        return format!(r#"{{"uuid":"{uuid}","sentAt":"{sent_at}","prompt":{beginning},"cut":true}}"#);
    }
    let content = if content == prompt {
        String::new()
    } else {
        format!(r#","content":{content}"#)
    };
    format!(r#"{{"uuid":"{uuid}","sentAt":"{sent_at}","prompt":{prompt}{content}}}"#)
}

/// The first entries, as many as are kept. The very first one, which is in flight, is always kept.
fn kept<'a>(entries: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut bytes = 0;
    entries.take(limits::PENDING_MESSAGES).take_while(move |entry| {
        let is_first = bytes == 0;
        bytes += entry.len();
        is_first || bytes <= limits::PENDING_BYTES
    })
}

/// Whether the last of these entries is kept: a message further back in line does not change the record.
pub(crate) fn keeps_last<'a>(entries: impl Iterator<Item = &'a str> + Clone) -> bool {
    // Of a long line only the kept part is examined.
    let shown = kept(entries.clone()).count();
    entries.take(shown + 1).count() == shown
}

/// JSON array of the first entries, as many as are kept.
#[must_use]
pub(crate) fn list<'a>(entries: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::from("[");
    for (index, entry) in kept(entries).enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(entry);
    }
    out.push(']');
    out
}

/// The beginning of a JSON string, as a JSON string: at most about `most` bytes of its text, without a partial escape.
fn cut(json: &str, most: usize) -> String {
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner.filter(|inner| inner.len() > most) else {
        return json.to_owned();
    };
    let mut end = 0;
    while end < most {
        let rest = &inner[end..];
        end += match rest.as_bytes() {
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    format!("\"{}\"", inner.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::turn;

    #[test]
    fn a_text_is_kept_once_and_blocks_beside_their_prompt() {
        let prompt = turn::raw("\"hi\"");
        assert_eq!(
            entry("u", "t", "\"hi\"", &prompt),
            r#"{"uuid":"u","sentAt":"t","prompt":"hi"}"#
        );
        assert_eq!(
            entry("u", "t", r#"[{"type":"text","text":"hi"}]"#, &prompt),
            r#"{"uuid":"u","sentAt":"t","prompt":"hi","content":[{"type":"text","text":"hi"}]}"#
        );
    }

    #[test]
    fn of_a_long_message_the_beginning_is_kept_and_no_half_escape() {
        let text = format!("\"{}\"", r"\ud83dé\n".repeat(limits::PENDING_CONTENT_BYTES));
        let kept = entry("u", "t", &text, &turn::raw(text.clone()));
        assert!(kept.len() < limits::PENDING_PROMPT_BYTES + 200, "{}", kept.len());
        let read: serde_json::Value =
            serde_json::from_str(&kept.replace(r"\ud83d", "x")).expect("it is JSON");
        assert_eq!(read["cut"], true);
    }

    #[test]
    fn the_list_is_bounded_and_never_without_the_first() {
        let big = format!("\"{}\"", "x".repeat(limits::PENDING_BYTES));
        let small = "{}".to_owned();
        assert_eq!(list([big.as_str(), &small].into_iter()), format!("[{big}]"));
        let many = vec!["{}"; limits::PENDING_MESSAGES + 1];
        assert_eq!(
            list(many.into_iter()).matches("{}").count(),
            limits::PENDING_MESSAGES
        );
        assert_eq!(list(std::iter::empty()), "[]");
        assert!(keeps_last(std::iter::once("{}")));
        assert!(!keeps_last([big.as_str(), &small].into_iter()));
        let (last, later) = (limits::PENDING_MESSAGES, limits::PENDING_MESSAGES + 1);
        assert!(keeps_last(std::iter::repeat_n("{}", last)));
        assert!(!keeps_last(std::iter::repeat_n("{}", later)));
    }
}
