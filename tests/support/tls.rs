//! A TLS front with a throw-away CA, before a plain server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::servers::unique;

/// A TLS listener whose certificate a CA of its own has signed.
pub(crate) struct TlsFront {
    /// `127.0.0.1:PORT`.
    pub(crate) authority: String,
    /// The port alone.
    pub(crate) port: u16,
    /// The CA's certificate, PEM.
    pub(crate) ca: PathBuf,
    /// A client certificate of the same CA, and its key.
    pub(crate) client: (PathBuf, PathBuf),
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Expired,
    Mutual,
    Plain,
}

impl TlsFront {
    /// In front of `target` (`host:port`), with a certificate for `names`; its files go to `folder`.
    pub(crate) fn new(target: &str, names: &[&str], folder: &Path) -> Self {
        Self::start(target, names, folder, Kind::Plain)
    }

    /// The same, and it wants a client certificate.
    pub(crate) fn mutual(target: &str, names: &[&str], folder: &Path) -> Self {
        Self::start(target, names, folder, Kind::Mutual)
    }

    /// The same, and its certificate has expired long ago.
    pub(crate) fn expired(target: &str, names: &[&str], folder: &Path) -> Self {
        Self::start(target, names, folder, Kind::Expired)
    }

    fn start(target: &str, names: &[&str], folder: &Path, kind: Kind) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of two CAs with one name, the wrong one would be called a forger instead of unknown.
        ca.distinguished_name.push(DnType::CommonName, unique("CA"));
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let sign = |names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut certificate = CertificateParams::new(names).unwrap();
            if kind == Kind::Expired {
                certificate.not_after = rcgen::date_time_ymd(2001, 1, 1);
            }
            (certificate.signed_by(&key, &issuer).unwrap(), key)
        };
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (own, key) = sign(names);
        let (guest, guest_key) = sign(&["guest"]);
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if kind == Kind::Mutual {
            let mut roots = RootCertStore::empty();
            roots.add(ca_certificate.der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = Arc::new(builder.with_single_cert(vec![own.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = target.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, target) = (Arc::clone(&config), target.clone());
                thread::spawn(move || relay(stream, config, &target));
            }
        });
        Self {
            authority: address.to_string(),
            port: address.port(),
            ca: write("ca.pem", ca_certificate.pem()),
            client: (write("client.pem", guest.pem()), write("client-key.pem", guest_key.serialize_pem())),
        }
    }
}

/// Passes bytes both ways. The server behind is called with the first byte that a client sends, so that it hears
/// nothing of a handshake that fails.
fn relay(mut stream: TcpStream, config: Arc<ServerConfig>, target: &str) {
    let _ = stream.set_nodelay(true);
    let mut tls = ServerConnection::new(config).unwrap();
    while tls.is_handshaking() {
        if tls.complete_io(&mut stream).is_err() {
            // Closed with bytes unread, the socket would be reset, and the reason that was sent might be lost.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            return;
        }
    }
    let mut client = StreamOwned::new(tls, stream);
    let mut buffer = [0; 65536];
    let Ok(first @ 1..) = client.read(&mut buffer) else { return };
    let Ok(mut server) = TcpStream::connect(target) else { return };
    let _ = server.set_nodelay(true);
    if server.write_all(&buffer[..first]).is_err() {
        return;
    }
    loop {
        let mut watched = [PollFd::new(&client.sock, PollFlags::IN), PollFd::new(&server, PollFlags::IN)];
        if poll(&mut watched, None).is_err() {
            return;
        }
        let [from_client, from_server] = watched.map(|watched| !watched.revents().is_empty());
        if from_server {
            let Ok(read @ 1..) = server.read(&mut buffer) else {
                client.conn.send_close_notify();
                let _ = client.flush();
                return;
            };
            if client.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
        if from_client {
            let Ok(read @ 1..) = client.read(&mut buffer) else { return };
            if server.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
    }
}
