//! Wall-clock time as records and histories write it. Waiting uses monotonic time (`std::time::Instant`).

use time::OffsetDateTime;
use time::macros::format_description;

/// Now, as ISO 8601 in UTC with milliseconds, like JavaScript's `toISOString()`.
#[must_use]
pub(crate) fn timestamp() -> String {
    const ISO: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    // The format has no part that can fail for a valid date.
    OffsetDateTime::now_utc().format(ISO).unwrap_or_default()
}
