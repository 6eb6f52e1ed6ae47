//! Tokens in a variable, in a file, and in the files that Kubernetes and EKS write.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use super::{tells_nothing_of, write};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::jwt::{JwtMount, Signer, circleci, seconds_from_now, with};
use crate::support::relay::Relay;
use crate::support::servers::Moto;

#[test]
fn a_variable_holds_the_token() {
    let Some(mount) = JwtMount::circleci() else { return };
    let token = mount.signer.sign(&circleci());
    let helper = || mount.helper("{ env = \"JOB_TOKEN\" }");
    mount.gives(&helper().env("JOB_TOKEN", format!(" {token}\r\n")).env("CIRCLE_OIDC_TOKEN_V2", "wrong"));
    let relay = Relay::to(&mount.bao.address);
    let unset = "no identity token: JOB_TOKEN is not set; hint: set JOB_TOKEN";
    mount.refuses(&helper().env("VAULT_ADDR", relay.url()).env("CIRCLE_OIDC_TOKEN_V2", &token), unset);
    mount.refuses(&helper().env("VAULT_ADDR", relay.url()).env("JOB_TOKEN", ""), unset);
    let empty = "the token in JOB_TOKEN is empty; hint: set it to a new one";
    mount.refuses(&helper().env("VAULT_ADDR", relay.url()).env("JOB_TOKEN", " \n"), empty);
    for text in ["two words", "s3cr\u{e9}t", "a\u{1}b", "line\nline"] {
        let sentence = "the token in JOB_TOKEN is no identity token; hint: it is one word of the form a.b.c";
        mount.refuses(&helper().env("VAULT_ADDR", relay.url()).env("JOB_TOKEN", text), sentence);
    }
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn a_file_is_relative_to_the_config_or_in_the_home_and_read_anew_each_time() {
    let Some(mount) = JwtMount::circleci() else { return };
    for (written, stands) in [
        ("token", ".config/docker-credential-lease/token"),
        ("tokens/job", ".config/docker-credential-lease/tokens/job"),
        ("~/token", "token"),
    ] {
        let helper = mount.helper(&format!("{{ file = \"{written}\" }}"));
        let file = helper.home().join(stands);
        write(&file, &mount.signer.sign(&with(circleci(), json!({"exp": seconds_from_now(-605)}))));
        let sentence = format!(
            "the token in {} expired 10 minutes ago; hint: have a new one written there",
            file.display()
        );
        mount.refuses(&helper, &sentence);
        write(&file, &format!("{}\n", mount.signer.sign(&circleci())));
        mount.gives(&helper);
    }
}

#[test]
fn a_file_that_is_no_use_is_named() {
    let Some(mount) = JwtMount::circleci() else { return };
    let helper = mount.helper("{ file = \"token\" }");
    let file = helper.config_file().with_file_name("token");
    let name = file.display();
    let hint = "hint: have whoever makes the token write it there";
    mount.refuses(&helper, &format!("no file {name}; {hint}"));
    write(&file, "\n");
    mount.refuses(&helper, &format!("the token in {name} is empty; hint: have a new one written there"));
    fs::write(&file, b"s3cret\xff").unwrap();
    mount.refuses(&helper, &format!("cannot read {name}: it is not UTF-8; {hint}"));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    mount.refuses(&helper, &format!("cannot read {name}: it is not a regular file; {hint}"));
}

#[test]
fn a_file_that_others_could_have_written_is_not_read() {
    let Some(mount) = JwtMount::circleci() else { return };
    let helper = mount.helper("{ file = \"~/tokens/token\" }");
    let (folder, file) = (helper.home().join("tokens"), helper.home().join("tokens/token"));
    write(&file, &mount.signer.sign(&circleci()));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for path in [&file, &folder] {
        mode(path, 0o777);
        let sentence =
            format!("{} can be written by others; hint: chmod go-w {}", path.display(), path.display());
        mount.refuses(&helper, &sentence);
        mode(path, 0o755);
    }
    // As the kubelet and Vault Agents leave them: readable by all, behind a link.
    fs::rename(&file, folder.join("..data")).unwrap();
    symlink("..data", &file).unwrap();
    mode(&file, 0o644);
    mount.gives(&helper);
}

/// A helper that takes on a role by web identity, to read a secret.
fn by_web_identity(url: &str, secret: &str) -> Helper {
    let config = format!(
        "[registry.\"ghcr.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{secret}\"\n[aws.default]\n\
         web-identity = \"service-account\"\nrole-arn = \"arn:aws:iam::123456789012:role/pull\"\n"
    );
    Helper::with_config(&config).envs(&[("AWS_ENDPOINT_URL", url), ("AWS_REGION", "us-east-1")])
}

#[test]
fn for_aws_the_service_account_s_token_is_where_eks_says() {
    let Some(moto) = Moto::find() else { return };
    let helper = by_web_identity(&moto.url, &moto.secret(r#"{"username":"octocat","password":"pw-1"}"#));
    let file = helper.home().join("eks/token");
    write(&file, &Signer::new().sign(&circleci()));
    let helper = helper.env("AWS_WEB_IDENTITY_TOKEN_FILE", file.display().to_string());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    fs::remove_file(&file).unwrap();
    let cause = format!(": no file {}; hint: ", file.display());
    let hint = "AWS_WEB_IDENTITY_TOKEN_FILE names it: mount it there, or unset that";
    helper.get("ghcr.io").fails_with(&["aws-secrets-manager: secret-", &cause, hint]);
}

#[test]
fn the_token_that_is_shown_to_aws_is_the_one_of_the_file() {
    let refusal = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
    let double = Hostile::answering(403, "", refusal);
    let (helper, token) = (by_web_identity(&double.url(), "hub"), Signer::new().sign(&circleci()));
    let file = helper.home().join("token");
    write(&file, &format!("{token}\n"));
    let helper = helper.env("AWS_WEB_IDENTITY_TOKEN_FILE", file.display().to_string());
    let answer = helper.get("ghcr.io");
    answer.fails_with(&["AccessDenied", "sts:AssumeRoleWithWebIdentity", "; hint: the role's trust policy"]);
    tells_nothing_of(&answer, &["eyJ"]);
    let heard = double.heard();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].contains("Action=AssumeRoleWithWebIdentity"), "{}", heard[0]);
    assert!(heard[0].contains(&format!("&WebIdentityToken={token}")), "{}", heard[0]);
    assert!(!heard[0].to_ascii_lowercase().contains("authorization:"), "{}", heard[0]);
}

#[test]
fn the_file_that_is_for_aws_is_not_shown_to_vault() {
    let Some(mount) = JwtMount::circleci() else { return };
    if Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists() {
        eprintln!("SKIPPED: this is a pod");
        return;
    }
    let helper = mount.helper("\"service-account\"");
    let file = helper.home().join("eks/token");
    write(&file, &mount.signer.sign(&circleci()));
    let helper = helper.env("AWS_WEB_IDENTITY_TOKEN_FILE", file.display().to_string());
    helper
        .get("ghcr.io")
        .fails_with(&["no file /var/run/secrets/kubernetes.io/serviceaccount/token; hint: a pod has it"]);
}
