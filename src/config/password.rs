//! Passwords and tokens from where the configuration says: the file itself, another file, a program, netrc, a systemd
//! credential, or the person at the terminal.
//!
//! What is read here reaches nobody but the caller: no error quotes it, nor the command that printed it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::termios::{OptionalActions, Termios};

use super::error::{ConfigError, Mistake, quoted, shown_path};
use super::locate::{Environment, read, read_as, read_private};
use super::{netrc, resolve};
use crate::access::{self, Owner};
use crate::account::{Account, Auth, PasswordSource};
use crate::secret::Secret;
use crate::stop::Stop;
use crate::text::{one_line, printable};

/// How long a password-command may take; some ask a person for a passphrase.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked for a signal while something else is waited for.
const GLANCE: Duration = Duration::from_millis(50);

const STOPPED_AT_PROMPT: ConfigError = ConfigError::Stopped { waiting_for: "a password was asked for" };

/// Octets of a password or token at most; OAuth tokens have a few thousand.
const LONGEST: u64 = 64 * 1024;

/// Octets of a netrc file at most.
const LARGEST_NETRC: u64 = 1024 * 1024;

/// The password or token of `account`; empty for `auth = "external"`, which proves itself by its certificate.  May run a
/// program or ask at the terminal; askers in several threads wait for each other.  A signal ends either.
///
/// # Errors
/// A file of secrets that is missing or open to others, or a password that no command can carry (78); no password to
/// be had (77).
pub fn obtain(account: &Account, environment: &Environment, stop: &Stop) -> Result<Secret, ConfigError> {
    if account.auth == Auth::External {
        return Ok(Secret::new(""));
    }
    let password = match &account.password {
        PasswordSource::Inline(secret) => secret.clone(),
        PasswordSource::File(path) => from_file(path, account.owner.as_ref())?,
        PasswordSource::Command(argv) => from_command(argv, account.owner.as_ref(), TIME_LIMIT, stop)?,
        PasswordSource::Netrc(path) => from_netrc(path, account)?,
        PasswordSource::Credential(name) => from_credential(name, environment)?,
        PasswordSource::Prompt => from_terminal(account, environment, stop)?,
    };
    let fault = |mistake: Mistake| ConfigError::PasswordUnusable {
        mistake: Mistake {
            what: format!("the password of {}: {}", quoted(&account.name), mistake.what),
            ..mistake
        },
    };
    check(&password).map_err(fault)?;
    Ok(password)
}

/// Refuses what no command can carry, and an empty password, which cannot be meant.
pub(super) fn check(password: &Secret) -> Result<(), Mistake> {
    let octets = password.expose();
    if octets.is_empty() {
        return Err(Mistake::new("it is empty"));
    }
    if !one_line(octets) {
        return Err(Mistake::new("it holds a line end or NUL, which no command can carry"));
    }
    Ok(())
}

/// The first line, without its end, nor a byte order mark before it, which some editors put there unseen.
fn first_line(octets: &[u8]) -> Secret {
    let octets = octets.strip_prefix(netrc::BYTE_ORDER_MARK).unwrap_or(octets);
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    Secret::new(line.strip_suffix(b"\r").unwrap_or(line))
}

fn from_file(path: &Path, owner: Option<&Owner>) -> Result<Secret, ConfigError> {
    let content = read_private(path, "password-file", LONGEST, owner)?;
    let password = first_line(content.expose());
    if password.expose().is_empty() {
        let what = format!("the first line of password-file {} is empty", shown_path(path));
        return Err(ConfigError::no_password(what, "write the password there"));
    }
    Ok(password)
}

fn from_netrc(path: &Path, account: &Account) -> Result<Secret, ConfigError> {
    let owner = account.owner.as_ref();
    let (content, metadata) = read_as(path, "netrc file", LARGEST_NETRC, owner)?;
    if netrc::holds_password(content.expose()) {
        access::check_private(path, &metadata, owner)?;
    }
    let same_host = |machine: &str| resolve::host(machine).is_ok_and(|host| host == account.host);
    netrc::find(content.expose(), &account.user, same_host).ok_or_else(|| {
        let what = format!(
            "{} has no password for {} at {}",
            shown_path(path),
            quoted(&account.user),
            printable(account.host.as_bytes())
        );
        ConfigError::no_password(what, format!("add: machine {} login … password …", account.host))
    })
}

/// systemd guards the directory of credentials itself, by an access list that shows as permissions of the group: so
/// the mode is not looked at.
fn from_credential(name: &str, environment: &Environment) -> Result<Secret, ConfigError> {
    let Some(directory) = &environment.credentials_directory else {
        let what = format!("there is no $CREDENTIALS_DIRECTORY for the credential {}", quoted(name));
        let hint =
            format!("run popfetch by a systemd unit with LoadCredential={}:FILE", printable(name.as_bytes()));
        return Err(ConfigError::no_password(what, hint));
    };
    let (content, _) = read(&directory.join(name), "credential", LONGEST)?;
    let password = first_line(content.expose());
    if password.expose().is_empty() {
        let what = format!("the first line of the credential {} is empty", quoted(name));
        return Err(ConfigError::no_password(what, "correct what LoadCredential or SetCredential names"));
    }
    Ok(password)
}

