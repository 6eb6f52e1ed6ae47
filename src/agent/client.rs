//! Client: how a look-up asks the agent, and hands over what it fetched.

use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use rustix::process::geteuid;

use super::life;
use super::line::{self, Brought, Failed, Have, Login, Said, Told, VERSION, Want};
use super::place::{Distrust, Place};
use crate::environment::Environment;
use crate::log;

/// How long the agent may take for its first line: it answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection to the agent.
pub(crate) struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// What the agent says to a look-up.
pub(crate) enum Turn {
    /// It is this one's to fetch.
    Fetch,
    /// It was fetched before.
    Kept(Login),
    /// It could not be fetched a moment ago.
    Failed(Failed),
}

/// Connects, and starts an agent first where the config says so and none runs.
///
/// # Errors
/// As [`Client::connect`].
pub(crate) async fn connect_or_start(
    environment: &Environment,
    autostart: bool,
) -> Result<Option<Client>, String> {
    let client = Client::connect(environment).await?;
    if client.is_some() || !autostart {
        return Ok(client);
    }
    if let Err(why) = life::start(environment).await {
        // A look-up does not need one.
        log::event(|| why);
        return Ok(None);
    }
    Client::connect(environment).await
}

impl Client {
    /// Connects; `None` where no agent runs.
    ///
    /// # Errors
    /// The variable names a socket that is not one's own: the sentence.
    pub(crate) async fn connect(environment: &Environment) -> Result<Option<Self>, String> {
        let place = Place::find(environment);
        let told = |why: &str| format!("the agent's socket {}: {why}", place.socket.display());
        let why = match place.judge() {
            Ok(()) => match UnixStream::connect(&place.socket).await {
                Ok(stream) if stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw()) => {
                    let (reader, writer) = stream.into_split();
                    return Ok(Some(Self { reader: BufReader::new(reader), writer }));
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

    /// Asks for a credential; waits for another one's fetch as long as the caller lets it.
    pub(crate) async fn want(&mut self, want: &Want) -> Option<Turn> {
        let said = Said { want: Some(want.clone()), ..Said::default() };
        let told = timeout(PATIENCE, self.ask(said)).await.ok()??;
        self.turn(told).await
    }

    /// Hands over what was fetched; false where nobody took it.
    pub(crate) async fn have(&mut self, want: &Want, brought: Brought) -> bool {
        let have = Have { want: want.clone(), brought };
        let said = Said { have: Some(have), ..Said::default() };
        matches!(timeout(PATIENCE, self.ask(said)).await, Ok(Some(Told { done: true, .. })))
    }

    /// Says that it could not be fetched; the agent may still have one that is good enough.
    pub(crate) async fn failed(&mut self, failed: Failed) -> Option<Turn> {
        let said = Said { failed: Some(failed), ..Said::default() };
        let told = timeout(PATIENCE, self.ask(said)).await.ok()??;
        self.turn(told).await
    }

    /// Says anything else, and reads the one line that is answered.
    pub(crate) async fn ask(&mut self, said: Said) -> Option<Told> {
        line::write(&mut self.writer, &Said { v: VERSION, ..said }).await.ok()?;
        self.next().await
    }

    async fn turn(&mut self, mut told: Told) -> Option<Turn> {
        while told.wait {
            told = self.next().await?;
        }
        match told {
            Told { kept: Some(login), .. } => Some(Turn::Kept(login)),
            Told { failed: Some(failed), .. } => Some(Turn::Failed(failed)),
            Told { fetch: true, .. } => Some(Turn::Fetch),
            _ => None,
        }
    }

    async fn next(&mut self) -> Option<Told> {
        let told: Told = line::read_answer(&mut self.reader).await.ok()??;
        if let Some(why) = &told.refused {
            log::event(|| format!("the agent refused a line: {why}"));
        }
        // A refusal says so in any version, and so does what was done all the same.
        (told.v == VERSION || told.refused.is_some() || told.done).then_some(told)
    }
}
