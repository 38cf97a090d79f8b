//! What pages tell one who is signed in, beside their own matter: a password that falls due soon, or in the
//! middle of the campaign (rules 2 and 5). A notice bars nobody's way.

use super::{Portal, french};
use crate::account::Before;
use crate::domain::{Campaign, LocalPath, Timestamp};
use crate::session::{Session, Stage};

use super::pages::{Frame, Notice};

/// The last days of a password, in which pages speak of it.
const FEW_DAYS: u32 = 14;
/// Failed tries that are more than one's own slips.
const MANY_FAILURES: u32 = 3;

impl Portal {
    /// What stands around the pages of one who is signed in.
    pub(super) fn frame_of(&self, session: &Session, retour: Option<LocalPath>) -> Frame {
        let who = session.stage().holder().account().as_str();
        let failures = self.failures_notice(session.stage().holder().before());
        let notices = failures.into_iter().chain(self.password_notice(session.stage())).collect();
        Frame { notices, ..self.frame(Some(who), retour) }
    }

    /// The page to go to first for one whom signing in leads straight to a Caf, past every page that tells: the home
    /// page, where something is to be known now. That is a password in its last days, many failed tries, or one that
    /// falls due in a campaign that is near (see [`Portal::is_worth_changing`]).
    pub(super) fn first_told(&self, session: &Session, retour: Option<&LocalPath>) -> Option<LocalPath> {
        let stage = session.stage();
        if self.places.elsewhere || !matches!(stage, Stage::Ready(_)) {
            return None;
        }
        let (now, failures) = (self.clock.now(), stage.holder().before().failures);
        let changed_at = stage.holder().password_changed_at();
        let age = self.desk.accounts.password_age(changed_at);
        let is_due = || age.days_left(now) <= FEW_DAYS || self.is_worth_changing(changed_at, age.due());
        (failures >= MANY_FAILURES || is_due()).then(|| self.home(retour)).flatten()
    }

    /// Whether a campaign is near in which the password falls due, and changing it is of use: it is older than that
    /// news, or a new one would last to the campaign's end. Who followed the advice is not told the same next day.
    fn is_worth_changing(&self, changed_at: Timestamp, due: Timestamp) -> bool {
        let now = self.clock.now();
        let covers = |campaign: &Campaign| {
            let day = self.calendar.covering_day(campaign, self.password.max_age);
            day.is_some_and(|day| day <= self.calendar.day(now))
        };
        let campaign = self.calendar.campaign_of(due, now);
        campaign
            .filter(|campaign| self.calendar.is_near(campaign, now))
            .is_some_and(|campaign| self.calendar.is_from_before(&campaign, changed_at) || covers(&campaign))
    }

    /// That others tried the password.
    fn failures_notice(&self, before: Before) -> Option<Notice> {
        if before.failures == 0 {
            return None;
        }
        let failed = match before.failures {
            1 => "1 essai de connexion à votre compte a échoué".to_owned(),
            many => format!("{many} essais de connexion à votre compte ont échoué"),
        };
        let since = before.at.map_or_else(String::new, |at| {
            format!(" depuis votre connexion du {}", french::moment(&self.calendar.in_paris(at)))
        });
        Some(Notice {
            title: "Des essais de connexion ont échoué".to_owned(),
            detail: format!(
                "{failed}{since}. Si ce n’était pas vous, prévenez votre Caf et changez de mot de passe."
            ),
            link: Some(self.change_link()),
        })
    }

    fn password_notice(&self, stage: &Stage) -> Option<Notice> {
        if matches!(stage, Stage::MustChangePassword(_)) {
            return None;
        }
        let now = self.clock.now();
        let age = self.desk.accounts.password_age(stage.holder().password_changed_at());
        let expires = french::moment(&self.calendar.in_paris(age.due()));
        let days_left = age.days_left(now);
        if days_left <= FEW_DAYS {
            let title = "Votre mot de passe expire bientôt".to_owned();
            let left = french::plural(days_left.into(), "jour");
            let detail = format!("Il reste {left} pour le changer\u{a0}: il expire le {expires}.");
            return Some(Notice { title, detail, link: Some(self.change_link()) });
        }
        let campaign = self.calendar.campaign_of(age.due(), now)?;
        self.calendar.is_near(&campaign, now).then(|| self.campaign_notice(&campaign, &expires))
    }

    /// In November: that the password will not last, and when to change it for one that will.
    fn campaign_notice(&self, campaign: &Campaign, expires: &str) -> Notice {
        let closes = french::day(campaign.closes);
        let advice = match self.calendar.covering_day(campaign, self.password.max_age) {
            Some(day) if day <= self.calendar.day(self.clock.now()) => {
                format!(
                    " Changé dès maintenant, il servira jusqu’à la fin de la campagne, le {closes} inclus."
                )
            }
            Some(day) => format!(
                " Changé à partir du {}, il servira jusqu’à la fin de la campagne, le {closes} inclus.",
                french::day(day)
            ),
            None => String::new(),
        };
        Notice {
            title: "Votre mot de passe expirera pendant la campagne".to_owned(),
            detail: format!("Il expire le {expires}, alors que vous déclarerez peut-être.{advice}"),
            link: Some(self.change_link()),
        }
    }

    fn change_link(&self) -> (String, String) {
        (format!("{}/mot-de-passe", self.site.prefix), "Le changer maintenant".to_owned())
    }
}
