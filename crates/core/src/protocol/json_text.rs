//! Text of a JSON string that may hold what Rust's `String` cannot: lone surrogate escapes.
//!
//! The CLI writes them (it cuts long tool output in UTF-16 units), and a strict decoder drops the whole
//! line for one of them. The engine therefore keeps such text as raw JSON wherever it only passes it on,
//! and decodes it here, with U+FFFD in their place, where it needs the words itself.

use serde_json::value::RawValue;
use std::borrow::Cow;

/// Decodes a raw JSON string; `None` if `raw` is not a string. A lone surrogate becomes U+FFFD.
#[must_use]
pub(crate) fn decode(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    if !text.starts_with('"') {
        return None;
    }
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_json::from_str(&replace_lone_surrogates(text)).ok())
}

/// Decodes a field that may be absent, or no string.
#[must_use]
pub(crate) fn text(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(decode)
}

/// Replaces each lone `\uD800`..`\uDFFF` escape in JSON text by `\uFFFD`.
fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let taken = match surrogate(escape) {
            Some(Half::High) if matches!(surrogate(&escape[6..]), Some(Half::Low)) => {
                out.push_str(&escape[..12]);
                12
            }
            Some(_) => {
                out.push_str("\\ufffd");
                6
            }
            None => {
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                out.push_str(&escape[..length]);
                length
            }
        };
        rest = &escape[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

enum Half {
    High,
    Low,
}

/// Which surrogate half the escape at the start of `text` is, if it is one.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(json: &str) -> Option<String> {
        decode(serde_json::from_str(json).expect("test input is JSON"))
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        assert_eq!(decoded(r#""a\ud83d b""#).as_deref(), Some("a\u{fffd} b"));
        assert_eq!(
            decoded(r#""\ude00\ud83d\ude00\ud83d""#).as_deref(),
            Some("\u{fffd}\u{1f600}\u{fffd}")
        );
        assert_eq!(decoded(r#""\\ud83d\ud83d""#).as_deref(), Some("\\ud83d\u{fffd}"));
    }

    #[test]
    fn other_values_are_no_text() {
        assert_eq!(decoded("12"), None);
        assert_eq!(decoded("null"), None);
        assert_eq!(decoded(r#""plain \u00e9""#).as_deref(), Some("plain é"));
    }
}
