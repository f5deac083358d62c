//! `before:`, `after:` and `on:`.

use hansard_model::LogTime;
use time::{Date, Duration, Month, OffsetDateTime, Time, UtcOffset};

/// When a message was sent, as a query says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// On which side of the moment.
    pub relation: Relation,
    /// The moment.
    pub moment: Moment,
}

/// On which side of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Before its beginning.
    Before,
    /// After its end; after the instant itself for [`Moment::DaysAgo`].
    After,
    /// In it.
    On,
}

/// A day, month or year, as a query says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A year.
    Year(i32),
    /// A month of a year.
    Month(i32, Month),
    /// A day.
    Day(Date),
    /// The day that is so many days before today: 0 is today, 1 yesterday.
    DayBefore(u16),
    /// As long ago as so many times 24 hours; with [`Relation::On`] the day of that.
    DaysAgo(u16),
}

/// The times of messages that are sought, in log time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The earliest, included.
    pub from: Option<LogTime>,
    /// The first that is too late.
    pub until: Option<LogTime>,
}

impl Bounds {
    /// Whether a message of this time is sought.
    pub fn contains(&self, ts: LogTime) -> bool {
        self.from.is_none_or(|from| from <= ts) && self.until.is_none_or(|until| ts < until)
    }
}

impl Sent {
    /// The times that are meant, asked at `now` by somebody whose clock shows UTC and `offset`.
    ///
    /// Times before 1970 are 1970, and those behind the end of log time are its end. The offset is taken to be the same all year: a day of the other
    /// half of the year may begin an hour off.
    pub fn bounds(&self, now: LogTime, offset: UtcOffset) -> Bounds {
        let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.as_nanos()))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .to_offset(offset);
        let midnight =
            |day: Date| log_time(OffsetDateTime::new_in_offset(day, Time::MIDNIGHT, offset));
        let (first, behind) = if let Moment::DaysAgo(days) = self.moment
            && self.relation != Relation::On
        {
            let instant = log_time(now.saturating_sub(Duration::days(i64::from(days))));
            (instant, instant)
        } else {
            let (first, behind) = self.moment.days(now.date());
            (midnight(first), midnight(behind))
        };
        match self.relation {
            Relation::Before => Bounds { from: None, until: Some(first) },
            Relation::After => Bounds { from: Some(behind), until: None },
            Relation::On => Bounds { from: Some(first), until: Some(behind) },
        }
    }
}

fn log_time(moment: OffsetDateTime) -> LogTime {
    LogTime::from_nanos(u64::try_from(moment.unix_timestamp_nanos().max(0)).unwrap_or(u64::MAX))
}

impl Moment {
    /// Reads a date, in any case of letters; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("today") {
            return Some(Self::DayBefore(0));
        }
        if text.eq_ignore_ascii_case("yesterday") {
            return Some(Self::DayBefore(1));
        }
        let digits = |text: &str, len: std::ops::RangeInclusive<usize>| {
            let plain = len.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| text.parse::<u16>().ok()).flatten()
        };
        for (unit, days) in [('d', 1), ('w', 7)] {
            if let Some(count) = text.strip_suffix([unit, unit.to_ascii_uppercase()]) {
                return digits(count, 1..=4)?.checked_mul(days).map(Self::DaysAgo);
            }
        }
        let mut parts = text.split('-');
        let year = i32::from(digits(parts.next()?, 4..=4)?);
        let Some(month) = parts.next() else { return Some(Self::Year(year)) };
        let month = Month::try_from(u8::try_from(digits(month, 1..=2)?).ok()?).ok()?;
        let Some(day) = parts.next() else { return Some(Self::Month(year, month)) };
        let day = u8::try_from(digits(day, 1..=2)?).ok()?;
        if parts.next().is_some() {
            return None;
        }
        Date::from_calendar_date(year, month, day).ok().map(Self::Day)
    }

    /// The first day of it, and the first behind it.
    fn days(self, today: Date) -> (Date, Date) {
        let first_of =
            |year: i32, month: Month| Date::from_calendar_date(year, month, 1).unwrap_or(Date::MAX);
        let day = |day: Date| (day, day.next_day().unwrap_or(Date::MAX));
        match self {
            Self::Year(year) => {
                (first_of(year, Month::January), first_of(year + 1, Month::January))
            }
            Self::Month(year, month) => {
                let last = month == Month::December;
                let behind = first_of(year + i32::from(last), month.next());
                (first_of(year, month), behind)
            }
            Self::Day(date) => day(date),
            Self::DayBefore(days) | Self::DaysAgo(days) => {
                day(today.saturating_sub(Duration::days(i64::from(days))))
            }
        }
    }
}
