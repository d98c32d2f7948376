//! Why a turn failed: one of a few kinds that a program can branch on.
//!
//! The kind comes from fields that are made for machines, as far as a version of the CLI writes them: the result's `subtype`,
//! `stop_reason` and `terminal_reason`, the HTTP status, the words of the API and of the CLI for an error, the `api_retry`
//! lines before it. Its English text is read only where there is nothing else.

use serde::{Deserialize, Serialize};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Not logged in, wrong or expired credentials, no permission, no credit: a person must act.
    Auth,
    /// Too many requests (429).
    RateLimit,
    /// The API is at capacity (529).
    Overloaded,
    /// The limit of the subscription is used up, until `resets_at`.
    UsageLimit,
    /// No connection, or a broken one.
    Network,
    /// The API failed (5xx).
    Server,
    /// The API refused the request, for instance because of an unknown model. It would refuse it again.
    InvalidRequest,
    /// The conversation or the request is too long for the model.
    TooLong,
    /// `maxBudget` is used up.
    Budget,
    /// The limit of model turns.
    MaxTurns,
    /// The model refused to answer.
    Refused,
    /// The answer does not have the form that was asked for.
    Schema,
    /// Anything else.
    Other,
}

/// Why a turn failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// HTTP status of the API's answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// When a usage limit ends, in ms since 1970, if the CLI said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<u64>,
    /// How long the API wants no other request, in ms, as far as the CLI's own waits tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        Self {
            kind,
            status: None,
            resets_at: None,
            retry_after: None,
        }
    }
}

/// What a line says of an error of the API. Not every version writes every field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status: `api_error_status`, of a retry `error_status`.
    pub status: Option<u16>,
    /// The CLI's word, the `error` of the line: `authentication_failed`, `rate_limit`, `server_error`, ...
    pub word: Option<String>,
    /// The CLI's word for the cause, `api_error` (2.1.330): `usage_limit_reached`, `connection_failed`, ...
    pub cause: Option<String>,
    /// The API's own word, `api_error_type` (2.1.330): `overloaded_error`, `request_too_large`, ...
    pub api_type: Option<String>,
}

/// An `api_retry` line: the CLI waits, then it asks the API again.
///
/// ```json
/// {"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":574.3,"error_status":529,"error":"overloaded"}
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Number of the retry, from 1.
    pub attempt: u64,
    /// How long the CLI waits, in ms.
    pub delay_ms: f64,
    /// Why.
    pub error: ApiError,
}

/// A `rate_limit_event` line: where the subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageLimit {
    /// Whether requests are refused.
    pub is_reached: bool,
    /// When that ends, in ms since 1970.
    pub resets_at: Option<u64>,
}

/// A time in whole ms.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what a time needs"
)]
pub(super) fn milliseconds(ms: f64) -> u64 {
    ms.round() as u64
}
