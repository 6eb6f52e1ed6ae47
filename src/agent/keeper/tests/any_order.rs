//! Whatever many clients say in whatever order: what always holds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::super::made::clocks;
use super::*;

const KEYS: [&str; 3] = ["a", "b", "c"];
const LOGINS: [&str; 3] = ["one", "one", "two"];
const REGISTRIES: [&str; 2] = ["ghcr.io", "quay.io"];

#[derive(Clone, Debug)]
enum Step {
    Ask {
        who: Who,
        key: usize,
        registry: usize,
    },
    /// It brings what it was to fetch: a lease that lives for so long, or none.
    Bring {
        who: Who,
        lease: Option<u64>,
        cap: Option<u64>,
        ttl: u64,
    },
    Fail {
        who: Who,
        kind: Kind,
    },
    Leave {
        who: Who,
    },
    Flush {
        registry: Option<usize>,
    },
    /// The renewals that are due, and what each gets.
    Renew {
        life: Result<u64, Kind>,
    },
    Tick,
    Pass {
        wall: i64,
        steady: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..6_u64;
    let kind = || prop_oneof![Just(Kind::Unavailable), Just(Kind::Denied), Just(Kind::RefusedLogin)];
    let life = || prop_oneof![0..3_u64, 3..100_u64, 100..4000_u64];
    let lease = prop::option::of(life());
    let cap = prop::option::weighted(0.2, life());
    prop_oneof![
        6 => (who(), 0..3_usize, 0..2_usize).prop_map(|(who, key, registry)| Step::Ask { who, key, registry }),
        5 => (who(), lease, cap, life()).prop_map(|(who, lease, cap, ttl)| Step::Bring { who, lease, cap, ttl }),
        2 => (who(), kind()).prop_map(|(who, kind)| Step::Fail { who, kind }),
        2 => who().prop_map(|who| Step::Leave { who }),
        1 => prop::option::of(0..2_usize).prop_map(|registry| Step::Flush { registry }),
        2 => prop_oneof![life().prop_map(Ok), kind().prop_map(Err)].prop_map(|life| Step::Renew { life }),
        3 => Just(Step::Tick),
        4 => prop_oneof![0..10_u64, 10..1000_u64]
            .prop_map(|time| Step::Pass { wall: time.cast_signed(), steady: time }),
        1 => (-5000..5000_i64, 0..3_u64).prop_map(|(wall, steady)| Step::Pass { wall, steady }),
    ]
}

/// What a client is doing.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Doing {
    Fetching(usize),
    Waiting(usize),
}

/// A lease, as the one who made it would tell.
struct Made {
    fetched: Moment,
    whole: Duration,
    cap: Option<Duration>,
    since: Moment,
    life: Duration,
    is_given_back: bool,
    is_over: bool,
}

struct World {
    keeper: Waiters,
    wall: i64,
    steady: u64,
    clients: BTreeMap<Who, Doing>,
    /// Who fetches a key, as far as anybody was told.
    fetching: [Option<Who>; 3],
    /// When the server was last said to be away.
    away: [Option<Moment>; 3],
    leases: BTreeMap<String, Made>,
}

impl World {
    fn new() -> Self {
        Self {
            keeper: Waiters::new(),
            wall: 1_000_000,
            steady: 0,
            clients: BTreeMap::new(),
            fetching: [None; 3],
            away: [None; 3],
            leases: BTreeMap::new(),
        }
    }

    fn now(&self) -> Moment {
        clocks(seconds(u64::try_from(self.wall).unwrap()), seconds(self.steady))
    }

    fn want(key: usize, registry: usize) -> Want {
        let about = About { registry: REGISTRIES[registry].to_owned(), ..want("").about };
        Want { login: LOGINS[key].to_owned(), about, ..want(KEYS[key]) }
    }

    fn run(&mut self, step: Step) {
        let now = self.now();
        match step {
            Step::Ask { who, key, registry } if !self.clients.contains_key(&who) => {
                self.ask(who, key, registry, now);
            }
            Step::Ask { .. } => {}
            Step::Bring { who, lease, cap, ttl } => {
                let Some(Doing::Fetching(key)) = self.clients.get(&who).copied() else { return };
                let brought = self.made(lease, cap, ttl, now);
                self.ended(who, key);
                let turns = self.keeper.have(who, &Self::want(key, 0), brought, now, 0.5);
                assert!(turns.iter().all(|(_, turn)| matches!(turn, Turn::Kept(_))));
                self.hear(turns);
                assert!(!self.clients.values().any(|doing| *doing == Doing::Waiting(key)), "all are told");
            }
            Step::Fail { who, kind } => {
                let Some(Doing::Fetching(key)) = self.clients.get(&who).copied() else { return };
                self.ended(who, key);
                if kind == Kind::Unavailable {
                    self.away[key] = Some(now);
                }
                let failed = Failed { login: LOGINS[key].to_owned(), ..failure(KEYS[key], kind) };
                let (own, turns) = self.keeper.failed(who, failed, now);
                match own {
                    Turn::Fetch => panic!("it has failed just now"),
                    Turn::Kept(kept) => self.may_be_given(key, &kept, now),
                    Turn::Failed(_) => {}
                }
                self.hear(turns);
            }
            Step::Leave { who } => {
                if let Some(Doing::Fetching(key)) = self.clients.get(&who).copied() {
                    self.ended(who, key);
                }
                self.clients.remove(&who);
                let turns = self.keeper.gone(who, now);
                self.hear(turns);
            }
            Step::Flush { registry } => {
                let named: Vec<String> = registry.iter().map(|one| REGISTRIES[*one].to_owned()).collect();
                for held in self.keeper.flush(&named) {
                    let made = self.leases.get_mut(&held.lease.id).unwrap();
                    assert!(!made.is_given_back, "{} is given back once", held.lease.id);
                    made.is_given_back = true;
                }
            }
            Step::Renew { life } => {
                let life = life.map(seconds);
                for (key, lease) in self.keeper.begin_renewals(now) {
                    let made = self.leases.get_mut(&lease.id).unwrap();
                    assert!(!made.is_given_back && now.since(&made.since) < made.life, "{}", lease.id);
                    self.keeper.renewed(&key, &lease.id, life, now, 0.5);
                    if let Ok(life) = life {
                        (made.since, made.life) = (now, life);
                    }
                }
            }
            Step::Tick => {
                self.keeper.sweep(now);
                for (who, turn) in self.keeper.overdue(now) {
                    let Some(Doing::Waiting(key)) = self.clients.get(&who).copied() else { panic!("{who}") };
                    // The one before may still come back.
                    self.fetching[key] = None;
                    self.hear(vec![(who, turn)]);
                }
            }
            Step::Pass { wall, steady } => {
                (self.wall, self.steady) = ((self.wall + wall).max(0), self.steady + steady);
            }
        }
    }

