//! Client: how a look-up asks the agent, and hands over what it fetched.
//!
//! It waits by itself, without the runtime: most look-ups find what they want here, and need nothing else.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::geteuid;
use secrecy::zeroize::Zeroizing;
use socket2::{Domain, SockAddr, Socket, Type};

use super::life;
use super::line::{self, Brought, Failed, Have, Login, Said, Told, VERSION, Want, Wiped};
use super::place::{Distrust, Place};
use crate::environment::Environment;
use crate::log;

/// How long the agent may take for its first line: it answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection to the agent.
pub(crate) struct Client {
    stream: UnixStream,
    /// What has come and was not yet asked for.
    come: Wiped,
}

/// What the agent says to a look-up.
pub(crate) enum Turn {
    /// It is this one's to fetch.
    Fetch,
    /// It was fetched before.
    Kept(Given),
    /// It could not be fetched a moment ago.
    Failed(Failed),
    /// Somebody is still fetching it.
    Late,
}

/// Connects, and starts an agent first where the config says so and none runs.
///
/// # Errors
/// As [`Client::connect`].
pub(crate) fn connect_or_start(environment: &Environment, autostart: bool) -> Result<Option<Client>, String> {
    let client = Client::connect(environment)?;
    if client.is_some() || !autostart {
        return Ok(client);
    }
    if let Err(why) = life::start(environment) {
        // A look-up does not need one.
        log::event(|| why);
        return Ok(None);
    }
    Client::connect(environment)
}

/// What the agent gives out.
pub(crate) struct Given {
    pub(crate) login: Login,
    /// When it ends, where anybody said.
    pub(crate) expires: Option<SystemTime>,
    /// Whether the agent gives it back when it leaves.
    pub(crate) leased: bool,
}

impl Client {
    /// Connects; `None` where no agent runs.
    ///
    /// # Errors
    /// The variable names a socket that is not one's own: the sentence.
    pub(crate) fn connect(environment: &Environment) -> Result<Option<Self>, String> {
        let place = Place::find(environment);
        let told = |why: &str| format!("the agent's socket {}: {why}", place.socket.display());
        let why = match place.judge() {
            Ok(()) => match connect(&place.socket) {
                Ok(stream) if peer(&stream).is_ok_and(|uid| uid == geteuid().as_raw()) => {
                    return Ok(Some(Self { stream, come: Wiped::default() }));
                }
                Ok(_) => "another user listens there".to_owned(),
                // The socket is one's own, and whoever listened there is gone or hangs: that is no reason to fail.
                Err(error) => {
                    log::event(|| told(&error.to_string()));
                    return Ok(None);
                }
            },
            Err(Distrust::Missing) => return Ok(None),
            Err(Distrust::Unsafe(why)) => why,
        };
        if place.is_named {
            return Err(told(&why));
        }
        log::event(|| told(&why));
        Ok(None)
    }

    /// Asks for a credential; waits for another one's fetch until then. `None`: the agent does not answer.
    pub(crate) fn want(&mut self, want: &Want, until: Instant) -> Option<Turn> {
        let said = Said { want: Some(want.clone()), ..Said::default() };
        let told = self.ask(said, until.min(soon()))?;
        self.turn(told, until)
    }

    /// Hands over what was fetched; false where nobody took it.
    pub(crate) fn have(&mut self, want: &Want, brought: Brought) -> bool {
        let have = Have { want: want.clone(), brought };
        let said = Said { have: Some(have), ..Said::default() };
        self.ask(said, soon()).is_some_and(|told| told.done)
    }

    /// Says that it could not be fetched; the agent may still have one that is good enough.
    pub(crate) fn failed(&mut self, failed: Failed) -> Option<Turn> {
        let said = Said { failed: Some(failed), ..Said::default() };
        let told = self.ask(said, soon())?;
        self.turn(told, soon())
    }

    /// Says anything else, and reads the one line that is answered.
    pub(crate) fn ask(&mut self, said: Said, until: Instant) -> Option<Told> {
        let line = line::encoded(&Said { v: VERSION, ..said }).ok()?;
        // At most as long as `connect` has set: an agent that hangs takes some of it without reading.
        self.stream.write_all(line.all()).ok()?;
        self.next(until).ok().flatten()
    }

    fn turn(&mut self, mut told: Told, until: Instant) -> Option<Turn> {
        while told.wait {
            told = match self.next(until) {
                Ok(told) => told?,
                Err(_) if Instant::now() >= until => return Some(Turn::Late),
                Err(_) => return None,
            };
        }
        match told {
            Told { kept: Some(login), expires, leased, .. } => {
                Some(Turn::Kept(Given { login, expires, leased }))
            }
            Told { failed: Some(failed), .. } => Some(Turn::Failed(failed)),
            Told { fetch: true, .. } => Some(Turn::Fetch),
            _ => None,
        }
    }

    /// The next line that can be understood; an error where the agent is gone, or the time is over.
    fn next(&mut self, until: Instant) -> io::Result<Option<Told>> {
        let told: Told = line::decoded(&self.line(until)?)?;
        if let Some(why) = &told.refused {
            log::event(|| format!("the agent refused a line: {why}"));
        }
        // A refusal says so in any version, and so does what was done all the same.
        Ok((told.v == VERSION || told.refused.is_some() || told.done).then_some(told))
    }

    fn line(&mut self, until: Instant) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut chunk = Zeroizing::new([0; line::CHUNK]);
        loop {
            if let Some(line) = self.come.line() {
                return Ok(line);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.come.len() > line::ANSWER_LIMIT {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(chunk.as_mut_slice()) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.come.add(&chunk[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Connects; where nobody accepts any more, this too ends.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// Whose process listens.
#[cfg(target_os = "linux")]
fn peer(stream: &UnixStream) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

#[cfg(not(target_os = "linux"))]
fn peer(stream: &UnixStream) -> io::Result<u32> {
    let stream = stream.try_clone()?;
    stream.set_nonblocking(true)?;
    let asked = async { tokio::net::UnixStream::from_std(stream)?.peer_cred() };
    let peer = crate::runtime::block_on(asked).map_err(io::Error::other)??;
    Ok(peer.uid())
}