fn from_terminal(account: &Account, environment: &Environment, stop: &Stop) -> Result<Secret, ConfigError> {
    const HINT: &str = "set one of password-command, password-file, netrc, credential or password";
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if !environment.stdin_is_terminal {
        let what =
            format!("account {} names no source, and there is no terminal to ask at", quoted(&account.name));
        return Err(ConfigError::no_password(what, HINT));
    }
    let prompt = format!(
        "Password for {} at {}: ",
        printable(account.user.as_bytes()),
        printable(account.host.as_bytes())
    );
    // Nothing is behind the lock that a panic could have spoilt.
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if stop.raised() {
        return Err(STOPPED_AT_PROMPT);
    }
    let echo = Echo::remember();
    // Reading a terminal can't be interrupted: it's done in a thread, which is left behind at a signal.
    let (sender, typed) = channel();
    std::thread::spawn(move || {
        // Nobody listens any more after a signal.
        let _ = sender.send(rpassword::prompt_password(prompt).map(Secret::new));
    });
    let typed = loop {
        match typed.recv_timeout(GLANCE) {
            Ok(typed) => break typed,
            Err(RecvTimeoutError::Timeout) if !stop.raised() => {}
            Err(RecvTimeoutError::Timeout) => {
                echo.restore();
                return Err(STOPPED_AT_PROMPT);
            }
            Err(RecvTimeoutError::Disconnected) => break Err(io::Error::other("the prompt failed")),
        }
    };
    let typed =
        typed.map_err(|e| ConfigError::no_password(format!("nothing came from the terminal: {e}"), HINT))?;
    if typed.expose().is_empty() {
        return Err(ConfigError::no_password("nothing was typed", HINT));
    }
    Ok(typed)
}

/// The terminal as it was before a prompt, which switches its echo off.
struct Echo(Option<(File, Termios)>);

impl Echo {
    fn remember() -> Self {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
        Self(terminal.and_then(|terminal| {
            let was = rustix::termios::tcgetattr(&terminal).ok()?;
            Some((terminal, was))
        }))
    }

    fn restore(&self) {
        if let Some((terminal, was)) = &self.0 {
            // A terminal that is gone needs no echo.
            let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, was);
            let _ = (&*terminal).write_all(b"\n");
        }
    }
}

/// Runs the program to its end, or to `limit`; as `owner`, if there is one.  The first line of its output is the password.
///
/// It stays in our process group: a program that asks for a passphrase must be able to read from the terminal.
fn from_command(
    argv: &[String],
    owner: Option<&Owner>,
    limit: Duration,
    stop: &Stop,
) -> Result<Secret, ConfigError> {
    let hint = "run it by hand: its first line of output must be the password";
    let failed = |what: String| ConfigError::no_password(what, hint);
    let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
    let (program, arguments) =
        argv.split_first().ok_or_else(|| failed("password-command is empty".to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = access::spawn(&mut command, owner).map_err(|e| cannot_run(program, &e))?;
    let mut child = Reaped(child);
    let out = first_line_of(child.0.stdout.take());
    let complaint = first_line_of(child.0.stderr.take());
    let late = || {
        if stop.raised() {
            return ConfigError::Stopped { waiting_for: "password-command ran" };
        }
        failed(format!("password-command took longer than {} s", limit.as_secs()))
    };
    let printed = wait_for(&out, deadline, stop).map_err(|_| late())?;
    let status = wait(&mut child.0, deadline, stop).map_err(|e| failed(format!("password-command: {e}")))?;
    let status = status.ok_or_else(late)?;
    if !status.success() {
        if stop.raised() {
            // Ctrl-C reaches the program, too.
            return Err(late());
        }
        // What it printed may be the password, and it may have complained with the password in its words: they are
        // shown only where it printed nothing.
        let complaint = if printed.expose().is_empty() {
            // A program that lives on in the background may hold the other end: no more than a moment for its words.
            let moment = Instant::now().checked_add(Duration::from_millis(200)).unwrap_or(deadline);
            wait_for(&complaint, moment, stop).unwrap_or_else(|_| Secret::new(""))
        } else {
            Secret::new("")
        };
        let complaint = said(first_line(complaint.expose()).expose());
        return Err(failed(format!("password-command {}{complaint}", outcome(status))));
    }
    let password = first_line(printed.expose());
    if password.expose().is_empty() {
        return Err(failed("password-command printed nothing on its first line".to_owned()));
    }
    if u64::try_from(password.expose().len()).is_ok_and(|octets| octets >= LONGEST) {
        return Err(failed(format!(
            "password-command printed a line of {} or more",
            crate::text::size(LONGEST)
        )));
    }
    Ok(password)
}

/// The program's name is shown, but for one with a blank: a whole command line in the place of a program, which may hold
/// anything.
fn cannot_run(program: &str, error: &io::Error) -> ConfigError {
    if program.contains(char::is_whitespace) {
        return ConfigError::no_password(
            format!("password-command: cannot run its first element: {error}"),
            "a list is executed as it is, an element for each argument; a command line for the shell is a string",
        );
    }
    ConfigError::no_password(
        format!("password-command: cannot run {}: {error}", quoted(program)),
        "run it by hand: its first line of output must be the password",
    )
}

/// Kills and reaps what still runs when we leave early; after a normal end there is nothing left to do.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: the program is gone already, or cannot be helped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads in a thread of its own, sends the first line with its end as soon as it is there, and drains the rest, so that the program
/// is never stopped by a full or a closed pipe.
fn first_line_of(source: Option<impl Read + Send + 'static>) -> Receiver<Secret> {
    let (sender, receiver) = channel();
    if let Some(source) = source {
        std::thread::spawn(move || {
            // Octet by octet, into one place: what buffers hold is left behind in memory.
            let mut source = source;
            let mut line = Vec::with_capacity(usize::try_from(LONGEST).unwrap_or_default());
            let mut octet = [0];
            // What can't be read is as good as ended.
            while line.len() < line.capacity() && source.read_exact(&mut octet).is_ok() {
                line.extend_from_slice(&octet);
                if octet == [b'\n'] {
                    break;
                }
            }
            let _ = sender.send(Secret::new(line));
            let _ = io::copy(&mut source, &mut io::sink());
        });
    }
    receiver
}

/// Waits until `deadline`, or for a signal.
fn wait_for(receiver: &Receiver<Secret>, deadline: Instant, stop: &Stop) -> Result<Secret, RecvTimeoutError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(GLANCE)) {
            Err(RecvTimeoutError::Timeout) if !left.is_zero() && !stop.raised() => {}
            outcome => return outcome,
        }
    }
}

