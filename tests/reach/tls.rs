//! TLS: whose certificates are believed, and with which one of our own we come.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

use super::{Setup, both_fail, both_give, giver, stored};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::servers::{Bao, Moto};
use crate::support::tls::TlsFront;

/// moto and OpenBao behind TLS, each with a CA of its own, and one credential in both.
struct World {
    folder: TempDir,
    aws: TlsFront,
    vault: TlsFront,
    secret: String,
    token: String,
}

impl World {
    fn find() -> Option<Self> {
        let (moto, bao) = (Moto::find()?, Bao::find()?);
        let (folder, secret) = (tempfile::tempdir().unwrap(), stored(&moto, &bao));
        let [aws, vault] = [("aws", &moto.url), ("vault", &bao.address)].map(|(name, url)| {
            let own = folder.path().join(name);
            fs::create_dir(&own).unwrap();
            TlsFront::new(url.trim_start_matches("http://"), &["127.0.0.1"], &own)
        });
        Some(Self { folder, aws, vault, secret, token: bao.token })
    }

    fn setup(&self) -> Setup {
        let [aws, vault] = [&self.aws, &self.vault].map(|front| format!("https://{}", front.authority));
        Setup::new(&aws, &vault).secret(&self.secret)
    }

    /// A helper with the CAs that these variables name.
    fn helper(&self, setup: &Setup, variables: &[(&str, &str)]) -> Helper {
        setup.helper().env("VAULT_TOKEN", self.token.as_str()).envs(variables)
    }

    /// One file that holds both CAs.
    fn bundle(&self) -> String {
        let bundle = self.folder.path().join("bundle.pem");
        let [aws, vault] = [&self.aws.ca, &self.vault.ca].map(|ca| fs::read_to_string(ca).unwrap());
        fs::write(&bundle, aws + "# a line that is no certificate\n" + &vault).unwrap();
        bundle.to_str().unwrap().to_owned()
    }

    fn aws_ca(&self) -> &str {
        self.aws.ca.to_str().unwrap()
    }

    fn vault_ca(&self) -> &str {
        self.vault.ca.to_str().unwrap()
    }
}

#[track_caller]
fn both_refuse(world: &World, variables: &[(&str, &str)]) {
    let helper = world.helper(&world.setup().secret("hub"), variables);
    both_fail(&helper, &["TLS: ", "UnknownIssuer", "hint: "]);
}

#[test]
fn ssl_cert_file_is_believed_for_aws_and_vault() {
    let Some(world) = World::find() else { return };
    both_give(&world.helper(&world.setup(), &[("SSL_CERT_FILE", &world.bundle())]));
}

#[test]
fn ssl_cert_dir_is_believed_for_aws_and_vault() {
    let Some(world) = World::find() else { return };
    let all = tempfile::tempdir().unwrap();
    fs::copy(&world.aws.ca, all.path().join("0a1b2c3d.0")).unwrap();
    fs::copy(&world.vault.ca, all.path().join("vault.pem")).unwrap();
    fs::write(all.path().join("README"), [0xff, 0xfe, 0]).unwrap();
    fs::create_dir(all.path().join("java")).unwrap();
    both_give(&world.helper(&world.setup(), &[("SSL_CERT_DIR", all.path().to_str().unwrap())]));
    let folders =
        [&world.aws.ca, &world.vault.ca].map(|ca| ca.parent().unwrap().to_str().unwrap().to_owned());
    both_give(&world.helper(&world.setup(), &[("SSL_CERT_DIR", &folders.join(":"))]));
}

#[test]
fn ssl_cert_file_and_ssl_cert_dir_are_believed_together() {
    let Some(world) = World::find() else { return };
    let folder = world.vault.ca.parent().unwrap().to_str().unwrap();
    both_give(&world.helper(&world.setup(), &[("SSL_CERT_FILE", world.aws_ca()), ("SSL_CERT_DIR", folder)]));
}

#[test]
fn aws_ca_bundle_is_for_aws_and_vault_cacert_for_vault() {
    let Some(world) = World::find() else { return };
    let (aws, vault) = (world.aws_ca(), world.vault_ca());
    both_give(&world.helper(&world.setup(), &[("AWS_CA_BUNDLE", aws), ("VAULT_CACERT", vault)]));
    both_refuse(&world, &[("AWS_CA_BUNDLE", vault), ("VAULT_CACERT", aws)]);
}

