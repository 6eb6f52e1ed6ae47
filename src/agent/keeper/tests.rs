//! Who fetches, who waits and what is given back, on a clock that the test moves.

mod any_order;
mod renewals;

use super::super::line::About;
use super::super::made::{after, at, brought, ending, failure, leased, seconds, want};
use super::*;

/// One who waits is known by its number.
type Waiters = Keeper<Who>;

/// What one is told, in short.
fn told(turn: &Turn) -> String {
    match turn {
        Turn::Failed(failed) => format!("failed: {:?}", failed.kind),
        Turn::Fetch => "fetch".to_owned(),
        Turn::Kept(kept) => match &kept.brought.lease {
            Some(lease) => format!("kept: {}", lease.id),
            None => "kept".to_owned(),
        },
    }
}

fn turns(turns: Turns<Who>) -> Vec<String> {
    turns.iter().map(|(who, turn)| format!("{who} {}", told(turn))).collect()
}

impl Waiters {
    fn asks(&mut self, who: Who, key: &str, now: Moment) -> String {
        self.want(who, &want(key), who, now).map_or_else(|| "wait".to_owned(), |turn| told(&turn))
    }

    fn brings(&mut self, who: Who, key: &str, brought: Brought, now: Moment) -> Vec<String> {
        turns(self.have(who, &want(key), brought, now, 0.0))
    }

    fn fails(&mut self, who: Who, key: &str, kind: Kind, now: Moment) -> (String, Vec<String>) {
        let (own, others) = self.failed(who, failure(key, kind), now);
        (told(&own), turns(others))
    }

    /// Leases that are given out, and those that no longer are.
    fn leases(&self) -> (Vec<&str>, Vec<&str>) {
        let kept = self.kept().filter_map(|kept| Some(kept.brought.lease.as_ref()?.id.as_str()));
        (kept.collect(), ids(self.old()))
    }
}

fn ids(held: &[Held]) -> Vec<&str> {
    held.iter().map(|held| held.lease.id.as_str()).collect()
}

#[test]
fn one_fetches_and_all_who_wait_are_given_it() {
    let mut keeper = Waiters::new();
    assert_eq!(keeper.asks(1, "a", at(0)), "fetch");
    assert_eq!([2, 3].map(|who| keeper.asks(who, "a", at(0))), ["wait", "wait"]);
    assert_eq!(keeper.asks(4, "b", at(0)), "fetch", "another key");
    assert_eq!(keeper.brings(1, "a", brought(), at(1)), ["2 kept", "3 kept"]);
    assert_eq!(keeper.asks(5, "a", at(300)), "kept");
    assert_eq!(keeper.asks(5, "a", at(301)), "fetch");
}

#[test]
fn what_is_over_already_is_given_to_those_who_wait_and_kept_for_nobody() {
    let mut keeper = Waiters::new();
    let cases = [("over", ending(0)), ("ttl", Brought { ttl: seconds(0), ..brought() })];
    for (key, one) in cases {
        assert_eq!(keeper.asks(1, key, at(1)), "fetch");
        assert_eq!(keeper.asks(2, key, at(1)), "wait");
        assert_eq!(keeper.brings(1, key, one, at(1)), ["2 kept"]);
        assert_eq!(keeper.asks(3, key, at(1)), "fetch");
        assert_eq!(keeper.kept().count(), 0);
    }
    // Its lease is ours to give back all the same.
    let capped = Brought { cap: Some(seconds(0)), ..leased("l", seconds(60)) };
    assert_eq!(keeper.asks(1, "capped", at(1)), "fetch");
    assert!(keeper.brings(1, "capped", capped, at(1)).is_empty());
    assert_eq!(keeper.leases(), (vec![], vec!["l"]));
}

#[test]
fn one_that_goes_away_or_takes_too_long_is_followed_by_the_next() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    assert!([2, 3, 4].iter().all(|who| keeper.asks(*who, "a", at(1)) == "wait"));
    assert_eq!(turns(keeper.gone(2, at(1))), [""; 0], "it only waited");
    assert_eq!(turns(keeper.gone(1, at(2))), ["3 fetch"]);
    assert_eq!(turns(keeper.overdue(after(Duration::from_millis(6999)))), [""; 0]);
    assert_eq!(turns(keeper.overdue(at(7))), ["4 fetch"]);
    assert_eq!(turns(keeper.overdue(at(60))), [""; 0], "nobody waits for it");
    // Two of them come back: the last one is given out, and both leases are known.
    assert_eq!(keeper.asks(5, "a", at(60)), "wait");
    assert_eq!(keeper.brings(4, "a", leased("four", seconds(600)), at(60)), ["5 kept: four"]);
    assert!(keeper.brings(3, "a", leased("three", seconds(600)), at(61)).is_empty());
    assert_eq!(keeper.leases(), (vec!["three"], vec!["four"]));
    assert_eq!(turns(keeper.gone(4, at(61))), [""; 0]);
}

