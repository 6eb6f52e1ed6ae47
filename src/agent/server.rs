//! Server: the socket, one task for each caller, and giving everything back at the end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::geteuid;
use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, oneshot};
use tokio::time::{interval, timeout};

use super::keeper::{Held, Keeper, Turn};
use super::kept::Moment;
use super::line::{self, Have, Leased, Listed, Login, Said, Status, Told, VERSION};
use crate::credential::Lease;
use crate::deadline::Deadline;
use crate::error::Kind;
use crate::vault;

/// How long a caller may take to say something.
const CALLER_LIMIT: Duration = Duration::from_secs(60);
/// How long is spent on giving one lease back, with all its tries.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(5);
/// How often the end looks whether it is over.
const FAREWELL_TICK: Duration = Duration::from_millis(5);
/// How often what is late, run out or due is looked for.
const TICK: Duration = Duration::from_millis(250);
/// How long it stays without being asked, unless a caller's config says otherwise.
pub(crate) const DEFAULT_IDLE: Duration = Duration::from_secs(30 * 60);

/// What all tasks share.
struct Agent {
    keeper: RefCell<Keeper<oneshot::Sender<Turn>>>,
    /// Logins that no rule is for, by registry.
    logins: RefCell<BTreeMap<String, Login>>,
    /// Where it listens, for people.
    socket: String,
    started: Instant,
    /// Whether it ends when nobody asks any more.
    idles: bool,
    asked: Cell<Instant>,
    idle: Cell<Duration>,
    end: Notify,
    /// Whether nobody is kept waiting any more.
    is_ending: Cell<bool>,
    /// Who said stop, and is to be told what could not be given back.
    farewells: RefCell<Vec<oneshot::Sender<Vec<String>>>>,
    /// How many of them have not been told yet.
    leaving: Cell<usize>,
}

/// Answers on the socket until somebody says stop, `ended` comes or nobody asks any more; then gives everything back.
/// What could not be, in sentences.
pub(crate) async fn serve(
    listener: UnixListener,
    idles: bool,
    ended: impl Future<Output = ()>,
) -> Vec<String> {
    let socket = listener.local_addr().ok();
    let socket = socket.as_ref().and_then(|address| address.as_pathname());
    let socket = socket.map(|path| path.display().to_string()).unwrap_or_default();
    let now = Instant::now();
    let agent = Rc::new(Agent {
        keeper: RefCell::new(Keeper::new()),
        logins: RefCell::default(),
        socket,
        idles,
        started: now,
        asked: Cell::new(now),
        idle: Cell::new(DEFAULT_IDLE),
        end: Notify::new(),
        is_ending: Cell::new(false),
        farewells: RefCell::default(),
        leaving: Cell::new(0),
    });
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            let accepting = async {
                let mut next: u64 = 0;
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            next += 1;
                            tokio::task::spawn_local(Rc::clone(&agent).attend(stream, next));
                        }
                        // No more descriptors for a moment: callers wait in the queue.
                        Err(_) => tokio::time::sleep(TICK).await,
                    }
                }
            };
            tokio::select! {
                () = accepting => {}
                () = Rc::clone(&agent).watch() => {}
                () = agent.end.notified() => {}
                () = ended => {}
            }
            // Whoever asks from now on goes on without an agent.
            drop(listener);
            agent.wind_up().await
        })
        .await
}

impl Agent {
    fn now(&self) -> Moment {
        Moment { wall: SystemTime::now(), steady: self.started.elapsed() }
    }

    /// Looks after what nobody asks for: until it has been idle for too long.
    async fn watch(self: Rc<Self>) {
        let mut tick = interval(TICK);
        loop {
            tick.tick().await;
            let now = self.now();
            let late = self.keeper.borrow_mut().overdue(now);
            tell(late);
            self.keeper.borrow_mut().sweep(now);
            let due = self.keeper.borrow_mut().begin_renewals(now);
            for (key, lease) in due {
                tokio::task::spawn_local(Rc::clone(&self).renew(key, lease));
            }
            if self.idles && self.asked.get().elapsed() >= self.idle.get() {
                return;
            }
        }
    }

    async fn renew(self: Rc<Self>, key: String, leased: Leased) {
        let until = Deadline::new(Instant::now(), GIVE_BACK_LIMIT);
        let life = vault::renew(&lease(&leased), until).await.map_err(|problem| problem.kind);
        let now = self.now();
        self.keeper.borrow_mut().renewed(&key, &leased.id, life, now, jitter());
    }

