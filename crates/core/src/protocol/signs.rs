//! Why the CLI ended a turn with an error: the signs of a turn's lines, and the failure that follows from them.

use super::failure::{ApiError, Failure, FailureKind, Retry, UsageLimit, milliseconds};
use super::inbound::TurnResult;

/// What the lines of a turn tell of its failure.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// The CLI's word in the place of an answer.
    error: Option<ApiError>,
    retry: Option<ApiError>,
    refused: bool,
    /// Where the subscription stands. Told when it changes, so it outlives the turn.
    limit: Option<UsageLimit>,
}

impl Signs {
    /// The model was heard: whatever was tried again has worked.
    pub(crate) fn on_answer(&mut self) {
        self.retry = None;
        self.error = None;
    }

    /// An error of the API in the place of an answer.
    pub(crate) fn on_error(&mut self, error: ApiError) {
        self.error = Some(error);
    }

    /// The CLI tries again; why.
    pub(crate) fn on_retry(&mut self, retry: Retry) -> Failure {
        let mut failure = self.api_failure(&merged(&ApiError::default(), None, Some(&retry.error)), "");
        if matches!(failure.kind, FailureKind::RateLimit | FailureKind::Overloaded) {
            failure.retry_after = Some(milliseconds(retry.delay_ms));
        }
        self.retry = Some(retry.error);
        failure
    }

    /// The model has refused to answer.
    pub(crate) fn on_refusal(&mut self) {
        self.refused = true;
    }

    /// News of the subscription.
    pub(crate) fn on_limit(&mut self, limit: UsageLimit) {
        self.limit = Some(limit);
    }

    /// A turn ended with this result: whether it failed, and why. Forgets what belongs to the turn.
    pub(crate) fn conclude(&mut self, result: &TurnResult) -> Option<Failure> {
        let error = self.error.take();
        let retry = self.retry.take();
        let refused = std::mem::take(&mut self.refused) || result.stop_reason_is("refusal");
        if let Some(kind) = by_form(result).or(refused.then_some(FailureKind::Refused)) {
            return Some(kind.into());
        }
        if !result.is_error {
            return None;
        }
        let told = merged(&result.api_error, error.as_ref(), retry.as_ref());
        Some(self.api_failure(&told, &result.error_words()))
    }

    /// Why a process refused to start, or ended, as far as its words tell.
    #[must_use]
    pub(crate) fn of_words(words: &str) -> Failure {
        by_text(words).unwrap_or(FailureKind::Other).into()
    }

    fn api_failure(&self, error: &ApiError, words: &str) -> Failure {
        let kind = by_cause(error)
            .or_else(|| self.by_limit(error))
            .or_else(|| by_status(error.status?, words))
            .or_else(|| by_word(error, words))
            .or_else(|| by_text(words))
            .unwrap_or(FailureKind::Other);
        Failure {
            status: error.status,
            resets_at: self
                .limit
                .filter(|limit| kind == FailureKind::UsageLimit && limit.is_reached)
                .and_then(|limit| limit.resets_at),
            ..kind.into()
        }
    }

    /// A limit of the subscription looks like one of the API but for the event that comes before it.
    fn by_limit(&self, error: &ApiError) -> Option<FailureKind> {
        let is_reached = self.limit.is_some_and(|limit| limit.is_reached);
        let is_limit = error.status == Some(429) || error.word.as_deref() == Some("rate_limit");
        (is_reached && is_limit).then_some(FailureKind::UsageLimit)
    }
}

/// What the form of the result tells.
fn by_form(result: &TurnResult) -> Option<FailureKind> {
    match result.subtype.as_deref() {
        Some("error_max_turns") => return Some(FailureKind::MaxTurns),
        Some("error_max_budget_usd") => return Some(FailureKind::Budget),
        Some("error_max_structured_output_retries") => return Some(FailureKind::Schema),
        _ => {}
    }
    let too_long = result.terminal_reason.as_deref() == Some("prompt_too_long")
        || result.stop_reason_is("model_context_window_exceeded");
    too_long.then_some(FailureKind::TooLong)
}

