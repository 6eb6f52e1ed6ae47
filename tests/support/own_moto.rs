//! A moto server of the test's own, which checks signatures and policies as AWS does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use super::program::Ends;
use super::servers::{Moto, request, setting};

/// It ends with the test.
pub(crate) struct OwnMoto {
    /// What it has in common with the shared one.
    pub(crate) moto: Moto,
    _server: Ends,
}

impl OwnMoto {
    /// `None` where `TEST_PYTHON` names no Python that has moto: the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        let python = setting("TEST_PYTHON")?;
        // It takes a port itself and says which: one that was free a moment ago may be another test's by now.
        let server = Command::new(python)
            .args(["-I", "-c", "import sys; from moto.server import main; main(sys.argv[1:])"])
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Ends(server);
        let mut told = BufReader::new(server.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut own = Self { moto: Moto { url: String::new() }, _server: server };
        let line = told.find_map(|line| line.split_once("Running on ").map(|(_, url)| url.to_owned()));
        own.moto.url = line.expect("moto did not come up").trim().to_owned();
        // What nobody reads would hold it up.
        thread::spawn(move || told.for_each(drop));
        Some(own)
    }

    /// Calls IAM; what it answered, in XML.
    pub(crate) fn iam(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.append_pair("Action", action).append_pair("Version", "2010-05-08");
        let body = body.extend_pairs(fields).finish();
        let scope = "Credential=test/20260101/us-east-1/iam/aws4_request";
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let (status, answer) = request("POST", &self.moto.url, &headers, &body);
        assert_eq!(status, 200, "{action}: {answer}");
        answer
    }

    /// Makes a user with a key; the key's id and secret.
    pub(crate) fn user(&self, name: &str) -> (String, String) {
        self.iam("CreateUser", &[("UserName", name)]);
        let made = self.iam("CreateAccessKey", &[("UserName", name)]);
        let text = |element: &str| {
            let rest = made.split_once(&format!("<{element}>")).unwrap().1;
            rest.split('<').next().unwrap().to_owned()
        };
        (text("AccessKeyId"), text("SecretAccessKey"))
    }

    /// From now on it checks signatures and policies; nothing can be made any more.
    pub(crate) fn enforce(&self) {
        let (status, answer) = request("POST", &format!("{}/moto-api/reset-auth", self.moto.url), &[], "0");
        assert_eq!(status, 200, "{answer}");
    }
}
