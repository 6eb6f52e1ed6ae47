//! The one rule, on a clock that the test moves.

use proptest::prelude::*;

use super::super::made::{about, after, at, brought, clocks, ending, leased, seconds};
use super::*;

fn kept(brought: Brought) -> Kept {
    Kept::new(about("ghcr.io"), brought, at(0), 0.0)
}

/// The last second at which it is given out, and the last at which it may be used; `None`: at none.
fn last(kept: &Kept) -> (Option<u64>, Option<u64>) {
    let until = 3 * 3600;
    let last = |is_so: &dyn Fn(Moment) -> bool| (0..until).rev().find(|time| is_so(at(*time)));
    (last(&|now| kept.is_fresh(now)), last(&|now| kept.is_valid(now)).filter(|time| *time < until - 1))
}

#[test]
fn what_expires_is_given_out_while_five_minutes_or_half_of_its_life_is_left() {
    for (life, given_out) in [(3600, 3300), (601, 301), (600, 300), (300, 150), (60, 30), (2, 1)] {
        assert_eq!(last(&kept(ending(life))), (Some(given_out), Some(life - 1)), "{life}");
        let leased = kept(leased("l", seconds(life)));
        assert_eq!(last(&leased), (Some(given_out), Some(life - 1)), "{life}");
    }
}

#[test]
fn the_sooner_of_two_ends_counts() {
    let both = |lease, expires| Brought { expires: Some(at(expires).wall), ..leased("l", seconds(lease)) };
    assert_eq!(last(&kept(both(3600, 600))), (Some(300), Some(599)));
    assert_eq!(last(&kept(both(600, 3600))), (Some(300), Some(599)));
}

#[test]
fn what_states_no_expiry_is_given_out_for_the_ttl_and_may_be_used_on() {
    assert_eq!(
        last(&kept(brought())),
        (Some(299), Some(300 + 3599)),
        "an hour more where only the server is missing"
    );
    assert_eq!(kept(brought()).ends(), None);
}

#[test]
fn the_ttl_says_nothing_of_what_expires() {
    assert_eq!(last(&kept(Brought { ttl: seconds(0), ..ending(3600) })).0, Some(3300));
    assert_eq!(last(&kept(Brought { ttl: seconds(9000), ..ending(3600) })).0, Some(3300));
}

#[test]
fn nothing_is_kept_for_longer_than_the_rules_ttl() {
    let capped = |cap, brought| kept(Brought { cap: Some(seconds(cap)), ..brought });
    assert_eq!(last(&capped(60, brought())), (Some(59), Some(59)));
    assert_eq!(last(&capped(900, brought())), (Some(299), Some(899)));
    assert_eq!(last(&capped(60, ending(3600))), (Some(59), Some(59)));
    assert_eq!(last(&capped(7200, ending(3600))), (Some(3300), Some(3599)));
}

#[test]
fn what_is_over_or_not_to_be_kept_is_given_to_nobody_else() {
    let cases = [
        Brought { ttl: seconds(0), ..brought() },
        Brought { cap: Some(seconds(0)), ..brought() },
        Brought { cap: Some(seconds(0)), ..leased("l", seconds(600)) },
        Brought { expires: Some(at(0).wall), ..brought() },
        Brought { expires: Some(at(0).wall - seconds(3600)), ..brought() },
        leased("l", seconds(0)),
    ];
    for (number, one) in cases.into_iter().enumerate() {
        let one = kept(one);
        assert!(!one.is_keepable(), "{number}");
        assert_eq!(last(&one), (None, None), "{number}");
    }
}

#[test]
fn the_clock_that_went_further_counts() {
    let one = kept(ending(600));
    let hour = seconds(3600);
    // Set forward, or asleep meanwhile: the steady one stood still.
    assert!(!one.is_fresh(clocks(hour, seconds(1))) && !one.is_valid(clocks(hour, seconds(1))));
    // Set back by an hour and a day: the steady one goes on.
    let back = |steady| Moment { wall: at(0).wall - seconds(90_000), steady: at(steady).steady };
    assert!(one.is_fresh(back(300)) && !one.is_fresh(back(301)));
    assert!(one.is_valid(back(599)) && !one.is_valid(back(600)));
    let plain = kept(brought());
    assert!(plain.is_fresh(back(299)) && !plain.is_fresh(back(300)));
    assert!(!plain.is_fresh(clocks(hour, seconds(1))));
}

#[test]
fn a_renewed_lease_begins_its_life_anew_but_stays_as_old_as_it_is() {
    let one = kept(Brought { cap: Some(seconds(1000)), ..leased("l", seconds(600)) });
    let renewed = one.renewed(seconds(600), at(250), 0.0);
    assert_eq!(last(&renewed), (Some(550), Some(849)));
    assert_eq!(renewed.fetched.wall, at(0).wall);
    assert_eq!(renewed.ends(), Some(at(850).wall));
    assert_eq!(
        renewed.brought.lease.as_ref().unwrap().duration,
        seconds(600),
        "what is asked for the next time"
    );
    // The rule's own bound is not moved by renewals.
    let again = renewed.renewed(seconds(600), at(500), 0.0);
    assert_eq!(last(&again), (Some(800), Some(999)));
}