#[test]
fn vault_capath_names_a_folder() {
    let Some(world) = World::find() else { return };
    let folder = world.vault.ca.parent().unwrap().to_str().unwrap();
    both_give(&world.helper(&world.setup(), &[("AWS_CA_BUNDLE", world.aws_ca()), ("VAULT_CAPATH", folder)]));
}

#[test]
fn bao_cacert_counts_before_vault_cacert() {
    let Some(world) = World::find() else { return };
    let (aws, vault) = (world.aws_ca(), world.vault_ca());
    let right = [("AWS_CA_BUNDLE", aws), ("BAO_CACERT", vault), ("VAULT_CACERT", aws)];
    both_give(&world.helper(&world.setup(), &right));
    both_refuse(&world, &[("AWS_CA_BUNDLE", vault), ("BAO_CACERT", aws), ("VAULT_CACERT", vault)]);
}

#[test]
fn the_connection_s_ca_stands_beside_the_config_or_below_the_home() {
    let Some(world) = World::find() else { return };
    for (name, place) in [("ca.pem", ".config/docker-credential-lease/ca.pem"), ("~/ca.pem", "ca.pem")] {
        let setup = world.setup().both(&format!("ca-cert = \"{name}\""));
        let helper = world.helper(&setup, &[]);
        fs::copy(world.bundle(), helper.home().join(place)).unwrap();
        both_give(&helper);
    }
}

#[test]
fn the_connection_s_ca_counts_before_every_variable() {
    let Some(world) = World::find() else { return };
    let (aws, vault) = (world.aws_ca(), world.vault_ca());
    let setup = world.setup().aws(&format!("ca-cert = \"{aws}\"")).vault(&format!("ca-cert = \"{vault}\""));
    let wrong =
        [("AWS_CA_BUNDLE", vault), ("BAO_CACERT", aws), ("VAULT_CAPATH", "/"), ("SSL_CERT_FILE", aws)];
    both_give(&world.helper(&setup, &wrong));
}

/// A TLS front before a double, and a setup that believes its CA. The folder holds the files.
fn front(names: &[&str], mutual: bool) -> (Hostile, TlsFront, TempDir, Setup) {
    let (giver, folder) = (giver(), tempfile::tempdir().unwrap());
    let front = if mutual {
        TlsFront::mutual(&giver.authority, names, folder.path())
    } else {
        TlsFront::new(&giver.authority, names, folder.path())
    };
    let url = format!("https://{}", front.authority);
    let setup = Setup::new(&url, &url).both(&format!("ca-cert = \"{}\"", front.ca.display()));
    (giver, front, folder, setup)
}

