//! Where a password goes that the user has typed, so that later runs find it: a file that only the user can read, the
//! password store of pass(1), or a file that systemd-creds(1) has encrypted.
//!
//! It reaches a program by its standard input, never by its arguments, and a file has its mode before its content.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::error::Error;
use crate::access::shell_word;
use crate::durable;
use crate::environment::Environment;
use crate::problem::Problem as _;
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text;

/// How long a program may take to keep a password; some ask the user for a passphrase.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a signal is looked for while it runs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Octets that a program may print.
const MOST_PRINTED: u64 = 64 * 1024;
/// Names that are tried where one is taken.
const MOST_NAMES: u32 = 100;

/// A kind of place for passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// A file, mode 0600.
    File,
    /// pass(1).
    Pass,
    /// systemd-creds(1).
    SystemdCreds,
}

/// A password that is kept, and how an account finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keep {
    /// `password-file`: the name of a file beside the configuration.
    File(String),
    /// `password-command`, as a line.
    Line(String),
    /// `password-command`, as a list; and the file that it reads.
    List(Vec<String>, PathBuf),
}

/// What this machine has: a file, always; the others if their programs are there and set up, as far as can be seen.
#[must_use]
pub(crate) fn keepers(environment: &Environment) -> Vec<Keeper> {
    let mut keepers = vec![Keeper::File];
    if environment.on_path("pass").is_some()
        && store(environment).is_some_and(|store| store.join(".gpg-id").is_file())
    {
        keepers.push(Keeper::Pass);
    }
    if environment.on_path("systemd-creds").is_some() {
        keepers.push(Keeper::SystemdCreds);
    }
    keepers
}

impl Keeper {
    /// Keeps a password for the account `name`, whose configuration is in `folder`.  Nothing that is there is replaced.
    ///
    /// # Errors
    /// The disk or the program refuses; a signal.
    pub(crate) fn keep(
        self,
        name: &str,
        folder: &Path,
        password: &Secret,
        environment: &Environment,
        stop: &Stop,
    ) -> Result<Keep, Error> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.@".contains(c) { c } else { '-' };
        let name: String = name.chars().map(plain).collect();
        let name = name.trim_start_matches('.');
        match self {
            Self::File => {
                let mut line = Zeroizing::new(password.expose().to_vec());
                line.push(b'\n');
                new_file(folder, name, "password", &line).map(Keep::File)
            }
            Self::Pass => in_store(name, password, environment, stop).map(Keep::Line),
            Self::SystemdCreds => encrypted(name, folder, password, stop),
        }
    }
}

impl Keep {
    /// Takes it back: the account is not set up after all.  What a password store has is left there.
    pub(crate) fn undo(&self, folder: &Path) {
        match self {
            Self::File(name) => drop(std::fs::remove_file(folder.join(name))),
            Self::List(_, path) => drop(std::fs::remove_file(path)),
            Self::Line(_) => {}
        }
    }
}

/// A new file in `folder`, whose name is free; on the disk when this returns.
fn new_file(folder: &Path, name: &str, kind: &str, octets: &[u8]) -> Result<String, Error> {
    let failed = |e: durable::Error| Error::NotKept {
        what: e.to_string(),
        hint: e.hint().map_or_else(|| "choose another place for it".to_owned(), Into::into),
    };
    durable::make_directories(folder).map_err(failed)?;
    for number in 1..=MOST_NAMES {
        let name = if number == 1 { format!("{name}.{kind}") } else { format!("{name}-{number}.{kind}") };
        let path = folder.join(&name);
        let file = match durable::create_new(&path, 0o600) {
            Ok(file) => file,
            Err(e) if e.source.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(failed(e)),
        };
        let written = durable::write(&file, &path, octets)
            .and_then(|()| durable::sync(&file, &path))
            .and_then(|()| durable::sync_names(folder));
        return match written {
            Ok(()) => Ok(name),
            Err(e) => {
                // Half a password is useless.
                let _ = std::fs::remove_file(&path);
                Err(failed(e))
            }
        };
    }
    let what = format!("{} has too many files of that name", text::path(folder));
    Err(Error::NotKept { what, hint: "remove those that no account uses".to_owned() })
}

/// Where pass(1) keeps its files.
fn store(environment: &Environment) -> Option<PathBuf> {
    let named = environment.variable("PASSWORD_STORE_DIR");
    named.map(PathBuf::from).or_else(|| Some(environment.home.as_ref()?.join(".password-store")))
}

