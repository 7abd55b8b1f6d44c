//! RFC 3339 times, UTC, with milliseconds: `2026-11-21T02:08:00.123Z`.

use std::fmt::{Display, Formatter, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// A wall time as logs and `/status` write it; times before 1970 read as 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub SystemTime);

impl Display for Timestamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let since_epoch = self.0.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let seconds = since_epoch.as_secs();
        let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
        let second_of_day = seconds % SECONDS_PER_DAY;
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        let millisecond = since_epoch.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01.
///
/// Counts in eras of 400 years that begin on 1 March of the year 0, so that a leap day is the last day of its year and
/// the lengths of the months before it follow one linear rule.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_FROM_MARCH_0_TO_EPOCH;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

const SECONDS_PER_DAY: u64 = 86_400;
const DAYS_PER_ERA: u64 = 146_097;
const DAYS_FROM_MARCH_0_TO_EPOCH: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(since_epoch: Duration, expected: &str) {
        assert_eq!(Timestamp(UNIX_EPOCH + since_epoch).to_string(), expected);
    }

    #[test]
    fn known_dates() {
        check(Duration::ZERO, "1970-01-01T00:00:00.000Z");
        check(Duration::from_millis(784_111_777_123), "1994-11-06T08:49:37.123Z");
        check(Duration::from_secs(951_782_399), "2000-02-28T23:59:59.000Z");
        check(Duration::from_secs(951_782_400), "2000-02-29T00:00:00.000Z");
        check(Duration::from_secs(951_868_800), "2000-03-01T00:00:00.000Z");
        check(Duration::from_secs(1_709_164_800), "2024-02-29T00:00:00.000Z");
        check(Duration::from_micros(1_767_225_599_999_999), "2025-12-31T23:59:59.999Z");
        check(Duration::from_secs(4_107_542_400), "2100-03-01T00:00:00.000Z");
        check(Duration::from_secs(253_402_300_799), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn every_day_of_four_centuries_agrees_with_the_date_of_http() {
        for day in 0..DAYS_PER_ERA {
            let time = UNIX_EPOCH + Duration::from_secs(day * SECONDS_PER_DAY);
            let (year, month, day) = civil_date(day);
            let http_date = httpdate::fmt_http_date(time);
            let month = MONTHS[usize::try_from(month).unwrap_or(0)];
            assert_eq!(&http_date[5..16], format!("{day:02} {month} {year:04}"));
        }
    }

    #[test]
    fn times_before_the_epoch_read_as_the_epoch() {
        assert_eq!(Timestamp(UNIX_EPOCH - Duration::from_secs(1)).to_string(), "1970-01-01T00:00:00.000Z");
    }

    const MONTHS: [&str; 13] = ["", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
}