    /// Gives everything back, also what is on its way; what could not be.
    async fn wind_up(&self) -> Vec<String> {
        self.is_ending.set(true);
        let limit = Deadline::new(Instant::now(), GIVE_BACK_LIMIT);
        let mut left = Vec::new();
        loop {
            let leases = self.keeper.borrow_mut().flush(&[]);
            let is_empty = leases.is_empty();
            left.extend(give_back(leases, limit).await.into_iter().map(|(_, why)| why));
            if limit.is_over() || (is_empty && !self.keeper.borrow().is_fetching()) {
                break;
            }
            tokio::time::sleep(FAREWELL_TICK).await;
        }
        for farewell in self.farewells.take() {
            // One that did not wait is not told.
            let _ = farewell.send(left.clone());
        }
        let told = Instant::now() + TICK;
        while self.leaving.get() > 0 && Instant::now() < told {
            tokio::time::sleep(FAREWELL_TICK).await;
        }
        left
    }

    /// One caller, until it goes away.
    async fn attend(self: Rc<Self>, stream: UnixStream, who: u64) {
        // Whoever else got this far, root included, is not the one that this agent works for.
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw()) {
            return;
        }
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let said: Said = match timeout(CALLER_LIMIT, line::read(&mut reader)).await {
                Ok(Ok(Some(said))) => said,
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                    let refused = Some(error.to_string());
                    let _ = line::write(&mut writer, &Told { v: VERSION, refused, ..Told::default() }).await;
                    break;
                }
                _ => break,
            };
            self.asked.set(Instant::now());
            if said.v == VERSION && said.stop {
                self.farewell(&mut writer).await;
                break;
            }
            let told = match said {
                Said { v, .. } if v != VERSION => {
                    let why =
                        format!("this agent speaks version {VERSION}, not {v}: stop it and start it anew");
                    Told { refused: Some(why), ..Told::default() }
                }
                Said { want: Some(_), .. } if self.is_ending.get() => {
                    Told { refused: Some("it is ending".to_owned()), ..Told::default() }
                }
                Said { want: Some(want), .. } => {
                    let (waiter, turn) = oneshot::channel();
                    self.idle.set(Duration::from_millis(want.idle));
                    let now = self.now();
                    let at_once = self.keeper.borrow_mut().want(who, &want, waiter, now);
                    match at_once {
                        Some(turn) => answer(turn),
                        None => {
                            let wait = Told { v: VERSION, wait: true, ..Told::default() };
                            if line::write(&mut writer, &wait).await.is_err() {
                                break;
                            }
                            // A caller that goes away while it waits must not be given the fetch.
                            tokio::select! {
                                turn = turn => match turn {
                                    Ok(turn) => answer(turn),
                                    Err(_) => break,
                                },
                                _ = line::read::<Said>(&mut reader) => break,
                            }
                        }
                    }
                }
                said => self.others(who, said).await,
            };
            if line::write(&mut writer, &Told { v: VERSION, ..told }).await.is_err() {
                break;
            }
        }
        let now = self.now();
        let turns = self.keeper.borrow_mut().gone(who, now);
        tell(turns);
    }

    /// Ends the agent, and says what it leaves.
    async fn farewell(&self, writer: &mut (impl tokio::io::AsyncWrite + Unpin)) {
        let (farewell, left) = oneshot::channel();
        self.farewells.borrow_mut().push(farewell);
        self.leaving.set(self.leaving.get() + 1);
        self.end.notify_one();
        let told = Told { v: VERSION, done: true, left: left.await.unwrap_or_default(), ..Told::default() };
        // One that is gone did not want to know.
        let _ = line::write(writer, &told).await;
        self.leaving.set(self.leaving.get() - 1);
    }

    async fn others(&self, who: u64, said: Said) -> Told {
        let done = Told { done: true, ..Told::default() };
        let now = self.now();
        match said {
            Said { have: Some(Have { want, brought }), .. } => {
                let turns = self.keeper.borrow_mut().have(who, &want, brought, now, jitter());
                tell(turns);
                done
            }
            Said { failed: Some(failed), .. } => {
                let (own, turns) = self.keeper.borrow_mut().failed(who, failed, now);
                tell(turns);
                answer(own)
            }
            Said { flush: Some(registries), .. } => {
                self.logins
                    .borrow_mut()
                    .retain(|registry, _| !registries.is_empty() && !registries.contains(registry));
                let leases = self.keeper.borrow_mut().flush(&registries);
                Told { left: self.hand_back(leases).await, ..done }
            }
            Said { login: Some(login), .. } => {
                self.logins.borrow_mut().insert(login.registry.clone(), login);
                done
            }
            Said { recall: Some(registry), .. } => match self.logins.borrow().get(&registry) {
                Some(login) => Told { kept: Some(login.clone()), ..Told::default() },
                None => Told { none: true, ..Told::default() },
            },
            Said { logins: true, .. } => {
                let all = self.logins.borrow();
                let named = all.values().map(|login| (login.registry.clone(), login.username.clone()));
                Told { logins: Some(named.collect()), ..Told::default() }
            }
            Said { status: true, .. } => Told { status: Some(self.status()), ..Told::default() },
            _ => Told { refused: Some("nothing is asked".to_owned()), ..Told::default() },
        }
    }

    /// Gives leases back; what could not be stays listed.
    async fn hand_back(&self, leases: Vec<Held>) -> Vec<String> {
        let left = give_back(leases, Deadline::new(Instant::now(), GIVE_BACK_LIMIT)).await;
        let mut keeper = self.keeper.borrow_mut();
        left.into_iter()
            .map(|(held, why)| {
                keeper.put_back(held);
                why
            })
            .collect()
    }

    fn status(&self) -> Status {
        let keeper = self.keeper.borrow();
        let listed = keeper.kept().map(|kept| Listed {
            registry: kept.about.registry.clone(),
            source: kept.about.source.clone(),
            place: kept.about.place.clone(),
            username: kept.brought.username.clone(),
            fetched: rfc3339(kept.fetched.wall).unwrap_or_default(),
            expires: kept.ends().and_then(rfc3339),
            lease: kept.brought.lease.as_ref().map(|lease| lease.id.clone()),
        });
        let old = keeper.old().iter().map(|held| Listed {
            registry: held.about.registry.clone(),
            source: held.about.source.clone(),
            place: held.about.place.clone(),
            username: held.username.clone(),
            fetched: rfc3339(held.fetched.wall).unwrap_or_default(),
            expires: held.life.ends().and_then(rfc3339),
            lease: Some(held.lease.id.clone()),
        });
        let listed = listed.chain(old);
        let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_owned());
        Status { pid, version, socket: self.socket.clone(), credentials: listed.collect() }
    }
}

