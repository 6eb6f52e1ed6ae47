//! Auth: the table `[vault.NAME.auth]`, read and checked.

use std::rc::Rc;

use super::Setup;
use super::given::Given;
use super::login::{Login, Way};
use super::server::segments;
use super::token::Token;
use crate::identity;
use crate::keys::{Keys, Read};

/// How a connection comes to its token.
pub(super) enum Auth {
    /// It logs in.
    Login(Login),
    /// It sends none: a Vault Agent or Proxy adds its own.
    None,
    /// It has one.
    Token(Token),
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Word {
    AppRole,
    Aws,
    Cert,
    Jwt,
    Kubernetes,
    Ldap,
    None,
    Token,
    Userpass,
}

const METHODS: [(&str, Word); 9] = [
    ("approle", Word::AppRole),
    ("aws", Word::Aws),
    ("cert", Word::Cert),
    ("jwt", Word::Jwt),
    ("kubernetes", Word::Kubernetes),
    ("ldap", Word::Ldap),
    ("none", Word::None),
    ("token", Word::Token),
    ("userpass", Word::Userpass),
];

impl Auth {
    /// Reads the table; without one the usual token is meant.
    pub(super) fn parse(auth: Option<&Keys<'_>>, setup: &Setup<'_>) -> Read<Self> {
        let Some(keys) = auth else { return Ok(Self::Token(Token::Default)) };
        let word = keys.word("method", &METHODS)?.unwrap_or(Word::Token);
        match word {
            Word::None => keys.finish().map(|()| Self::None),
            Word::Token => Token::parse(keys, setup.folder, setup.home).map(Self::Token),
            word => login(keys, word, setup).map(Self::Login),
        }
    }
}

fn login(keys: &Keys<'_>, word: Word, setup: &Setup<'_>) -> Read<Login> {
    let name = METHODS.iter().find(|(_, known)| *known == word).map_or("token", |(name, _)| *name);
    let mount = keys.string("mount")?;
    let namespace = keys.string("namespace")?;
    let way = match word {
        Word::AppRole => app_role(keys, setup)?,
        Word::Aws => aws(keys, setup)?,
        Word::Cert => Way::Cert { role: keys.string("role")? },
        Word::Jwt | Word::Kubernetes => jwt(keys, word, setup)?,
        _ => password(keys, setup)?,
    };
    keys.finish()?;
    let mount = segments(mount.as_deref().unwrap_or(name).trim_start_matches("auth/"));
    if mount.is_empty() || mount.iter().any(|part| matches!(part.as_str(), "." | "..")) {
        return Err(keys.mistake("mount", "is no path such as jwt or team/approle"));
    }
    Ok(Login { name, mount, namespace, way })
}

fn app_role(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Way> {
    let literal = keys.string("role-id")?.map(Given::Literal);
    let role_id = Given::parse(keys, "role-id-env", "role-id-file", setup.folder, setup.home)?;
    let secret_id = Given::parse(keys, "secret-id-env", "secret-id-file", setup.folder, setup.home)?;
    let is_wrapped = keys.boolean("wrapped")?.unwrap_or(false);
    if is_wrapped && secret_id.is_none() {
        // A misspelt key is told before a missing one.
        keys.finish()?;
        return Err(keys.mistake("wrapped", "needs the key `secret-id-env` or `secret-id-file`"));
    }
    keys.exclusive(&["role-id", "role-id-env", "role-id-file"])?;
    let role_id = required(keys, literal.or(role_id), "`role-id`, `role-id-env` or `role-id-file`")?;
    Ok(Way::AppRole { role_id, secret_id, is_wrapped })
}

fn aws(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Way> {
    let role = keys.string("role")?;
    let name = keys.string("aws")?.unwrap_or_else(|| "default".to_owned());
    let server_id = keys.string("server-id")?;
    let role = required(keys, role, "`role`")?;
    let connection = setup
        .aws
        .get(&name)
        .map(Rc::clone)
        .ok_or_else(|| keys.mistake("aws", &format!("names no connection: there is no [aws.{name}]")))?;
    Ok(Way::Aws { role, connection, server_id })
}

fn jwt(keys: &Keys<'_>, word: Word, setup: &Setup<'_>) -> Read<Way> {
    let role = keys.annotated("role")?;
    let token = identity::Token::parse(keys, "token", setup.folder, setup.home)?;
    let role = required(keys, role, "`role`")?;
    let token = match (token, word) {
        (None, Word::Kubernetes) => identity::Token::service_account(),
        (token, _) => required(keys, token, "`token`")?,
    };
    keys.may_be_annotated("role", [&role], token.is_service_account())?;
    Ok(Way::Jwt { role, token })
}

fn password(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Way> {
    let username = keys.string("username")?;
    let password = Given::parse(keys, "password-env", "password-file", setup.folder, setup.home)?;
    let username = required(keys, username, "`username`")?;
    let password = required(keys, password, "`password-env` or `password-file`")?;
    Ok(Way::Password { username, password })
}

/// The value; a misspelt key is told before a missing one.
fn required<T>(keys: &Keys<'_>, value: Option<T>, name: &str) -> Read<T> {
    match value {
        Some(value) => Ok(value),
        None => {
            keys.finish()?;
            Err(keys.error(&format!("needs the key {name}")))
        }
    }
}
