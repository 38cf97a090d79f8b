//! Who gets the next request: the less loaded of two that are drawn by weight (the power of two choices).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Member, Team};
use crate::forward::error::Reason;
use crate::forward::sticky::Mark;

impl Team {
    /// The place of an instance among `members`. The one that a cookie is marked with goes first, even while it is
    /// drained: its sessions end where they began. `not` was tried already.
    pub(in crate::forward) fn choose(&self, marked: Option<Mark>, not: &[usize]) -> Result<usize, Reason> {
        if self.is_draining() {
            return Err(Reason::Drained);
        }
        if let Some(place) = marked.and_then(|mark| self.members.iter().position(|one| one.mark == mark))
            && self.members.get(place).is_some_and(|member| member.health.is_up())
            && !not.contains(&place)
        {
            return Ok(place);
        }
        // Most Cafs have one instance.
        if let ([member], []) = (self.members.as_slice(), not) {
            return if member.is_draining() {
                Err(Reason::Drained)
            } else if member.health.fails_checks() {
                Err(Reason::Unwell)
            } else {
                Ok(0)
            };
        }
        self.draw(not)
    }

    /// Whether an instance that was chosen a while ago has not been taken out of service by an operator since.
    pub(in crate::forward) fn still_takes(&self, member: &Member, marked: Option<Mark>) -> bool {
        !self.is_draining() && (!member.is_draining() || marked == Some(member.mark))
    }