/// Gives leases back at the same time; those that could not be, each with its sentence.
async fn give_back(leases: Vec<Held>, until: Deadline) -> Vec<(Held, String)> {
    let tries: Vec<_> = leases
        .into_iter()
        .map(|held| {
            tokio::task::spawn_local(async move {
                let lease = lease(&held.lease);
                loop {
                    match vault::give_back(&lease, until).await {
                        Ok(()) => return None,
                        // A policy does not change by asking again.
                        Err(problem) if problem.kind == Kind::Denied || until.left() <= TICK => {
                            let why =
                                format!("the lease {} could not be given back: {}", lease.id, problem.cause);
                            return Some((held, why));
                        }
                        Err(_) => tokio::time::sleep(TICK).await,
                    }
                }
            })
        })
        .collect();
    let mut left = Vec::new();
    for one in tries {
        left.extend(one.await.ok().flatten());
    }
    left
}

fn answer(turn: Turn) -> Told {
    match turn {
        Turn::Failed(failed) => Told { failed: Some(failed), ..Told::default() },
        Turn::Fetch => Told { fetch: true, ..Told::default() },
        Turn::Kept(kept) => {
            let (username, secret) = (kept.brought.username.clone(), kept.brought.secret.clone());
            let registry = kept.about.registry.clone();
            Told { kept: Some(Login { registry, username, secret }), ..Told::default() }
        }
    }
}

fn tell(turns: Vec<(oneshot::Sender<Turn>, Turn)>) {
    for (waiter, turn) in turns {
        // One that is gone meanwhile has said so, or will.
        let _ = waiter.send(turn);
    }
}

fn lease(leased: &Leased) -> Lease {
    Lease {
        id: leased.id.clone(),
        duration: leased.duration,
        is_renewable: leased.is_renewable,
        holder: leased.holder.clone(),
    }
}

/// From 0 to 1.
fn jitter() -> f64 {
    fastrand::f64()
}

/// `None` after the year 9999, which servers can name and RFC 3339 cannot.
fn rfc3339(time: SystemTime) -> Option<String> {
    use aws_smithy_types::date_time::Format;
    aws_smithy_types::DateTime::from(time).fmt(Format::DateTime).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_rfc_3339_or_none() {
        let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).and_then(rfc3339);
        assert_eq!(at(1_800_000_000).as_deref(), Some("2027-01-15T08:00:00Z"));
        assert_eq!(at(253_402_300_799).as_deref(), Some("9999-12-31T23:59:59Z"));
        for far in [253_402_300_800, 1 << 40, 1 << 60, u64::MAX] {
            assert_eq!(at(far), None, "{far}");
        }
    }
}
