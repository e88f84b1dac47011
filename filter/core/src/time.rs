//! Times as the records have them: RFC 3339, UTC, microseconds.

use crate::decimal;

/// `2026-11-21T23:17:57.123456Z` for nanoseconds since the Unix epoch.
pub fn rfc3339(unix_nanos: u64) -> String {
    let micros = unix_nanos / 1_000;
    let (seconds, micros) = (micros / 1_000_000, (micros % 1_000_000) as u32);
    let (days, second) = (seconds / 86_400, (seconds % 86_400) as u32);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = Vec::with_capacity(27);
    for (value, width, behind) in [
        (year as u32, 4, b'-'),
        (month as u32, 2, b'-'),
        (day as u32, 2, b'T'),
        (hour, 2, b':'),
        (minute, 2, b':'),
        (second, 2, b'.'),
        (micros, 6, b'Z'),
    ] {
        decimal::push_padded(&mut text, value, width);
        text.push(behind);
    }
    // Digits and ASCII: this never fails. A u64 of nanoseconds ends in the year 2554.
    String::from_utf8(text).unwrap_or_default()
}

/// Year, month and day of a day since the Unix epoch: Howard Hinnant's `civil_from_days`, for days from 1970 on.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn times_are_written() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_303_077_123_456_789, "2026-11-21T23:17:57.123456Z"),
            (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(rfc3339(nanos), expected);
        }
        rfc3339(u64::MAX);
    }
}