/// Each field from the line that is nearest to the end of the turn: the result, the words in the place of an answer, the
/// last retry. The word of a retry is better than that of the words: 529 is `overloaded` here, and `server_error` there.
fn merged(result: &ApiError, error: Option<&ApiError>, retry: Option<&ApiError>) -> ApiError {
    let lines = [Some(result), error, retry];
    let first = |field: fn(&ApiError) -> Option<&String>| {
        lines.iter().flatten().find_map(|line| field(line)).cloned()
    };
    let status = lines.iter().flatten().find_map(|line| line.status);
    let retry_word = retry.and_then(|retry| retry.word.clone().filter(|word| word != "unknown"));
    // No connection has no status on any line.
    let is_lost = status.is_none() && retry.is_some() && retry_word.is_none();
    ApiError {
        status,
        word: retry_word.or_else(|| first(|line| line.word.as_ref())),
        cause: first(|line| line.cause.as_ref()).or_else(|| is_lost.then(|| "connection_failed".to_owned())),
        api_type: first(|line| line.api_type.as_ref()),
    }
}

fn by_cause(error: &ApiError) -> Option<FailureKind> {
    Some(match error.cause.as_deref()? {
        "usage_limit_reached" => FailureKind::UsageLimit,
        "connection_failed" => FailureKind::Network,
        "prompt_too_long" => FailureKind::TooLong,
        _ => return None,
    })
}

fn by_status(status: u16, words: &str) -> Option<FailureKind> {
    Some(match status {
        // The API has no other word for a conversation that is too long.
        400 if is_too_long(words) => FailureKind::TooLong,
        401..=403 => FailureKind::Auth,
        408 => FailureKind::Network,
        413 => FailureKind::TooLong,
        429 => FailureKind::RateLimit,
        529 => FailureKind::Overloaded,
        400..=499 => FailureKind::InvalidRequest,
        500..=599 => FailureKind::Server,
        _ => return None,
    })
}

fn by_word(error: &ApiError, words: &str) -> Option<FailureKind> {
    let by_type = match error.api_type.as_deref() {
        Some("overloaded_error") => Some(FailureKind::Overloaded),
        Some("request_too_large") => Some(FailureKind::TooLong),
        Some("timeout_error") => Some(FailureKind::Network),
        _ => None,
    };
    by_type.or_else(|| {
        Some(match error.word.as_deref()? {
            "authentication_failed" | "oauth_org_not_allowed" | "billing_error" => FailureKind::Auth,
            "rate_limit" => FailureKind::RateLimit,
            "overloaded" => FailureKind::Overloaded,
            // Versions up to 2.1.197 say this of a broken connection, too, which has no status.
            "server_error" if error.status.is_none() => by_text(words).unwrap_or(FailureKind::Network),
            "server_error" => FailureKind::Server,
            "invalid_request" | "model_not_found" => FailureKind::InvalidRequest,
            _ => return None,
        })
    })
}

fn is_too_long(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("prompt is too long") || words.contains("exceed context limit")
}

/// What the CLI's English says: versions up to 2.1.20 write no field, nor does one that refuses to start.
fn by_text(words: &str) -> Option<FailureKind> {
    const TEXTS: [(&str, FailureKind); 13] = [
        ("please run /login", FailureKind::Auth),
        ("failed to authenticate", FailureKind::Auth),
        ("invalid api key", FailureKind::Auth),
        ("credit balance is too low", FailureKind::Auth),
        ("usage limit reached", FailureKind::UsageLimit),
        ("overloaded", FailureKind::Overloaded),
        ("rejected (429)", FailureKind::RateLimit),
        ("violate our usage policy", FailureKind::Refused),
        ("connection error", FailureKind::Network),
        ("connection closed", FailureKind::Network),
        ("connection was closed", FailureKind::Network),
        ("unable to connect", FailureKind::Network),
        ("request timed out", FailureKind::Network),
    ];
    let lower = words.to_ascii_lowercase();
    if is_too_long(&lower) {
        return Some(FailureKind::TooLong);
    }
    let found = TEXTS.iter().find(|(text, _)| lower.contains(text));
    found
        .map(|(_, kind)| *kind)
        .or_else(|| by_status(status_in(&lower)?, &lower))
}

/// The status in `API Error: 500 ...`.
fn status_in(lower: &str) -> Option<u16> {
    let (_, rest) = lower.split_once("api error: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests;
