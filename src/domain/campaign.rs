//! A campaign: the season of a volet, in which a password had better not fall due (rules 2 and 5).

use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::{Calendar, Timestamp};

/// The present season of a volet, or the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Campaign {
    /// Its first day, in Paris.
    pub opens: Date,
    /// Its last day.
    pub closes: Date,
    starts: Timestamp,
    ends: Timestamp,
}

impl Campaign {
    fn near_from(&self) -> Date {
        self.opens.checked_sub(1.month()).unwrap_or(Date::MIN)
    }
}

impl Calendar {
    /// The campaign, present or next at `now`, in which something that is due at `due` falls.
    pub fn campaign_of(&self, due: Timestamp, now: Timestamp) -> Option<Campaign> {
        let seasons = self.at(now).filter_map(|(_, state)| state.days);
        let campaigns = seasons.map(|(opens, closes)| {
            let (starts, ends) =
                (self.midnight(opens), self.midnight(closes.tomorrow().unwrap_or(Date::MAX)));
            Campaign { opens, closes, starts, ends }
        });
        campaigns.into_iter().find(|campaign| now < due && (campaign.starts..campaign.ends).contains(&due))
    }

    /// Whether a campaign opens within a month: all November, for one that opens on 1 December.
    pub fn is_near(&self, campaign: &Campaign, now: Timestamp) -> bool {
        (campaign.near_from()..campaign.opens).contains(&self.day(now))
    }

    /// Whether a password of `changed_at` is from before the month in which the campaign is [near](Self::is_near).
    pub fn is_from_before(&self, campaign: &Campaign, changed_at: Timestamp) -> bool {
        self.day(changed_at) < campaign.near_from()
    }

    /// The first day on which a password may be chosen, no later than the campaign's first, that lives to its end;
    /// none where passwords live too short.
    pub fn covering_day(&self, campaign: &Campaign, max_age: Duration) -> Option<Date> {
        let from = campaign.ends.checked_sub(max_age).ok()?;
        let day = self.day(from);
        let day = if self.midnight(day) < from { day.tomorrow().ok()? } else { day };
        (day <= campaign.opens).then_some(day)
    }

    fn midnight(&self, day: Date) -> Timestamp {
        self.in_zone(day).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Season, Volet};

    fn calendar() -> Calendar {
        let day = |text: &str| text.parse().expect("a day");
        let volet = |season| Volet { name: String::new(), paths: Vec::new(), season };
        let season = Season { opens: day("12-01"), closes: day("02-end") };
        Calendar::new(vec![volet(None), volet(Some(season))])
    }

    fn instant(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn a_password_falls_due_within_a_campaign_from_midnight_to_midnight_in_paris() {
        let within = |due: &str, now: &str| calendar().campaign_of(instant(due), instant(now)).is_some();
        let november = "2027-11-10T12:00:00+01:00";
        for (due, expected) in [
            ("2027-11-30T23:59:59+01:00", false),
            ("2027-12-01T00:00:00+01:00", true),
            ("2028-02-29T23:59:59+01:00", true),
            ("2028-03-01T00:00:00+01:00", false),
            ("2027-11-01T00:00:00+01:00", false),
        ] {
            assert_eq!(within(due, november), expected, "{due}");
        }
        assert!(within("2028-01-10T00:00:00Z", "2027-12-15T00:00:00Z"), "within the present one");
        assert!(!within("2027-12-10T00:00:00Z", "2027-12-15T00:00:00Z"), "it is due already");
    }

    #[test]
    fn november_is_the_month_before() {
        let near = |now: &str| {
            let now = instant(now);
            let campaign = calendar().campaign_of(instant("2027-02-01T00:00:00Z"), now).expect("a campaign");
            calendar().is_near(&campaign, now)
        };
        assert!(!near("2026-10-31T23:59:59+01:00"));
        assert!(near("2026-11-01T00:00:00+01:00"));
        assert!(near("2026-11-30T23:59:59+01:00"));
        assert!(!near("2026-12-01T00:00:00+01:00"));
    }

    #[test]
    fn a_change_that_outlasts_the_campaign_is_a_day_later_in_a_leap_year() {
        let covering = |due: &str, now: &str, days: u64| {
            let campaign = calendar().campaign_of(instant(due), instant(now)).expect("a campaign");
            let max_age = Duration::from_hours(days * 24);
            calendar().covering_day(&campaign, max_age).map(|day| day.to_string())
        };
        let (plain, leap) = ("2027-01-10T00:00:00Z", "2028-01-10T00:00:00Z");
        assert_eq!(covering(plain, "2026-11-10T00:00:00Z", 92).as_deref(), Some("2026-11-29"));
        assert_eq!(covering(leap, "2027-11-10T00:00:00Z", 92).as_deref(), Some("2027-11-30"));
        assert_eq!(covering(plain, "2026-11-10T00:00:00Z", 90).as_deref(), Some("2026-12-01"));
        assert_eq!(covering(plain, "2026-11-10T00:00:00Z", 89), None);
    }
}
