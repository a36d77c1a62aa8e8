//! Passwords and tokens from the source that the configuration names: the configuration itself, a file, a program, netrc, a systemd
//! credential, or the user at the terminal.
//!
//! A secret goes one way: config → [`PasswordSource`] → here → [`Secret`] → the login's
//! [`Credentials`](crate::protocol::sasl::Credentials).  Only the caller gets it: no error quotes it, nor the command that
//! printed it.

mod digest;
mod error;
mod first_line;
mod keep;
mod netrc;
mod password_command;
mod prompt;

use std::path::Path;

pub(crate) use digest::configuration_digest;
pub(crate) use error::Error;
pub(crate) use keep::{Keep, Keeper, keepers};
pub use netrc::fuzz_netrc;
pub(crate) use prompt::typed;

use crate::access::{self, Owner};
use crate::account::{Account, Auth, OAuth, PasswordSource, Way, check_one_line, host};
use crate::connection::Connectors;
use crate::environment::Environment;
use crate::http::HttpWay;
use crate::oauth::{TokenHolder, TokenObserver, WaitLimits};
use crate::problem::Problem;
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::{self, printable, shown_by};
use error::quoted;
use first_line::{LONGEST, first_line};

/// Octets of a netrc file at most.
const LARGEST_NETRC: u64 = 1024 * 1024;

/// What a password or token is got with.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    /// The environment, as found at the start.
    pub environment: &'a Environment,
    pub stop: &'a Stop,
    pub connectors: &'a Connectors,
    /// The state directory.
    pub state: &'a Path,
    /// Sees how a token is got.
    pub watch: &'a dyn TokenObserver,
}

