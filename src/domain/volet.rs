//! The calendar: which volet of the téléprocédure is open when (rule 5).

use std::str::FromStr;

use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{NormalPath, Timestamp};

/// A day that comes back each year: `12-01`, or `02-end` for a month's last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOfYear {
    month: i8,
    day: Option<i8>,
}

/// The text is not a month and a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a day of the year is MM-DD, or MM-end for a month's last day")]
pub struct InvalidDay;

impl DayOfYear {
    fn in_year(self, year: i16) -> Option<Date> {
        let first = Date::new(year, self.month, 1).ok()?;
        match self.day {
            None => Some(first.last_of_month()),
            Some(day) => Date::new(year, self.month, day).ok(),
        }
    }
}

impl FromStr for DayOfYear {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let (month, day) = text.split_once('-').ok_or(InvalidDay)?;
        let two_digits = |part: &str| match part.len() {
            2 if part.bytes().all(|b| b.is_ascii_digit()) => part.parse::<i8>().map_err(|_| InvalidDay),
            _ => Err(InvalidDay),
        };
        let month = two_digits(month)?;
        let day = if day == "end" { None } else { Some(two_digits(day)?) };
        let parsed = Self { month, day };
        // 2027 is no leap year: 02-29 would exist in one year of four, `02-end` is what is meant.
        parsed.in_year(2027).map(|_| parsed).ok_or(InvalidDay)
    }
}

/// A stretch of the year, both days included; it may span New Year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Season {
    /// First day.
    pub opens: DayOfYear,
    /// Last day.
    pub closes: DayOfYear,
}

/// A part of the téléprocédure, known by its paths.
#[derive(Debug, Clone)]
pub struct Volet {
    /// Its name, as backends and clients read it.
    pub name: String,
    /// The path prefixes that belong to it.
    pub paths: Vec<String>,
    /// When it is open; always, where there is none.
    pub season: Option<Season>,
}

/// A volet at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoletState {
    /// Whether it may be used.
    pub open: bool,
    /// First and last day of the present opening or, closed, of the next one.
    pub days: Option<(Date, Date)>,
}

impl Volet {
    /// The volet on `day`.
    pub fn on(&self, day: Date) -> VoletState {
        let Some(season) = self.season else { return VoletState { open: true, days: None } };
        let opening = (-1..=1).find_map(|shift| {
            let year = day.year() + shift;
            let opens = season.opens.in_year(year)?;
            let closes = match season.closes.in_year(year)? {
                same_year if same_year >= opens => same_year,
                _ => season.closes.in_year(year + 1)?,
            };
            (day <= closes).then_some((opens, closes))
        });
        VoletState { open: opening.is_some_and(|(opens, _)| opens <= day), days: opening }
    }
}

/// All volets, and the zone in which their days begin and end.
#[derive(Debug, Clone)]
pub struct Calendar {
    volets: Vec<Volet>,
    paris: TimeZone,
}

impl Calendar {
    /// A calendar in Paris' time, whose zone is bundled with the program.
    pub fn new(volets: Vec<Volet>) -> Self {
        let paris = TimeZone::get("Europe/Paris").unwrap_or(TimeZone::UTC);
        Self { volets, paris }
    }

    /// The day in Paris at `now`.
    pub fn day(&self, now: Timestamp) -> Date {
        now.to_zoned(self.paris.clone()).date()
    }

    /// An instant as clocks in Paris show it.
    pub fn in_paris(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.paris.clone())
    }

    /// The first instant of a day in Paris.
    pub(super) fn in_zone(&self, day: Date) -> Option<Zoned> {
        day.to_zoned(self.paris.clone()).ok()
    }

    /// The first instant after `now` at which the day changes in Paris.
    pub fn next_midnight(&self, now: Timestamp) -> Timestamp {
        let tomorrow = self.day(now).tomorrow().unwrap_or(Date::MAX);
        tomorrow.to_zoned(self.paris.clone()).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
    }

    /// Every volet with its state at `now`, in the configuration's order.
    pub fn at(&self, now: Timestamp) -> impl Iterator<Item = (&Volet, VoletState)> {
        let day = self.day(now);
        self.volets.iter().map(move |volet| (volet, volet.on(day)))
    }

    /// The volets that `path` belongs to.
    pub fn of_path<'a>(&'a self, path: &'a NormalPath) -> impl Iterator<Item = &'a Volet> {
        self.volets.iter().filter(|volet| volet.paths.iter().any(|prefix| path.is_under(prefix)))
    }

    /// The first volet of `path` that is closed at `now`, with its next days.
    pub fn closed(&self, path: &NormalPath, now: Timestamp) -> Option<(&Volet, VoletState)> {
        // Most paths belong to no season: the day in Paris is only worked out for those that do.
        let mut seasonal = self
            .volets
            .iter()
            .filter(|volet| volet.season.is_some() && volet.paths.iter().any(|prefix| path.is_under(prefix)))
            .peekable();
        seasonal.peek()?;
        let day = self.day(now);
        seasonal.map(|volet| (volet, volet.on(day))).find(|(_, state)| !state.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign() -> Calendar {
        let season =
            Season { opens: "12-01".parse().expect("a day"), closes: "02-end".parse().expect("a day") };
        Calendar::new(vec![Volet {
            name: "certificat-emploi".to_owned(),
            paths: vec!["/teleprocedure/certificat-emploi".to_owned()],
            season: Some(season),
        }])
    }

    fn closed(at: &str) -> bool {
        let path = NormalPath::parse("/teleprocedure/certificat-emploi/new").expect("a path");
        campaign().closed(&path, at.parse().expect("an instant")).is_some()
    }

    #[test]
    fn both_midnights_are_paris_midnights_to_the_second() {
        assert!(closed("2026-11-30T23:59:59+01:00"));
        assert!(!closed("2026-12-01T00:00:00+01:00"));
        assert!(!closed("2027-02-28T23:59:59+01:00"));
        assert!(closed("2027-03-01T00:00:00+01:00"));
    }

    #[test]
    fn a_leap_year_has_one_day_more() {
        assert!(!closed("2028-02-29T23:59:59+01:00"));
        assert!(closed("2028-03-01T00:00:00+01:00"));
    }

    #[test]
    fn the_days_told_are_this_opening_or_the_next() {
        let days = |at: &str| {
            let calendar = campaign();
            let now = at.parse().expect("an instant");
            let (_, state) = calendar.at(now).next().expect("a volet");
            let (opens, closes) = state.days.expect("a season");
            (state.open, opens.to_string(), closes.to_string())
        };
        let next = ("2026-12-01".to_owned(), "2027-02-28".to_owned());
        assert_eq!(days("2026-11-23T12:00:00Z"), (false, next.0.clone(), next.1.clone()));
        assert_eq!(days("2026-12-15T12:00:00Z"), (true, next.0.clone(), next.1.clone()));
        assert_eq!(days("2027-02-10T12:00:00Z"), (true, next.0, next.1));
        assert_eq!(days("2027-03-01T12:00:00Z"), (false, "2027-12-01".to_owned(), "2028-02-29".to_owned()));
    }

    #[test]
    fn other_paths_are_open_all_year() {
        let path = NormalPath::parse("/teleprocedure/changement").expect("a path");
        let now = "2026-07-14T12:00:00Z".parse().expect("an instant");
        assert!(campaign().closed(&path, now).is_none());
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in ["", "12", "13-01", "00-10", "02-30", "02-29", "1-1", "12-32", "end-02", "12-ene"] {
            assert_eq!(text.parse::<DayOfYear>(), Err(InvalidDay), "{text}");
        }
    }
}