fn in_store(name: &str, password: &Secret, environment: &Environment, stop: &Stop) -> Result<String, Error> {
    let store = store(environment);
    let is_free =
        |entry: &String| store.as_ref().is_none_or(|store| !store.join(format!("{entry}.gpg")).exists());
    // pass(1) would replace what is there without asking: its standard input is no terminal.
    let names = (1..=MOST_NAMES).map(|number| match number {
        1 => format!("mail/{name}"),
        number => format!("mail/{name}-{number}"),
    });
    let Some(entry) = names.into_iter().find(is_free) else {
        let what = format!("the password store has too many entries like mail/{name}");
        return Err(Error::NotKept { what, hint: "remove those that no account uses".to_owned() });
    };
    let argv = ["pass", "insert", "--multiline", &entry];
    feed(&argv, password, stop)?;
    Ok(format!("pass show {entry}"))
}

/// Encrypted by systemd, with the key of this machine or of the user; tried out by decrypting it again.
fn encrypted(name: &str, folder: &Path, password: &Secret, stop: &Stop) -> Result<Keep, Error> {
    let label = format!("--name={name}");
    let mut failure = None;
    // The machine's key is root's; a user's own exists from systemd 256 on.
    for scope in [&[][..], &["--user"][..]] {
        let with = |verb: &'static str| [&["systemd-creds"], scope, &[verb, label.as_str()]].concat();
        let sealed = match feed(&[with("encrypt"), vec!["-", "-"]].concat(), password, stop) {
            Ok(sealed) => sealed,
            Err(e) => {
                failure = Some(e);
                continue;
            }
        };
        let file = folder.join(new_file(folder, name, "credential", sealed.expose())?);
        let shown = file.to_string_lossy().into_owned();
        let argv: Vec<String> =
            [with("decrypt"), vec![shown.as_str(), "-"]].concat().into_iter().map(str::to_owned).collect();
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        match feed(&words, &Secret::new(""), stop) {
            Ok(opened) if opened == *password => return Ok(Keep::List(argv, file)),
            Ok(_) => {}
            Err(e) => failure = Some(e),
        }
        let _ = std::fs::remove_file(&file);
    }
    Err(failure.unwrap_or_else(|| Error::NotKept {
        what: "systemd-creds gave back another password than it was given".to_owned(),
        hint: "choose another place for it".to_owned(),
    }))
}

/// Runs a program with a password as its standard input, and gives what it prints.  Its complaints go where ours go.
fn feed(argv: &[&str], password: &Secret, stop: &Stop) -> Result<Secret, Error> {
    let shown = argv.iter().map(|word| shell_word(Path::new(word))).collect::<Vec<_>>().join(" ");
    let failed = |what: String| Error::NotKept { what, hint: format!("run it by hand: {shown}") };
    let (program, arguments) = argv.split_first().ok_or_else(|| failed("no program is named".to_owned()))?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(format!("cannot run {program}: {e}")))?;
    let mut child = EndedOnDrop(child);
    let (stdin, stdout) = (child.0.stdin.take(), child.0.stdout.take());
    let password = password.clone();
    // Whatever it reads, and whether or not it reads: it isn't waited for longer than it lives.
    let no_thread = |e| failed(format!("{program}: the system gives no thread: {e}"));
    let writer = thread::Builder::new()
        .spawn(move || stdin.map(|mut stdin| stdin.write_all(password.expose())))
        .map_err(no_thread)?;
    let read = move || {
        let mut printed = Zeroizing::new(Vec::new());
        let read = stdout.map(|stdout| stdout.take(MOST_PRINTED).read_to_end(&mut printed));
        (Secret::new(printed.to_vec()), read)
    };
    let reader = thread::Builder::new().spawn(read).map_err(no_thread)?;
    let begun = Instant::now();
    let status = loop {
        match child.0.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if stop.wait(BETWEEN_LOOKS) => {
                return Err(Error::Stopped { waiting_for: "a password was put away" });
            }
            Ok(None) if begun.elapsed() < LIMIT => {}
            Ok(None) => return Err(failed(format!("{program} took longer than {} s", LIMIT.as_secs()))),
            Err(e) => return Err(failed(format!("{program}: {e}"))),
        }
    };
    if !status.success() {
        return Err(failed(format!("{program} failed ({status})")));
    }
    let _ = writer.join();
    Ok(reader.join().map_or_else(|_| Secret::new(""), |(printed, _)| printed))
}