    fn ask(&mut self, who: Who, key: usize, registry: usize, now: Moment) {
        match self.keeper.want(who, &Self::want(key, registry), who, now) {
            None => {
                self.clients.insert(who, Doing::Waiting(key));
            }
            Some(Turn::Fetch) => self.fetches(who, key),
            Some(Turn::Kept(kept)) => self.may_be_given(key, &kept, now),
            Some(Turn::Failed(_)) => {}
        }
    }

    fn made(&mut self, lease: Option<u64>, cap: Option<u64>, ttl: u64, now: Moment) -> Brought {
        let cap = cap.map(seconds);
        let Some(life) = lease.map(seconds) else {
            return Brought { cap, ttl: seconds(ttl), ..brought() };
        };
        let id = format!("lease {}", self.leases.len());
        let (is_given_back, is_over) = (false, false);
        let made = Made { fetched: now, whole: life, cap, since: now, life, is_given_back, is_over };
        self.leases.insert(id.clone(), made);
        Brought { cap, ..leased(&id, life) }
    }

    fn fetches(&mut self, who: Who, key: usize) {
        assert_eq!(self.fetching[key], None, "one fetches at a time");
        self.fetching[key] = Some(who);
        self.clients.insert(who, Doing::Fetching(key));
    }

    fn ended(&mut self, who: Who, key: usize) {
        self.clients.remove(&who);
        if self.fetching[key] == Some(who) {
            self.fetching[key] = None;
        }
    }

    fn hear(&mut self, turns: Turns<Who>) {
        for (who, turn) in turns {
            let Some(Doing::Waiting(key)) = self.clients.remove(&who) else { panic!("{who} did not wait") };
            if let Turn::Fetch = turn {
                self.fetches(who, key);
            }
        }
    }

    /// What is given from memory: enough of it is left, unless the server was away a moment ago.
    fn may_be_given(&self, key: usize, kept: &Kept, now: Moment) {
        let Some(lease) = &kept.brought.lease else { return };
        let made = &self.leases[&lease.id];
        let left = made.life.saturating_sub(now.since(&made.since));
        assert!(!made.is_given_back && !left.is_zero(), "{} is over", lease.id);
        assert!(made.cap.is_none_or(|cap| now.since(&made.fetched) < cap), "{} is capped", lease.id);
        let is_away = self.away[key].is_some_and(|at| now.since(&at) < seconds(2));
        assert!(is_away || left >= seconds(300).min(made.whole / 2), "{} has {left:?} left", lease.id);
    }

    fn check(&mut self) {
        for (key, name) in KEYS.iter().enumerate() {
            let waiting = self.clients.values().filter(|doing| **doing == Doing::Waiting(key)).count();
            let entry = self.keeper.entries.get(*name);
            assert_eq!(entry.map_or(0, |entry| entry.waiting.len()), waiting, "who waits is known");
            let fetching = entry.and_then(|entry| entry.fetching.as_ref()).map(|fetching| fetching.who);
            assert_eq!(fetching, self.fetching[key], "who fetches is known");
            assert!(waiting == 0 || fetching.is_some(), "somebody fetches what others wait for");
        }
        let now = self.now();
        let (kept, old) = self.keeper.leases();
        for (id, made) in &mut self.leases {
            let times = kept.iter().chain(&old).filter(|held| **held == id.as_str()).count();
            // A clock that is set back does not bring back what was dropped.
            made.is_over |= times == 0 && now.since(&made.since) >= made.life;
            let expected = usize::from(!made.is_given_back && !made.is_over);
            assert_eq!(times, expected, "{id}: given back {}", made.is_given_back);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn many_clients_say_anything(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.check();
        }
        // When all are gone nobody waits, and when all is flushed nothing is left.
        for who in 0..6 {
            world.run(Step::Leave { who });
            world.check();
        }
        world.run(Step::Flush { registry: None });
        world.check();
        prop_assert!(world.keeper.entries.is_empty() && world.keeper.old().is_empty());
    }
}
