//! Notices on their way into JavaScript: one JSON text for all that are taken at once, since one string and one parse cost
//! less than many values. The CLI's texts are passed separately, as strings that are parsed when they are needed.

use clearctx_core::api::Notice;
use napi::Either;
use napi::bindgen_prelude::Latin1String;

/// A text on its way into JavaScript.
pub(crate) type JsText = Either<Latin1String, String>;

/// The JSON array of the notices, then the texts of those that have one, in order.
pub(crate) fn to_js(mut notices: Vec<Notice>) -> Vec<JsText> {
    let texts: Vec<String> = notices
        .iter_mut()
        .filter_map(|notice| match notice {
            Notice::Event { event, .. } => event.take_text(),
            Notice::Value { .. } | Notice::Failure { .. } | Notice::Warning { .. } => None,
        })
        .collect();
    let json = serde_json::to_string(&notices).unwrap_or_else(|_| "[]".to_owned());
    std::iter::once(json).chain(texts).map(js_text).collect()
}

/// Converts a text. Plain ASCII, as most lines are, is copied; anything else is decoded, which takes several times as long.
fn js_text(text: String) -> JsText {
    if text.is_ascii() {
        Either::A(text.into())
    } else {
        Either::B(text)
    }
}