/// A child that doesn't outlive this value.
struct EndedOnDrop(Child);

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, metadata, read_to_string, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{Keep, Keeper, keepers};
    use crate::environment::Environment;
    use crate::problem::Problem as _;
    use crate::secret::Secret;
    use crate::signals::Stop;

    fn environment(home: &Path) -> Environment {
        let variables = [("PATH".into(), home.join("bin").into())].into();
        Environment { home: Some(home.to_owned()), variables, ..Environment::default() }
    }

    fn program(home: &Path, name: &str) {
        std::fs::create_dir_all(home.join("bin")).unwrap();
        let path = home.join("bin").join(name);
        write(&path, "#!/bin/sh\n").unwrap();
        set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn what_is_not_set_up_is_not_offered() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert_eq!(keepers(&environment(home)), [Keeper::File]);
        program(home, "pass");
        program(home, "systemd-creds");
        assert_eq!(keepers(&environment(home)), [Keeper::File, Keeper::SystemdCreds]);
        std::fs::create_dir(home.join(".password-store")).unwrap();
        write(home.join(".password-store/.gpg-id"), "me\n").unwrap();
        assert_eq!(keepers(&environment(home)), [Keeper::File, Keeper::Pass, Keeper::SystemdCreds]);
    }

    #[test]
    fn a_file_is_the_users_alone_and_replaces_nothing() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("config/popfetch");
        let keep = |name: &str, password: &str| {
            let stop = Stop::new().unwrap();
            Keeper::File
                .keep(name, &folder, &Secret::new(password), &environment(home.path()), &stop)
                .unwrap()
        };
        assert_eq!(keep("home", "hunter2"), Keep::File("home.password".to_owned()));
        assert_eq!(keep("home", "other"), Keep::File("home-2.password".to_owned()));
        assert_eq!(keep("../../x y", "third"), Keep::File("-..-x-y.password".to_owned()));
        let path = folder.join("home.password");
        assert_eq!(read_to_string(&path).unwrap(), "hunter2\n");
        assert_eq!(metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        Keep::File("home.password".to_owned()).undo(&folder);
        assert!(!path.exists() && folder.join("home-2.password").exists());
    }

    /// pass(1) replaces what is there without asking.
    #[test]
    fn an_entry_of_the_password_store_is_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join(".password-store/mail");
        std::fs::create_dir_all(&store).unwrap();
        let put = || {
            super::in_store("home", &Secret::new("hunter2"), &environment(home.path()), &Stop::new().unwrap())
                .unwrap_err()
        };
        for number in 1..=super::MOST_NAMES {
            let name = if number == 1 { "home.gpg".to_owned() } else { format!("home-{number}.gpg") };
            write(store.join(name), "of another account").unwrap();
        }
        let full = put().shown();
        assert!(full.contains("too many entries like mail/home"), "{full}");
    }

    #[test]
    fn where_the_password_store_is_can_be_set() {
        let home = tempfile::tempdir().unwrap();
        let with = |set: &str| {
            let mut environment = environment(home.path());
            environment.variables.insert("PASSWORD_STORE_DIR".into(), set.into());
            super::store(&environment).unwrap()
        };
        assert_eq!(with("/elsewhere"), Path::new("/elsewhere"));
        assert_eq!(with(""), home.path().join(".password-store"));
    }

    #[test]
    fn a_program_that_fails_has_not_kept_the_password() {
        let stop = Stop::new().unwrap();
        let feed = |line: &str| super::feed(&["/bin/sh", "-c", line], &Secret::new("hunter2"), &stop);
        assert_eq!(feed("cat; exit 0").unwrap(), Secret::new("hunter2"));
        assert_eq!(feed("exit 0").unwrap(), Secret::new(""), "nor need it read");
        let failed = feed("cat; exit 3").unwrap_err().shown();
        assert!(failed.contains("failed") && !failed.contains("hunter2"), "{failed}");
        stop.raise();
        let began = std::time::Instant::now();
        assert!(matches!(feed("exec sleep 30"), Err(super::Error::Stopped { .. })));
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
    }

    #[cfg(feature = "crash-points")]
    #[test]
    fn half_a_password_is_not_left() {
        use crate::durable::{Step, trial::steps};
        let home = tempfile::tempdir().unwrap();
        for refused in [Step::Write, Step::Sync] {
            let (kept, _) = steps(
                move |step, _| step == refused,
                || super::new_file(home.path(), "home", "password", b"hunter2\n"),
            );
            assert!(kept.is_err() && home.path().read_dir().unwrap().next().is_none(), "{refused:?}");
        }
    }
}