#[test]
fn a_server_of_an_unknown_ca_is_sent_nothing() {
    let (giver, front, _folder, _) = front(&["127.0.0.1"], false);
    let (_, other, _other, _) = self::front(&["127.0.0.1"], false);
    let url = format!("https://{}", front.authority);
    let setup = Setup::new(&url, &url).both(&format!("ca-cert = \"{}\"", other.ca.display()));
    let hint = "hint: name the server's CA in ca-cert of the connection, or in SSL_CERT_FILE";
    both_fail(&setup.helper(), &["TLS: ", "UnknownIssuer", hint]);
    assert!(giver.heard().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused_and_nothing_is_sent() {
    let (giver, _front, _folder, setup) = front(&["vault.example.invalid", "127.0.0.2"], false);
    both_fail(&setup.helper(), &["TLS: ", "certificate", "hint: "]);
    assert!(giver.heard().is_empty());
}

#[test]
fn a_certificate_that_has_expired_is_refused_and_nothing_is_sent() {
    let (giver, folder) = (giver(), tempfile::tempdir().unwrap());
    let front = TlsFront::expired(&giver.authority, &["127.0.0.1"], folder.path());
    let url = format!("https://{}", front.authority);
    let setup = Setup::new(&url, &url).both(&format!("ca-cert = \"{}\"", front.ca.display()));
    both_fail(&setup.helper(), &["TLS: ", "expired", "hint: renew the server's certificate"]);
    assert!(giver.heard().is_empty());
}

#[test]
fn the_server_s_name_may_differ_from_its_address() {
    let (_giver, _front, _folder, setup) = front(&["vault.example.invalid"], false);
    for name in ["VAULT_TLS_SERVER_NAME", "BAO_TLS_SERVER_NAME"] {
        let helper = setup.helper().env(name, "vault.example.invalid");
        helper.get("ghcr.io").is_found("ghcr.io", "acme", "s3cr-et");
        setup.helper().env(name, "other.example.invalid").get("ghcr.io").fails_with(&["TLS: "]);
    }
    let setup = setup.vault("tls-server-name = \"vault.example.invalid\"");
    let helper = setup.helper().env("VAULT_TLS_SERVER_NAME", "other.example.invalid");
    helper.get("ghcr.io").is_found("ghcr.io", "acme", "s3cr-et");
}

#[test]
fn an_address_as_the_server_s_name_leads_nowhere_else() {
    // This machine answers at all of 127.0.0.0/8: a second server on the same port must hear nothing.
    let (_giver, front, _folder, setup) = front(&["127.0.0.9"], false);
    let other = TcpListener::bind(("127.0.0.9", front.port)).unwrap();
    other.set_nonblocking(true).unwrap();
    let answer =
        setup.vault("tls-server-name = \"127.0.0.9\"\n").top("timeout = \"2s\"").helper().get("ghcr.io");
    answer.fails_with(&["tls-server-name", "hint: "]);
    assert!(other.accept().is_err());
}

#[test]
fn a_client_certificate_is_shown_where_the_environment_or_the_config_names_one() {
    let (_giver, front, _folder, setup) = front(&["127.0.0.1"], true);
    let (certificate, key) = (front.client.0.to_str().unwrap(), front.client.1.to_str().unwrap());
    for prefix in ["VAULT", "BAO"] {
        let helper = setup.helper();
        let helper = helper.env(&format!("{prefix}_CLIENT_CERT"), certificate);
        let helper = helper.env(&format!("{prefix}_CLIENT_KEY"), key);
        helper.get("ghcr.io").is_found("ghcr.io", "acme", "s3cr-et");
    }
    let setup = setup.vault("client-cert = \"client.pem\"").vault("client-key = \"~/client-key.pem\"");
    let helper = setup.helper().envs(&[("VAULT_CLIENT_CERT", "/nowhere"), ("VAULT_CLIENT_KEY", "/nowhere")]);
    fs::copy(certificate, helper.config_file().with_file_name("client.pem")).unwrap();
    fs::copy(key, helper.home().join("client-key.pem")).unwrap();
    helper.get("ghcr.io").is_found("ghcr.io", "acme", "s3cr-et");
}

#[test]
fn without_the_client_certificate_that_a_server_wants_nothing_is_answered() {
    let (giver, _front, _folder, setup) = front(&["127.0.0.1"], true);
    setup.helper().get("ghcr.io").fails_with(&["vault: ", "TLS: ", "CertificateRequired", "hint: "]);
    assert!(giver.heard().is_empty());
}

#[test]
fn a_client_certificate_without_its_key_is_a_failure() {
    let (giver, front, _folder, setup) = front(&["127.0.0.1"], true);
    let certificate = front.client.0.to_str().unwrap();
    let answer = setup.helper().env("VAULT_CLIENT_CERT", certificate).get("ghcr.io");
    answer.fails_with(&["VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY", "hint: "]);
    let helper =
        setup.helper().envs(&[("VAULT_CLIENT_CERT", certificate), ("VAULT_CLIENT_KEY", certificate)]);
    helper.get("ghcr.io").fails_with(&[certificate, "private key"]);
    assert!(giver.heard().is_empty());
}

#[test]
fn a_ca_that_cannot_be_read_is_named_and_nothing_is_sent() {
    let (giver, front, folder, _) = front(&["127.0.0.1"], false);
    let url = format!("https://{}", front.authority);
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "nothing\n").unwrap();
    let missing: PathBuf = folder.path().join("missing.pem");
    for (file, why) in [(&missing, "cannot read"), (&empty, "no CA certificates")] {
        let name = file.to_str().unwrap();
        let setup = Setup::new(&url, &url);
        both_fail(&setup.helper().env("SSL_CERT_FILE", name), &[why, name, "hint: "]);
        let helper = setup.both(&format!("ca-cert = \"{name}\"")).helper();
        both_fail(&helper, &[why, name, "hint: "]);
    }
    assert!(giver.heard().is_empty());
}

#[test]
fn verification_cannot_be_switched_off() {
    let (giver, front, _folder, _) = front(&["127.0.0.1"], false);
    let url = format!("https://{}", front.authority);
    for name in ["VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"] {
        let answer = Setup::new(&url, &url).helper().env(name, "true").get("ghcr.io");
        answer.fails_with(&["vault: ", name, "hint: unset"]);
    }
    assert!(giver.heard().is_empty());
}

#[test]
fn plain_http_on_the_port_is_told_from_a_wrong_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    // What is no request line is answered at once.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    both_fail(
        &Setup::new(&url, &url).helper(),
        &["TLS: ", "hint: the server may speak plain http on that port"],
    );
}
