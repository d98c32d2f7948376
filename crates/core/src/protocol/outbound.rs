//! Our messages as lines for the CLI's standard input.

/// The line (with `\n`) of a user message.
///
/// `content` is JSON: a string or an array of content blocks, exactly as the caller wrote it. The `uuid`
/// names the message in the CLI's result (2.1.330). A message may meet a turn that the CLI started by itself:
/// `priority: "later"` keeps it out of that turn, where it would never get a result (measured).
///
/// ```json
/// {"type":"user","message":{"role":"user","content":"hello"},"parent_tool_use_id":null,"priority":"later","uuid":"..."}
/// ```
#[must_use]
pub(crate) fn user_message(content: &str, uuid: &str) -> String {
    format!(
        "{{\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":{content}}},\
         \"parent_tool_use_id\":null,\"priority\":\"later\",\"uuid\":\"{uuid}\"}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_json_with_its_content_as_it_was_written() {
        let line = user_message(r#"[{"type":"text","text":"\ud83d"}]"#, "u");
        assert!(line.starts_with(
            r#"{"type":"user","message":{"role":"user","content":[{"type":"text","text":"\ud83d"}]}"#
        ));
        assert!(line.ends_with("\"uuid\":\"u\"}\n"));
        assert_eq!(line.matches('\n').count(), 1);
    }
}