#[test]
fn one_that_fails_too_late_spoils_nothing_for_those_who_wait_for_another() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.asks(2, "a", at(0));
    keeper.asks(3, "a", at(0));
    assert_eq!(turns(keeper.overdue(at(5))), ["2 fetch"]);
    assert_eq!(keeper.fails(1, "a", Kind::Unavailable, at(6)), ("failed: Unavailable".to_owned(), vec![]));
    assert_eq!(keeper.asks(4, "a", at(6)), "wait");
    assert_eq!(keeper.brings(2, "a", brought(), at(7)), ["3 kept", "4 kept"]);
}

#[test]
fn a_failure_is_told_to_all_who_wait_and_remembered_for_two_seconds() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.asks(2, "a", at(0));
    let (own, others) = keeper.fails(1, "a", Kind::Missing, at(1));
    assert_eq!((own.as_str(), others), ("failed: Missing", vec!["2 failed: Missing".to_owned()]));
    assert_eq!(keeper.asks(3, "a", after(Duration::from_millis(2999))), "failed: Missing");
    assert_eq!(keeper.asks(3, "b", at(1)), "fetch", "another key");
    assert_eq!(keeper.asks(3, "a", at(3)), "fetch");
    keeper.brings(3, "a", brought(), at(3));
    assert_eq!(keeper.asks(4, "a", at(3)), "kept", "a success ends it");
}

#[test]
fn a_kept_one_is_given_while_the_server_is_away_and_at_no_other_failure() {
    const KINDS: [Kind; 6] = [
        Kind::Denied,
        Kind::Malformed,
        Kind::Missing,
        Kind::RefusedLogin,
        Kind::Unauthenticated,
        Kind::Untrusted,
    ];
    let later = |kind, now| {
        let mut keeper = Waiters::new();
        keeper.asks(1, "a", at(0));
        keeper.brings(1, "a", ending(600), at(0));
        assert_eq!(keeper.asks(2, "a", now), "fetch");
        assert_eq!(keeper.asks(3, "a", now), "wait");
        let (own, others) = keeper.fails(2, "a", kind, now);
        assert_eq!(others, [format!("3 {own}")]);
        assert_eq!(keeper.asks(4, "a", now), own, "remembered");
        own
    };
    assert_eq!(later(Kind::Unavailable, at(301)), "kept");
    assert_eq!(later(Kind::Unavailable, at(599)), "kept");
    assert_eq!(later(Kind::Unavailable, at(600)), "failed: Unavailable", "after its end");
    for kind in KINDS {
        assert_eq!(later(kind, at(301)), format!("failed: {kind:?}"));
    }
}

#[test]
fn a_refused_login_is_not_tried_again_for_any_place_until_it_is_another_one() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    assert_eq!(keeper.fails(1, "a", Kind::RefusedLogin, at(0)).0, "failed: RefusedLogin");
    // Servers lock a role after five, whatever they were to read.
    for (who, key) in (2..).zip(["a", "b", "c", "d", "e", "f", "g"]) {
        assert_eq!(keeper.asks(who, key, at(299)), "failed: RefusedLogin", "{key}");
        keeper.sweep(at(299));
    }
    let rotated = Want { login: "another login".to_owned(), ..want("h") };
    assert!(matches!(keeper.want(9, &rotated, 9, at(299)), Some(Turn::Fetch)));
    assert_eq!(keeper.asks(10, "a", at(300)), "fetch");
    // One that works is not refused any more.
    assert_eq!(keeper.fails(10, "a", Kind::RefusedLogin, at(300)).0, "failed: RefusedLogin");
    keeper.brings(11, "b", brought(), at(301));
    assert_eq!(keeper.asks(12, "a", at(301)), "fetch");
}

#[test]
fn a_flush_forgets_a_refused_login_of_every_registry_that_was_told_of_it() {
    let named = |registry: &str| {
        let about = About { registry: registry.to_owned(), ..want("a").about };
        Want { key: registry.to_owned(), about, ..want("a") }
    };
    for flushed in [vec![], vec!["ghcr.io".to_owned()], vec!["docker.io".to_owned()]] {
        let mut keeper = Waiters::new();
        keeper.want(1, &named("ghcr.io"), 1, at(0));
        keeper.failed(1, Failed { key: "ghcr.io".to_owned(), ..failure("a", Kind::RefusedLogin) }, at(0));
        assert!(matches!(keeper.want(2, &named("docker.io"), 2, at(9)), Some(Turn::Failed(_))));
        keeper.sweep(at(10));
        keeper.flush(&["quay.io".to_owned()]);
        assert!(matches!(keeper.want(2, &named("docker.io"), 2, at(10)), Some(Turn::Failed(_))));
        keeper.flush(&flushed);
        assert!(matches!(keeper.want(3, &named("docker.io"), 3, at(10)), Some(Turn::Fetch)), "{flushed:?}");
    }
}

