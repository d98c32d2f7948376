//! Our messages as lines for the CLI's standard input.

/// The line (with `\n`) of a user message.
///
/// `content` is JSON: a string or an array of content blocks, exactly as the caller wrote it. The `uuid`
/// names the message in the CLI's result (2.1.330). A message may meet a turn that the CLI started by itself:
/// `priority: "later"` keeps it out of that turn, where it would never get a result (measured).
///
/// ```
/// let line = clearctx_core::protocol::outbound::user_message("\"hello\"", "11111111-1111-4111-8111-111111111111");
/// assert!(line.starts_with(r#"{"type":"user","message":{"role":"user","content":"hello"}"#));
/// ```
#[must_use]
pub(crate) fn user_message(content: &str, uuid: &str) -> String {
    format!(
        "{{\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":{content}}},\
         \"parent_tool_use_id\":null,\"priority\":\"later\",\"uuid\":\"{uuid}\"}}\n"
    )
}