/// Waits for the end of the program; `None` at the deadline or a signal.  It ends right after its output as a rule, so the
/// first looks follow each other quickly.
fn wait(child: &mut Child, deadline: Instant, stop: &Stop) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline || stop.raised() {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2).min(GLANCE);
    }
}

fn outcome(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// The first line of what a program complained, made safe.
fn said(line: &[u8]) -> String {
    let line = printable(line);
    if line.is_empty() { line } else { format!(": {}", line.chars().take(200).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::{from_command, obtain};
    use crate::account::{Account, PasswordSource};
    use crate::config::locate::Environment;
    use crate::config::{ConfigError, load};
    use crate::problem::Problem as _;
    use crate::secret::Secret;
    use crate::stop::Stop;
    use std::fs::{Permissions, remove_file, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    fn environment(home: &Path) -> Environment {
        Environment { credentials_directory: Some(home.to_owned()), ..Environment::default() }
    }

    fn account(home: &Path, password: PasswordSource) -> Account {
        let path = home.join("config.toml");
        let text = "[accounts.work]\nserver = \"pop.example.com\"\nuser = \"me\"\ndeliver.stdout = true\n";
        write(&path, text).unwrap();
        let account = load(&path, &environment(home)).unwrap().accounts.remove(0);
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

    fn outcome(result: Result<Secret, ConfigError>) -> Result<String, (u8, String)> {
        let text = |secret: Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        result.map(text).map_err(|e| (e.exit_code().number(), e.shown()))
    }

    #[test]
    fn the_first_line_of_a_file() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        for (content, mode, expected) in [
            ("hunter2\nmore\n", 0o600, Ok("hunter2")),
            (" hunter2 \r\n", 0o400, Ok(" hunter2 ")),
            ("hunter2", 0o600, Ok("hunter2")),
            ("\u{feff}hunter2\r\n", 0o600, Ok("hunter2")),
            ("", 0o600, Err((77, "no password to be had: the first line of password-file"))),
            ("\nhunter2\n", 0o600, Err((77, "no password to be had: the first line of password-file"))),
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
    fn the_first_line_of_a_command() {
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
            match (
                outcome(from_command(&shell(line), None, Duration::from_secs(20), &Stop::new().unwrap())),
                expected,
            ) {
                (Ok(password), Ok(expected)) => assert_eq!(password, expected),
                (Err((77, error)), Err(what)) => {
                    assert!(error.starts_with("no password to be had: ") && error.contains(what), "{error}");
                    assert!(!error.contains("hunter2"), "{error}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        let (code, error) = outcome(from_command(
            &["/nowhere/pass".to_owned()],
            None,
            Duration::from_secs(20),
            &Stop::new().unwrap(),
        ))
        .unwrap_err();
        assert!(code == 77 && error.contains("cannot run \"/nowhere/pass\": No such file"), "{error}");
    }

    #[test]
    fn a_command_has_its_time() {
        let began = Instant::now();
        for line in ["sleep 30", "echo hunter2; exec sleep 30"] {
            let (code, error) =
                outcome(from_command(&shell(line), None, Duration::from_millis(300), &Stop::new().unwrap()))
                    .unwrap_err();
            assert!(code == 77 && error.contains("took longer than"), "{error}");
        }
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn netrc_and_credentials() {
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
        let credential = |name: &str| account(home, PasswordSource::Credential(name.to_owned()));
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
        assert!(error.starts_with("no password to be had: account \"work\" names no source"), "{error}");
        assert!(error.contains("\n\nhint: set one of password-command, "), "{error}");
    }
}
