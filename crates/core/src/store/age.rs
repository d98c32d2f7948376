//! How old a record is: the times that records hold, in ms since 1970 as JavaScript counts.

use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

/// Now, in ms since 1970.
pub(super) fn now_ms() -> f64 {
    to_ms(OffsetDateTime::now_utc())
}

/// The time that a JSON value means, in ms since 1970: an ISO 8601 string (UTC where it names no zone) or a
/// number of ms.
pub(super) fn parse_ms(json: &str) -> Option<f64> {
    if let Ok(ms) = serde_json::from_str::<f64>(json) {
        return Some(ms);
    }
    parse_time(&serde_json::from_str::<String>(json).ok()?)
}

/// The time that a text means, in ms since 1970.
pub(super) fn parse_time(text: &str) -> Option<f64> {
    let text = text.trim().replacen(' ', "T", 1);
    OffsetDateTime::parse(&text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&text, &Iso8601::PARSING))
        .or_else(|_| PrimitiveDateTime::parse(&text, &Iso8601::PARSING).map(PrimitiveDateTime::assume_utc))
        .or_else(|_| {
            Date::parse(&text, &Iso8601::PARSING).map(|date| date.with_time(Time::MIDNIGHT).assume_utc())
        })
        .ok()
        .map(to_ms)
}

fn to_ms(time: OffsetDateTime) -> f64 {
    // Whole seconds are far below 2^53, so nothing is lost that matters.
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of the years time can hold fit f64 exactly"
    )]
    let seconds = time.unix_timestamp() as f64;
    seconds * 1000.0 + f64::from(time.millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_of_a_time_are_understood() {
        let noon = Some(1_795_348_800_000.0);
        for json in [
            r#""2026-11-22T12:00:00.000Z""#,
            r#""2026-11-22T12:00:00Z""#,
            r#""2026-11-22T13:00:00+01:00""#,
            r#""2026-11-22T12:00:00""#,
            r#""2026-11-22 12:00:00Z""#,
            r#""2026-11-22T12:00Z""#,
            r#"" 20261122T120000Z ""#,
            "1795348800000",
            "1.7953488e12",
        ] {
            assert_eq!(parse_ms(json), noon, "{json}");
        }
        assert_eq!(parse_ms(r#""2026-11-22""#), noon.map(|ms| ms - 43_200_000.0));
    }

    #[test]
    fn anything_else_is_no_time() {
        for json in [
            "null",
            "{}",
            r#""""#,
            r#""yesterday""#,
            r#""\ud83d""#,
            "true",
            "1e400",
        ] {
            assert_eq!(parse_ms(json), None, "{json}");
        }
    }

    #[test]
    fn a_time_stamp_of_now_reads_back_as_now() {
        let now = parse_ms(&format!("\"{}\"", crate::clock::timestamp()));
        assert!(now.is_some_and(|ms| (ms - now_ms()).abs() < 60_000.0), "{now:?}");
    }
}