shown_by!(Means<'_>, state);

/// A password or token.
#[derive(Debug, Clone)]
pub(crate) struct Obtained {
    pub secret: Secret,
    /// It is a token that was kept, so that another one may be had if the server doesn't take it.
    pub is_kept_token: bool,
}

/// The password or token of `account`; empty for `auth = "external"`, which proves itself by its certificate.  May run a
/// program, ask at the terminal, or renew a token; threads that ask wait for each other.  A signal ends any of it.
///
/// # Errors
/// A file of secrets that is missing or open to others, or a password that no command can carry (78).  A source that
/// has none (77).  A signal (75).  What keeps a token from being renewed.
pub(crate) fn obtain(account: &Account, means: &Means<'_>) -> Result<Obtained, Error> {
    let plain = |secret| Obtained { secret, is_kept_token: false };
    if account.auth == Auth::External {
        return Ok(plain(Secret::new("")));
    }
    let password = match &account.password {
        PasswordSource::OAuth(oauth) => {
            let token = with_holder(account, oauth, means, |holder| holder.token())?;
            return Ok(Obtained { secret: token.secret, is_kept_token: !token.is_new });
        }
        PasswordSource::Netrc(path) => from_netrc(path, account)?,
        PasswordSource::Prompt => prompt::ask(account, means.environment, means.stop)?,
        source => from_source(source, account.owner.as_ref(), means)?,
    };
    match check_one_line(password.expose()) {
        Ok(()) => Ok(plain(password)),
        Err(why) => Err(Error::Unusable { account: account.name.clone(), why }),
    }
}

/// Does `work` with all that is needed to get, renew or give up the tokens of `account`.
pub(crate) fn with_holder<T>(
    account: &Account,
    oauth: &OAuth,
    means: &Means<'_>,
    work: impl FnOnce(&TokenHolder<'_>) -> T,
) -> T {
    let client_secret = || match &oauth.client_secret {
        None => Ok(None),
        Some(source) => match from_source(source, account.owner.as_ref(), means) {
            Ok(secret) => Ok(Some(secret)),
            Err(e) => {
                let e: Box<dyn Problem> = Box::new(e);
                Err(e)
            }
        },
    };
    // Its addresses of this machine hold for whatever the account connects to.
    let own = oauth.route.clone().map(|route| Way { route, ..account.way.clone() });
    work(&TokenHolder {
        account: &account.name,
        user: &account.user,
        settings: oauth,
        client_secret: &client_secret,
        state: means.state,
        way: HttpWay {
            route: own.as_ref().unwrap_or(&account.way),
            ca_file: account.trust.ca_file.as_deref(),
            ..HttpWay::direct(means.connectors, means.stop)
        },
        limits: WaitLimits::default(),
        watch: means.watch,
    })
}

/// A secret that is the same for whatever it is used.
fn from_source(source: &PasswordSource, owner: Option<&Owner>, means: &Means<'_>) -> Result<Secret, Error> {
    match source {
        PasswordSource::Inline(secret) => Ok(secret.clone()),
        PasswordSource::File(path) => from_file(path, owner),
        PasswordSource::Command(argv) => {
            password_command::run(argv, owner, password_command::TIME_LIMIT, means.stop)
        }
        PasswordSource::SystemdCredential(name) => from_systemd(name, means.environment),
        PasswordSource::Netrc(_) | PasswordSource::Prompt | PasswordSource::OAuth(_) => Err(Error::missing(
            "it has no source",
            "name one of password-command, password-file or credential",
        )),
    }
}

/// Where the password of `account` comes from, in words: never a part of it, nor of a command, which may hold one.
#[must_use]
pub(crate) fn source(account: &Account) -> String {
    if account.auth == Auth::External {
        return "no password: the client certificate is shown".to_owned();
    }
    match &account.password {
        PasswordSource::Inline(_) => "the password stands in the configuration".to_owned(),
        PasswordSource::File(path) => format!("the password comes from password-file {}", text::path(path)),
        PasswordSource::Command(_) => "the password comes from password-command".to_owned(),
        PasswordSource::Netrc(path) => format!("the password comes from netrc file {}", text::path(path)),
        PasswordSource::SystemdCredential(name) => {
            format!("the password comes from credential {}", quoted(name))
        }
        PasswordSource::Prompt => "the password comes from the terminal".to_owned(),
        PasswordSource::OAuth(oauth) => {
            format!("the token is given by {}", printable(oauth.provider.called().as_bytes()))
        }
    }
}

/// Whether a netrc file has a password for this user at this host, which may be in any form that a configuration takes.
#[must_use]
pub(crate) fn netrc_has(text: &[u8], host: &str, user: &str) -> bool {
    host::parse(host).is_ok_and(|host| netrc::find(text, user, is_host(&host)).is_some())
}

/// The user that a netrc file names for this host.
#[must_use]
pub(crate) fn netrc_user(text: &[u8], host: &str) -> Option<String> {
    netrc::user(text, is_host(&host::parse(host).ok()?))
}

/// Whether a `machine` is the host, which is in its usual form.
fn is_host(host: &str) -> impl Fn(&str) -> bool {
    move |machine| host::parse(machine).is_ok_and(|machine| machine == host)
}

fn from_file(path: &Path, owner: Option<&Owner>) -> Result<Secret, Error> {
    let content = access::read_private(path, "password-file", LONGEST, owner)?;
    let password = first_line(content.expose());
    if password.expose().is_empty() {
        let what = format!("the first line of password-file {} is empty", text::path(path));
        return Err(Error::missing(what, "write the password there"));
    }
    Ok(password)
}

fn from_netrc(path: &Path, account: &Account) -> Result<Secret, Error> {
    let owner = account.owner.as_ref();
    let (content, metadata) = access::read_as(path, "netrc file", LARGEST_NETRC, owner)?;
    if netrc::holds_password(content.expose()) {
        access::check_private(path, &metadata, owner)?;
    }
    netrc::find(content.expose(), &account.user, is_host(&account.host)).ok_or_else(|| {
        let what = format!(
            "{} has no password for {} at {}",
            text::path(path),
            quoted(&account.user),
            printable(account.host.as_bytes())
        );
        Error::missing(what, format!("add: machine {} login … password …", account.host))
    })
}

/// systemd guards the directory of credentials itself, by an access list that shows as permissions of the group: so
/// the mode is not looked at.
fn from_systemd(name: &str, environment: &Environment) -> Result<Secret, Error> {
    let Some(directory) = &environment.credentials_directory else {
        let what = format!("there is no $CREDENTIALS_DIRECTORY for the credential {}", quoted(name));
        let hint =
            format!("run popfetch by a systemd unit with LoadCredential={}:FILE", printable(name.as_bytes()));
        return Err(Error::missing(what, hint));
    };
    let (content, _) = access::read(&directory.join(name), "credential", LONGEST)?;
    let password = first_line(content.expose());
    if password.expose().is_empty() {
        let what = format!("the first line of the credential {} is empty", quoted(name));
        return Err(Error::missing(what, "correct what LoadCredential or SetCredential names"));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::password_command::run;
    use super::{Error, Means};
    use crate::account::{Account, PasswordSource};
    use crate::config::{Request, for_run};
    use crate::environment::Environment;
    use crate::problem::Problem as _;
    use crate::secret::Secret;
    use crate::signals::Stop;
    use std::fs::{Permissions, remove_file, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    struct Nobody;

    impl crate::oauth::TokenObserver for Nobody {
        fn detail(&self, _: String) {}
        fn wants_dialogue(&self) -> bool {
            false
        }
        fn dialogue(&self, _: String) {}
        fn refreshed(&self, _: &str, _: u64) {}
    }

    fn obtain(account: &Account, environment: &Environment, stop: &Stop) -> Result<Secret, Error> {
        let (connectors, state) = (crate::connection::Connectors::new(), Path::new("/nonexistent"));
        let means = Means { environment, stop, connectors: &connectors, state, watch: &Nobody };
        super::obtain(account, &means).map(|obtained| obtained.secret)
    }

    fn environment(home: &Path) -> Environment {
        Environment { credentials_directory: Some(home.to_owned()), ..Environment::default() }
    }

    fn account(home: &Path, password: PasswordSource) -> Account {
        let path = home.join("config.toml");
        let text = "[accounts.work]\nserver = \"pop.example.com\"\nuser = \"me\"\ndeliver.stdout = true\n";
        write(&path, text).unwrap();
        let request = Request { file: Some(path), ..Request::default() };
        let account = for_run(&request, &environment(home)).unwrap().accounts.remove(0);
        Account { password, ..account }
    }

    fn file(home: &Path, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = home.join("secret");
        // The one before may not be writable.
        let _ = remove_file(&path);
        write(&path, content).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn shell(line: &str) -> Vec<String> {
        ["sh", "-c", line].map(str::to_owned).to_vec()
    }

    fn outcome(result: Result<Secret, Error>) -> Result<String, (u8, String)> {
        let text = |secret: Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        result.map(text).map_err(|e| (e.exit_code().number(), e.shown()))
    }

    #[test]
    fn the_password_is_the_first_line_of_its_file() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        for (content, mode, expected) in [
            ("hunter2\nmore\n", 0o600, Ok("hunter2")),
            (" hunter2 \r\n", 0o400, Ok(" hunter2 ")),
            ("hunter2", 0o600, Ok("hunter2")),
            ("\u{feff}hunter2\r\n", 0o600, Ok("hunter2")),
            ("", 0o600, Err((77, "cannot get a password: the first line of password-file"))),
            ("\nhunter2\n", 0o600, Err((77, "cannot get a password: the first line of password-file"))),
            ("hunter2\r\r\n", 0o600, Err((78, "the password of \"work\": it holds a line end or NUL"))),
            ("hun\0ter2\n", 0o600, Err((78, "the password of \"work\": it holds a line end or NUL"))),
            ("hunter2\n", 0o644, Err((78, "/secret holds a secret, and other users can read it (mode 644)"))),
            (&"x".repeat(65_537), 0o600, Err((78, "is larger than 64.0 KiB"))),
        ] {
            let account = account(home, PasswordSource::File(file(home, content, mode)));
            match (outcome(obtain(&account, &environment(home), &Stop::new().unwrap())), expected) {
                (Ok(password), Ok(expected)) => assert_eq!(password, expected),
                (Err((code, error)), Err((expected, what))) => {
                    assert!(code == expected && error.contains(what) && !error.contains("hun"), "{error}");
                }
                other => panic!("{content:.10?}: {other:?}"),
            }
        }
        let missing = account(home, PasswordSource::File(home.join("none")));
        assert_eq!(outcome(obtain(&missing, &environment(home), &Stop::new().unwrap())).unwrap_err().0, 78);
    }

    #[test]
    fn the_password_is_the_first_line_that_a_command_prints() {
        let fifty_pages =
            "printf 'hunter2\\nlogin: me\\n'; i=0; while [ $i -lt 20000 ]; do echo line; i=$((i+1)); done";
        for (line, expected) in [
            ("echo hunter2", Ok("hunter2")),
            ("printf hunter2", Ok("hunter2")),
            // More than a pipe holds: neither stopped nor killed for it.
            (fifty_pages, Ok("hunter2")),
            // Not from our standard input.
            ("cat; echo hunter2", Ok("hunter2")),
            // A daemon that keeps the pipe open isn't waited for.
            ("echo hunter2; sleep 30 &", Ok("hunter2")),
            ("echo hunter2; exit 3", Err("password-command failed with exit status 3\n")),
            ("echo 'no \u{1b}[1mkey' >&2; exit 2", Err("failed with exit status 2: no \\x1b[1mkey\n")),
            // Its words may hold what it has printed.
            ("echo hunter2; echo 'is it hunter2?' >&2; exit 2", Err("failed with exit status 2\n")),
            ("echo; echo hunter2; echo HUNTER2 hunter >&2; exit 2", Err("failed with exit status 2\n")),
            ("echo hunter2; kill -9 $$", Err("password-command was killed by signal 9\n")),
            (
                "head -c 70000 /dev/zero | tr '\\0' x",
                Err("password-command printed a line of 64.0 KiB or more\n"),
            ),
            ("true", Err("password-command printed nothing on its first line\n")),
            ("echo; echo hunter2", Err("password-command printed nothing on its first line\n")),
        ] {
            match (outcome(run(&shell(line), None, Duration::from_secs(20), &Stop::new().unwrap())), expected)
            {
                (Ok(password), Ok(expected)) => assert_eq!(password, expected),
                (Err((77, error)), Err(what)) => {
                    assert!(error.starts_with("cannot get a password: ") && error.contains(what), "{error}");
                    assert!(!error.contains("hunter2"), "{error}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        let (code, error) =
            outcome(run(&["/nowhere/pass".to_owned()], None, Duration::from_secs(20), &Stop::new().unwrap()))
                .unwrap_err();
        assert!(code == 77 && error.contains("cannot run \"/nowhere/pass\": No such file"), "{error}");
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let began = Instant::now();
        for line in ["sleep 30", "echo hunter2; exec sleep 30"] {
            let (code, error) =
                outcome(run(&shell(line), None, Duration::from_millis(300), &Stop::new().unwrap()))
                    .unwrap_err();
            assert!(code == 77 && error.contains("took longer than"), "{error}");
        }
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_password_comes_from_netrc_or_from_a_credential() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let entry = "machine POP.example.com. login me password hunter2\n";
        for (content, mode, expected) in [
            (entry, 0o600, Ok("hunter2")),
            (entry, 0o640, Err((78, "other users can read it"))),
            (
                "machine other password hunter2\n",
                0o600,
                Err((77, "has no password for \"me\" at pop.example.com")),
            ),
            // Open, but with nothing to hide.
            ("machine pop.example.com login me\n", 0o644, Err((77, "has no password for \"me\""))),
        ] {
            let account = account(home, PasswordSource::Netrc(file(home, content, mode)));
            match (outcome(obtain(&account, &environment(home), &Stop::new().unwrap())), expected) {
                (Ok(password), Ok(expected)) => assert_eq!(password, expected),
                (Err((code, error)), Err((expected, what))) => {
                    assert!(
                        code == expected && error.contains(what) && !error.contains("hunter2"),
                        "{error}"
                    );
                }
                other => panic!("{content}: {other:?}"),
            }
        }
        file(home, "hunter2\n", 0o440);
        let credential = |name: &str| account(home, PasswordSource::SystemdCredential(name.to_owned()));
        assert_eq!(
            outcome(obtain(&credential("secret"), &environment(home), &Stop::new().unwrap())),
            Ok("hunter2".to_owned())
        );
        assert_eq!(
            outcome(obtain(&credential("none"), &environment(home), &Stop::new().unwrap())).unwrap_err().0,
            78
        );
        let (code, error) =
            outcome(obtain(&credential("secret"), &Environment::default(), &Stop::new().unwrap()))
                .unwrap_err();
        assert!(code == 77 && error.contains("LoadCredential=secret:FILE"), "{error}");
    }

    #[test]
    fn nobody_is_asked_without_a_terminal() {
        let home = tempfile::tempdir().unwrap();
        let account = account(home.path(), PasswordSource::Prompt);
        let (code, error) =
            outcome(obtain(&account, &environment(home.path()), &Stop::new().unwrap())).unwrap_err();
        assert_eq!(code, 77);
        assert!(error.starts_with("cannot get a password: account \"work\" names no source"), "{error}");
        assert!(error.contains("\n\nhint: set one of password-command, "), "{error}");
    }
}