#[test]
fn a_lease_that_gets_less_is_at_its_bound_and_keeps_its_first_margin() {
    let one = kept(leased("l", seconds(60)));
    for (span, is_bound) in [(60, false), (59, false), (54, false), (52, true), (1, true), (0, true)] {
        assert_eq!(one.renewed(seconds(span), at(27), 0.0).is_at_its_bound(), is_bound, "{span}");
    }
    assert!(!one.is_at_its_bound());
    assert_eq!(last(&one.renewed(seconds(39), at(81), 0.0)), (Some(90), Some(119)), "30 s are left at 90 s");
    assert_eq!(last(&one.renewed(seconds(20), at(100), 0.0)), (None, Some(119)));
    assert_eq!(last(&one.renewed(seconds(0), at(100), 0.0)), (None, None));
    // Seconds are whole at the server: four that are three are not yet less.
    assert!(!kept(leased("l", seconds(4))).renewed(seconds(3), at(1), 0.0).is_at_its_bound());
}

#[test]
#[expect(clippy::print_stdout, reason = "the spread is worth a look: --nocapture")]
fn a_fleet_that_began_in_one_second_does_not_ask_again_in_one() {
    const HOSTS: usize = 10_000;
    let mut random = fastrand::Rng::with_seed(7);
    for (life, window) in [(3600, 360), (300, 30)] {
        let times: Vec<usize> = (0..=life).collect();
        let (mut fetches, mut renewals) = (vec![0; life + 1], vec![0; life + 1]);
        for _ in 0..HOSTS {
            let one = leased("l", seconds(life as u64));
            let one = Kept::new(about("ghcr.io"), one, at(0), random.f64());
            let first =
                |is_so: &dyn Fn(Moment) -> bool| times.partition_point(|time| !is_so(at(*time as u64)));
            fetches[first(&|now| !one.is_fresh(now))] += 1;
            renewals[first(&|now| one.is_half_over(now))] += 1;
        }
        for (what, asked) in [("fetches", fetches), ("renewals", renewals)] {
            let busiest = *asked.iter().max().unwrap();
            let seconds = asked.iter().filter(|count| **count > 0).count();
            println!("{life} s: {what} of {HOSTS} hosts in {seconds} s, at most {busiest} in one");
            assert!((window - 1..=window + 2).contains(&seconds), "{what}: {seconds}");
            assert!(busiest < 2 * HOSTS / window, "{what}: {busiest}");
        }
    }
}

proptest! {
    #[test]
    fn whoever_is_given_one_has_time_to_use_it(
        life in 1_u64..200_000_000, now in 0.0..1.2_f64, jitter in -1.0..2.0_f64, second in 0_u64..200_000_000,
    ) {
        let life = Duration::from_millis(life);
        let one = Kept::new(about("ghcr.io"), leased("l", life), at(0), jitter);
        let now = life.mul_f64(now);
        let enough = seconds(300).min(life / 2);
        if one.is_fresh(after(now)) {
            prop_assert!(now + enough <= life);
            prop_assert!(one.is_valid(after(now)));
        }
        // Without a reason to fetch anew it is given out: for two fifths at least.
        prop_assert!(one.is_fresh(after(life * 2 / 5)));
        prop_assert!(!one.is_valid(after(life)) && !one.is_fresh(after(life)));
        // Renewed before, by as much as a renewal may take, and not long before half of its life.
        let last = life - enough - (life / 10).mul_f64(jitter.clamp(0.0, 1.0));
        let lead = seconds(5).min(life / 10);
        prop_assert!(one.is_half_over(after(last - lead)));
        prop_assert!(!one.is_half_over(after(life.mul_f64(0.29))));
        // Whatever a renewal gave, nobody is given one with less left than of the first.
        let span = Duration::from_millis(second);
        let renewed = one.renewed(span, at(0), jitter);
        if renewed.is_fresh(after(now)) {
            prop_assert!(now + enough <= span);
        }
    }

    #[test]
    fn no_times_are_too_large(life: u64, ttl: u64, cap: Option<u64>, nanos in 0_u32..1_000_000_000, wall: u32, jitter: f64) {
        let life = Duration::new(life, nanos);
        let brought =
            Brought { ttl: Duration::new(ttl, nanos), cap: cap.map(seconds), ..leased("l", life) };
        let one = Kept::new(about("ghcr.io"), brought, at(0), jitter);
        let now = clocks(seconds(wall.into()), Duration::ZERO);
        for one in [one.renewed(life, now, jitter), one.renewed(Duration::MAX, now, jitter), one] {
            let _ = (one.is_fresh(now), one.is_valid(now), one.is_half_over(now), one.is_at_its_bound(), one.ends());
        }
    }
}