    /// The others that would take a request, but for those that were tried.
    pub(in crate::forward) fn others<'a>(
        &'a self,
        than: usize,
        not: &'a [usize],
    ) -> impl Iterator<Item = usize> + 'a {
        let members = self.members.iter().enumerate();
        let open = members
            .filter(move |(place, member)| *place != than && !not.contains(place) && self.share(member) > 0);
        open.map(|(place, _)| place)
    }

    /// Whether one more request may be sent a second time, to another than those that were tried; it is then counted.
    pub(in crate::forward) fn may_retry(&self, tried: &[usize]) -> bool {
        self.others(usize::MAX, tried).next().is_some() && self.may_repeat()
    }

    /// Whether one more request may be sent a second time; it is then counted.
    pub(in crate::forward) fn may_repeat(&self) -> bool {
        let may = self.budget.take();
        if may {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    fn draw(&self, not: &[usize]) -> Result<usize, Reason> {
        let Some(first) = self.draw_one(not, None) else { return self.last_resort(not) };
        let Some(second) = self.draw_one(not, Some(first.0)) else { return Ok(first.0) };
        let busy = |place: usize| self.members.get(place).map_or(0, |member| member.room.busy() as u64);
        // Loads in proportion to shares, without a division; the one drawn first wins a draw.
        let is_lighter = busy(second.0) * first.1 < busy(first.0) * second.1;
        Ok(if is_lighter { second.0 } else { first.0 })
    }

    /// One instance and its share, each as likely as its share is large.
    fn draw_one(&self, not: &[usize], nor: Option<usize>) -> Option<(usize, u64)> {
        let open = || {
            let members = self.members.iter().enumerate();
            let others = members.filter(|(place, _)| !not.contains(place) && nor != Some(*place));
            others.map(|(place, member)| (place, self.share(member))).filter(|(_, share)| *share > 0)
        };
        let total: u64 = open().map(|(_, share)| share).sum();
        let mut ticket = fastrand::u64(..total.max(1));
        let mut last = None;
        for (place, share) in open() {
            last = Some((place, share));
            if ticket < share {
                break;
            }
            ticket -= share;
        }
        last
    }

    /// Where nobody is well: one that is left alone only because it failed is better than nothing.
    fn last_resort(&self, not: &[usize]) -> Result<usize, Reason> {
        let members = || self.members.iter().enumerate().filter(|(place, _)| !not.contains(place));
        let passes =
            |(_, member): &(usize, &Arc<Member>)| !member.is_draining() && !member.health.fails_checks();
        let place = members().filter(passes).min_by_key(|(_, member)| member.room.busy());
        let is_any_to_be_asked = members().any(|(_, member)| !member.is_draining());
        let reason = if is_any_to_be_asked { Reason::Unwell } else { Reason::Drained };
        place.map(|(place, _)| place).ok_or(reason)
    }

    /// What a member is to get beside the others: its weight, less while it is just back, nothing while it is out.
    fn share(&self, member: &Member) -> u64 {
        if member.is_draining() || !member.health.is_up() {
            return 0;
        }
        u64::from(member.weight) * member.health.share(self.rule.slow_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::domain::Clock;
    use crate::forward::Fleet;
    use crate::forward::testing::timeouts;

    fn team(weights: &[u32]) -> Arc<Team> {
        let addresses: Vec<_> = (1_000..).zip(weights).map(|(port, _)| ("127.0.0.1", port)).collect();
        let caf = config::Caf { weights: weights.to_vec(), ..config::Caf::least("921", "x", &addresses) };
        let fleet = Fleet::of(&[caf], &timeouts(), &Clock::system()).unwrap();
        Arc::clone(&fleet.teams()[0])
    }

    fn drawn(team: &Team, not: &[usize]) -> Vec<u32> {
        let mut counts = vec![0; team.members.len()];
        for _ in 0..6_000 {
            counts[team.choose(None, not).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn idle_instances_get_what_their_weights_say() {
        let counts = drawn(&team(&[1, 2, 3]), &[]);
        for (count, expected) in counts.iter().zip([1_000, 2_000, 3_000]) {
            assert!(count.abs_diff(expected) < 300, "{counts:?}");
        }
        assert_eq!(drawn(&team(&[1, 1]), &[0]), [0, 6_000]);
    }

    #[test]
    fn a_busy_instance_gets_none_while_another_has_time() {
        let team = team(&[1, 1]);
        assert!(team.members[0].room.enter());
        assert_eq!(drawn(&team, &[]), [0, 6_000]);
        for _ in 0..3 {
            assert!(team.members[1].room.enter());
        }
        assert_eq!(drawn(&team, &[]), [6_000, 0]);
    }

    #[test]
    fn loads_are_compared_by_weight() {
        let team = team(&[1, 4]);
        for _ in 0..3 {
            assert!(team.members[1].room.enter());
        }
        assert!(team.members[0].room.enter());
        assert_eq!(drawn(&team, &[]), [0, 6_000], "three of four are less than one of one");
    }

    #[test]
    fn who_is_drained_or_fails_its_checks_gets_none() {
        let team = team(&[1, 1, 1]);
        team.members[0].is_draining.store(true, Ordering::Relaxed);
        team.members[1].health.checked(false);
        assert_eq!(drawn(&team, &[]), [0, 0, 6_000]);
        assert!(matches!(team.choose(None, &[2]), Err(Reason::Unwell)));
        assert!(matches!(team.choose(None, &[1, 2]), Err(Reason::Drained)));
        assert_eq!((team.others(9, &[2]).next(), team.others(9, &[0]).next()), (None, Some(2)));
        let marked = |place: usize| team.choose(Some(team.members[place].mark), &[]).unwrap();
        assert_eq!(marked(0), 0, "its sessions end where they began");
        assert_eq!(marked(1), 2);
        team.is_draining.store(true, Ordering::Relaxed);
        assert!(matches!(team.choose(None, &[]), Err(Reason::Drained)));
    }

    #[test]
    fn the_only_instance_is_asked_unless_it_fails_its_checks() {
        let team = team(&[1]);
        for _ in 0..100 {
            team.failed(&team.members[0], &"broken");
        }
        assert_eq!(team.choose(None, &[]).unwrap(), 0);
        team.members[0].health.checked(false);
        assert!(matches!(team.choose(None, &[]), Err(Reason::Unwell)));
    }
}
