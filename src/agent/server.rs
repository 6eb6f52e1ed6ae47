//! Server: the socket, and one task for each caller.

mod returns;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::geteuid;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Notify, oneshot};
use tokio::time::{interval, timeout};

use super::giving::{TICK, lease};
use super::keeper::{Keeper, Turn};
use super::kept::Moment;
use super::line::{self, Have, Leased, Lines, Login, Said, Told, VERSION};
use super::listed;
use super::seat::Seat;
use crate::deadline::Deadline;
use crate::vault;

/// How long a caller may take to say something.
const CALLER_LIMIT: Duration = Duration::from_secs(60);
/// How long is spent on giving one lease back, with all its tries.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(5);
/// How long it stays without being asked, unless a caller's config says otherwise.
pub(crate) const DEFAULT_IDLE: Duration = Duration::from_secs(30 * 60);

/// What all tasks share.
struct Agent {
    keeper: RefCell<Keeper<oneshot::Sender<Turn>>>,
    /// Logins that no rule is for, by registry.
    logins: RefCell<BTreeMap<String, (Login, SystemTime)>>,
    /// Where it listens, for people.
    socket: String,
    started: Instant,
    /// Whether it ends when nobody asks any more.
    idles: bool,
    asked: Cell<Instant>,
    idle: Cell<Duration>,
    end: Notify,
    /// How many callers are having leases given back.
    giving: Cell<usize>,
    /// Those who said stop.
    stoppers: RefCell<Vec<OwnedWriteHalf>>,
    /// Whether nobody is sent to fetch any more.
    is_ending: Cell<bool>,
}

/// Answers on the socket until somebody says stop, `ended` comes, nobody asks any more or nobody finds it; then gives
/// everything back. What could not be, in sentences.
///
/// # Errors
/// The socket cannot be used.
pub(crate) async fn serve(
    seat: Seat,
    idles: bool,
    ended: impl Future<Output = ()>,
) -> io::Result<Vec<String>> {
    let (listener, socket) = (seat.listen()?, seat.name());
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
        giving: Cell::new(0),
        stoppers: RefCell::default(),
        is_ending: Cell::new(false),
    });
    let local = tokio::task::LocalSet::new();
    let left = local
        .run_until(async {
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
                () = Rc::clone(&agent).watch(&seat) => {}
                () = agent.end.notified() => {}
                () = ended => {}
            }
            // Whoever comes now finds nobody, and may have another one start in this one's place.
            drop((listener, seat));
            agent.give_all_back().await
        })
        .await;
    Ok(left)
}

impl Agent {
    fn now(&self) -> Moment {
        Moment { wall: SystemTime::now(), steady: self.started.elapsed() }
    }

    /// Looks after what nobody asks for: until it has been idle for too long, or nobody can find it.
    async fn watch(self: Rc<Self>, seat: &Seat) {
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
            if !seat.is_in_place() || self.idles && self.asked.get().elapsed() >= self.idle.get() {
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

    /// One caller, until it goes away.
    async fn attend(self: Rc<Self>, stream: UnixStream, who: u64) {
        // Whoever else got this far, root included, is not the one that this agent works for.
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw()) {
            return;
        }
        let (reader, mut writer) = stream.into_split();
        let mut lines = Lines::new(reader);
        loop {
            let said: Said = match timeout(CALLER_LIMIT, lines.next()).await {
                Ok(Ok(Some(said))) => said,
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                    let refused = Some(error.to_string());
                    let _ = line::write(&mut writer, &Told { v: VERSION, refused, ..Told::default() }).await;
                    break;
                }
                _ => break,
            };
            self.asked.set(Instant::now());
            if said.stop {
                // It hears how that went when it has been done.
                self.stoppers.borrow_mut().push(writer);
                self.end.notify_one();
                break;
            }
            let told = match said {
                Said { v, .. } if v != VERSION => {
                    let why = format!(
                        "this agent speaks version {VERSION}, not {v}: run `docker-credential-lease agent stop`"
                    );
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
                                _ = lines.next::<Said>() => break,
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
            Said { flush: Some(registries), spot, .. } => {
                self.logins
                    .borrow_mut()
                    .retain(|registry, _| !registries.is_empty() && !registries.contains(registry));
                let mut leases = self.keeper.borrow_mut().flush(&registries);
                leases.extend(spot.iter().flat_map(|spot| self.keeper.borrow_mut().flush_spot(spot)));
                Told { left: self.hand_back(leases).await, ..done }
            }
            Said { login: Some(login), .. } => {
                self.logins.borrow_mut().insert(login.registry.clone(), (login, now.wall));
                done
            }
            Said { recall: Some(registry), .. } => match self.logins.borrow().get(&registry) {
                Some((login, _)) => Told { kept: Some(login.clone()), ..Told::default() },
                None => Told { none: true, ..Told::default() },
            },
            Said { logins: true, .. } => {
                let all = self.logins.borrow();
                let named = all.values().map(|(login, _)| (login.registry.clone(), login.username.clone()));
                Told { logins: Some(named.collect()), ..Told::default() }
            }
            Said { status: true, .. } => {
                let status =
                    listed::status(&self.keeper.borrow(), self.logins.borrow().values(), &self.socket);
                Told { status: Some(status), ..Told::default() }
            }
            _ => Told { refused: Some("nothing is asked".to_owned()), ..Told::default() },
        }
    }
}

fn answer(turn: Turn) -> Told {
    match turn {
        Turn::Failed(failed) => Told { failed: Some(failed), ..Told::default() },
        Turn::Fetch => Told { fetch: true, ..Told::default() },
        Turn::Kept(kept) => {
            let (username, secret) = (kept.brought.username.clone(), kept.brought.secret.clone());
            let registry = kept.about.registry.clone();
            let (expires, leased) = (kept.ends(), kept.brought.is_ours());
            Told { kept: Some(Login { registry, username, secret }), expires, leased, ..Told::default() }
        }
    }
}

fn tell(turns: Vec<(oneshot::Sender<Turn>, Turn)>) {
    for (waiter, turn) in turns {
        // One that is gone meanwhile has said so, or will.
        let _ = waiter.send(turn);
    }
}

/// From 0 to 1.
fn jitter() -> f64 {
    fastrand::f64()
}