#[test]
fn a_flush_hands_over_every_lease_of_a_registry_once() {
    let mut keeper = Waiters::new();
    let other = Want { about: About { registry: "quay.io".to_owned(), ..want("a").about }, ..want("a") };
    keeper.asks(1, "a", at(0));
    keeper.brings(1, "a", leased("one", seconds(600)), at(0));
    assert_eq!(
        keeper.want(2, &other, 2, at(1)).map(|turn| told(&turn)).unwrap(),
        "kept: one",
        "one key, two registries"
    );
    keeper.asks(3, "a", at(400));
    keeper.brings(3, "a", leased("two", seconds(600)), at(400));
    assert_eq!(keeper.leases(), (vec!["two"], vec!["one"]));
    assert!(keeper.flush(&["docker.io".to_owned()]).is_empty());
    let given = keeper.flush(&["quay.io".to_owned()]);
    assert_eq!(ids(&given), ["two", "one"]);
    assert_eq!(keeper.leases(), (vec![], vec![]));
    assert!(keeper.flush(&[]).is_empty());
    // What could not be given back stays listed, until its end.
    given.into_iter().for_each(|held| keeper.put_back(held));
    keeper.sweep(at(600));
    assert_eq!(keeper.leases(), (vec![], vec!["two"]));
    assert_eq!(ids(&keeper.flush(&[])), ["two"]);
}

#[test]
fn what_was_fetched_before_a_flush_is_not_kept_after_it() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.asks(2, "a", at(0));
    assert!(keeper.flush(&["ghcr.io".to_owned()]).is_empty());
    assert_eq!(keeper.brings(1, "a", leased("l", seconds(600)), at(1)), ["2 kept: l"]);
    assert_eq!(keeper.leases(), (vec![], vec!["l"]));
    assert_eq!(keeper.asks(3, "a", at(1)), "fetch");
    keeper.brings(3, "a", leased("m", seconds(600)), at(1));
    assert_eq!(keeper.leases(), (vec!["m"], vec!["l"]));
}

#[test]
fn a_lease_that_is_not_ours_is_given_out_and_never_given_back() {
    let mut keeper = Waiters::new();
    let mut agents = leased("l", seconds(600));
    agents.lease.as_mut().unwrap().holder = None;
    keeper.asks(1, "a", at(0));
    keeper.brings(1, "a", agents, at(0));
    assert_eq!(keeper.asks(2, "a", at(290)), "kept: l");
    assert!(keeper.begin_renewals(at(290)).is_empty());
    assert!(keeper.flush(&[]).is_empty());
}

#[test]
fn what_has_ended_is_dropped_and_what_was_only_capped_is_given_back() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.brings(1, "a", Brought { cap: Some(seconds(60)), ..leased("capped", seconds(600)) }, at(0));
    keeper.asks(2, "b", at(0));
    keeper.brings(2, "b", leased("short", seconds(100)), at(0));
    keeper.sweep(at(59));
    assert_eq!(keeper.leases(), (vec!["capped", "short"], vec![]));
    keeper.sweep(at(60));
    assert_eq!(keeper.leases(), (vec!["short"], vec!["capped"]));
    keeper.sweep(at(100));
    assert_eq!(keeper.leases(), (vec![], vec!["capped"]));
    keeper.sweep(at(600));
    assert_eq!(keeper.leases(), (vec![], vec![]));
    assert!(keeper.entries.is_empty());
}

#[test]
fn what_nobody_asks_for_any_more_is_dropped_though_it_states_no_expiry() {
    let mut keeper = Waiters::new();
    keeper.asks(1, "a", at(0));
    keeper.brings(1, "a", brought(), at(0));
    keeper.asks(2, "long", at(0));
    keeper.brings(2, "long", Brought { ttl: seconds(7200), ..brought() }, at(0));
    keeper.sweep(at(1799));
    assert_eq!(keeper.kept().count(), 2, "the server may be away when it is asked for the next time");
    keeper.sweep(at(1800));
    assert_eq!(keeper.kept().count(), 1, "the config says for how long");
    keeper.sweep(at(7200));
    assert_eq!(keeper.kept().count(), 0);
    assert!(keeper.entries.is_empty());
}
