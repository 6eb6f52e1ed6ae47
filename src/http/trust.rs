//! Trust: whose certificates are believed, and with which one of our own we come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::file::{self, FileError};

/// Where systems keep the certificates that they believe; the first that exists counts. One file, since a folder of
/// a thousand links costs a look-up 3 ms.
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
];

/// Whose certificates are believed.
#[derive(Clone, Default, Deserialize, Serialize)]
pub struct Trust {
    /// Bundles; with folders, all there is.
    pub files: Vec<PathBuf>,
    /// Folders of certificates.
    pub folders: Vec<PathBuf>,
    /// The certificate that we come with.
    pub identity: Option<Identity>,
}

/// A client certificate and its key, as files.
#[derive(Clone, Deserialize, Serialize)]
pub struct Identity {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Trust {
    /// The system's certificates: `SSL_CERT_FILE` and `SSL_CERT_DIR` where one is set, else its own bundle.
    pub fn system(environment: &Environment) -> Self {
        let file = environment.get("SSL_CERT_FILE").map(PathBuf::from).map(file::absolute);
        let folders: Vec<PathBuf> = environment
            .get("SSL_CERT_DIR")
            .iter()
            .flat_map(|value| value.split(':'))
            .filter(|folder| !folder.is_empty())
            .map(|folder| file::absolute(PathBuf::from(folder)))
            .collect();
        let own = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
        let files = if file.is_none() && folders.is_empty() { own() } else { file };
        Self { files: files.into_iter().collect(), folders, identity: None }
    }

    /// Only the certificates in the file.
    pub fn file(path: PathBuf) -> Self {
        Self { files: vec![path], ..Self::default() }
    }

    /// Only the certificates in the folder's files.
    pub fn folder(path: PathBuf) -> Self {
        Self { folders: vec![path], ..Self::default() }
    }

    /// The TLS settings; `secure` is false where only plain HTTP is spoken, which needs no certificates.
    pub(super) fn client_config(&self, secure: bool) -> Result<ClientConfig, Problem> {
        let roots = if secure { self.roots()? } else { RootCertStore::empty() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| describe(&error))?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some(identity) if secure => {
                let (chain, key) = identity.read()?;
                builder.with_client_auth_cert(chain, key).map_err(|error| describe(&error))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A process lives for one look-up: there is nothing to resume.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, Problem> {
        let mut roots = RootCertStore::empty();
        for file in &self.files {
            roots.add_parsable_certificates(certificates(file)?);
        }
        for folder in &self.folders {
            // Folders hold much that is no certificate; what cannot be read is passed over, as OpenSSL does.
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                roots.add_parsable_certificates(certificates(&entry.path()).unwrap_or_default());
            }
        }
        if roots.is_empty() {
            let read: Vec<String> =
                self.files.iter().chain(&self.folders).map(|path| path.display().to_string()).collect();
            let place = if read.is_empty() { String::new() } else { format!(" in {}", read.join(", ")) };
            return Err(Problem::new(Kind::Malformed, format!("no CA certificates{place}"))
                .hint("install ca-certificates, or set SSL_CERT_FILE to a bundle"));
        }
        Ok(roots)
    }
}

impl Identity {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Problem> {
        let chain = certificates(&self.certificate)?;
        if chain.is_empty() {
            return Err(unreadable(&self.certificate, "it holds no certificate"));
        }
        let key = Zeroizing::new(read(&self.key)?);
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|_| unreadable(&self.key, "it holds no private key in PEM"))?;
        Ok((chain, key))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let pem = read(path)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable(path, "it is not PEM"))
}

/// Whoever may write these files may also turn them off; TLS judges what they say.
fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    const LIMIT: u64 = 16 * 1024 * 1024;
    file::read_unjudged(path, LIMIT).map_err(|error| match error {
        FileError::Missing => unreadable(path, "there is no such file"),
        FileError::Unreadable(why) | FileError::Unsafe { what: why, .. } => unreadable(path, &why),
    })
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem::new(Kind::Malformed, format!("cannot read {}: {why}", path.display()))
        .hint("name a readable PEM file in the connection's table, or in the variable that names this one")
}

/// What TLS says, with the remedy.
pub(super) fn describe(error: &rustls::Error) -> Problem {
    let cause = format!("TLS: {error}");
    let hint = match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => {
                "name the server's CA in ca-cert of the connection, or in SSL_CERT_FILE"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the server's certificate, or set this machine's clock"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "set this machine's clock"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "use the name that the certificate has in the address"
            }
            _ => "",
        },
        rustls::Error::InvalidMessage(_) => "the server may speak plain http on that port",
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate: set client-cert and client-key"
        }
        _ => "",
    };
    Problem::new(Kind::Untrusted, cause).hint(hint)
}
