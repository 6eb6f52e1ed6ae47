//! A lease that is in use is renewed before it stops being given out, and is asked for as often as that takes.

use super::*;

/// Asks for one key every `every` seconds; what it was told, and when renewals were begun. `renew` answers them.
fn used(
    lease: Brought,
    every: u64,
    until: u64,
    renew: impl Fn(u64) -> Option<Result<Duration, Kind>>,
) -> (Vec<(u64, String)>, Vec<u64>) {
    let mut keeper = Waiters::new();
    assert_eq!(keeper.asks(0, "a", at(0)), "fetch");
    keeper.brings(0, "a", lease, at(0));
    let (mut all, mut renewals) = (Vec::new(), Vec::new());
    for now in 1..until {
        for (key, lease) in keeper.begin_renewals(at(now)) {
            renewals.push(now);
            if let Some(life) = renew(now) {
                keeper.renewed(&key, &lease.id, life, at(now), 1.0);
            }
        }
        keeper.sweep(at(now));
        if now % every == 0 {
            let told = keeper.asks(now, "a", at(now));
            let is_last = told == "fetch";
            all.push((now, told));
            if is_last {
                break;
            }
        }
    }
    (all, renewals)
}

#[test]
fn a_lease_in_use_is_never_made_twice() {
    for life in [20, 60, 300, 599, 600, 601, 700, 3600] {
        let (told, renewals) = used(leased("l", seconds(life)), 3, 5 * life, |_| Some(Ok(seconds(life))));
        assert!(told.iter().all(|(_, told)| told == "kept: l"), "{life}: {told:?}");
        // At half of its life, or where less of it is given out a little before that, and not more often.
        let gaps: Vec<u64> = renewals.windows(2).map(|two| two[1] - two[0]).collect();
        let usual = life * 3 / 10..=life / 2 + 3;
        assert!(!gaps.is_empty() && gaps.iter().all(|gap| usual.contains(gap)), "{life}: {renewals:?}");
    }
}

#[test]
fn at_its_bound_a_lease_is_renewed_no_more() {
    // Made for a minute at a time, two at most: database engines have such a `max_ttl`.
    let (told, renewals) =
        used(leased("l", seconds(60)), 1, 120, |now| Some(Ok(seconds(60).min(seconds(120 - now)))));
    let (last, end) = told.last().unwrap();
    assert_eq!(end, "fetch");
    assert!((80..=91).contains(last), "half of its first life is left: {last}");
    assert!(renewals.len() <= 4, "{renewals:?}");
}

#[test]
fn nobody_asks_nobody_renews() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.brings(1, "a", leased("l", seconds(60)), at(0));
    let renewed = |keeper: &mut Waiters, now| {
        let due = keeper.begin_renewals(at(now));
        for (key, lease) in &due {
            keeper.renewed(key, &lease.id, Ok(seconds(60)), at(now), 0.0);
        }
        due.len()
    };
    assert_eq!(renewed(&mut keeper, 24), 0);
    assert_eq!(renewed(&mut keeper, 25), 1, "it was asked for since it was made");
    assert_eq!(renewed(&mut keeper, 50), 0);
    assert_eq!(renewed(&mut keeper, 54), 0);
    assert_eq!(keeper.asks(2, "a", at(54)), "kept: l");
    assert_eq!(renewed(&mut keeper, 54), 1);
    assert_eq!(renewed(&mut keeper, 54), 0);
}

#[test]
fn who_asks_while_it_is_renewed_has_asked() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.brings(1, "a", leased("l", seconds(60)), at(0));
    assert_eq!(keeper.begin_renewals(at(26)).len(), 1);
    assert_eq!(keeper.asks(2, "a", at(27)), "kept: l");
    keeper.renewed("a", "l", Ok(seconds(60)), at(28), 0.0);
    assert_eq!(keeper.begin_renewals(at(28 + 26)).len(), 1);
}

#[test]
fn one_renewal_runs_at_a_time_and_a_refused_one_is_the_last() {
    // A server that never answers: each try ends after five seconds.
    let (_, renewals) = used(leased("l", seconds(3600)), 1, 1860, |_| None);
    assert!(renewals.windows(2).all(|two| two[1] - two[0] >= 6), "{renewals:?}");
    assert!(renewals.len() > 2, "{renewals:?}");
    // One that is away for a while.
    let away = |now| Some(if now < 1830 { Err(Kind::Unavailable) } else { Ok(seconds(3600)) });
    let (told, renewals) = used(leased("l", seconds(3600)), 1, 3500, away);
    let told = told.last().map(|(_, told)| told.as_str());
    assert_eq!((told, renewals), (Some("kept: l"), vec![1800, 1806, 1812, 1818, 1824, 1830, 3270]));
    // One that says no.
    let (told, renewals) = used(leased("l", seconds(600)), 1, 600, |_| Some(Err(Kind::Denied)));
    assert_eq!((told.last().unwrap(), renewals.len()), (&(301, "fetch".to_owned()), 1));
}

#[test]
fn a_renewal_is_of_the_lease_that_was_asked_for() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.brings(1, "a", leased("one", seconds(60)), at(0));
    assert_eq!(keeper.begin_renewals(at(26)).len(), 1);
    keeper.brings(2, "a", leased("two", seconds(60)), at(27));
    keeper.renewed("a", "one", Ok(seconds(60)), at(28), 0.0);
    assert_eq!(keeper.kept().next().unwrap().ends(), Some(at(87).wall));
    // It is given back until its new end, also where nobody is given it any more.
    keeper.sweep(at(80));
    assert_eq!(keeper.leases(), (vec!["two"], vec!["one"]));
    keeper.sweep(at(88));
    assert_eq!(keeper.leases(), (vec![], vec![]));
    keeper.renewed("a", "one", Ok(seconds(60)), at(88), 0.0);
    assert_eq!(keeper.leases(), (vec![], vec![]));
}
