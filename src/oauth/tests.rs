//! Stores that are changed while others look; and octets that come from anywhere.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::record::tests::record;
use super::store::{LoginNotes, Store};
use super::{Error, LoginTerminal, TokenHolder, UserPlace, WaitLimits, fuzz_oauth};
use crate::account::{OAuth, OAuthFlow, Provider, StoreCommands};
use crate::connection::Connectors;
use crate::exit::ExitCode;
use crate::http::HttpWay;
use crate::problem::Problem as _;
use crate::secret::Secret;
use crate::signals::Stop;

fn settings() -> OAuth {
    OAuth {
        provider: Provider { token: Some("https://a.example/token".to_owned()), ..Provider::default() },
        client_id: Some("id".to_owned()),
        client_secret: None,
        flow: OAuthFlow::Auto,
        redirect: None,
        route: None,
        store: None,
    }
}

fn with_store(test: impl FnOnce(&Store<'_>, &Path)) {
    let (home, stop, settings) = (tempfile::tempdir().unwrap(), Stop::new().unwrap(), settings());
    test(&Store::new("work", "me", &settings, home.path(), &stop), home.path());
}

#[test]
fn what_is_saved_is_loaded_and_what_is_removed_is_gone() {
    with_store(|store, home| {
        assert!(store.load().unwrap().is_none());
        let lock = store.lock().unwrap();
        let room = store.make_room(&lock, None).unwrap();
        assert!(store.load_locked(&lock).unwrap().is_none(), "room is no record");
        store.save(&lock, room, &record()).unwrap();
        assert_eq!(store.load().unwrap(), Some(record()));
        let mut files: Vec<_> =
            std::fs::read_dir(home.join("oauth")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        store.remove(&lock).unwrap();
        assert!(store.load().unwrap().is_none());
    });
}

#[test]
fn a_record_that_was_written_whole_gets_its_name_from_the_next_one() {
    with_store(|store, home| {
        let lock = store.lock().unwrap();
        let room = store.make_room(&lock, None).unwrap();
        store.save(&lock, room, &record()).unwrap();
        let saved = store.shown();
        let new = Path::new(&saved).with_extension("new");
        let mut next = record();
        next.refresh = Some(Secret::new("next"));
        std::fs::write(&new, next.line().expose()).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(store.load().unwrap(), Some(record()), "without the lock nothing changes");
        assert_eq!(store.load_locked(&lock).unwrap(), Some(next.clone()));
        // Half of one is nothing.
        std::fs::write(&new, &record().line().expose()[..50]).unwrap();
        assert_eq!(store.load_locked(&lock).unwrap(), Some(next));
        assert!(home.join("oauth").is_dir());
    });
}

#[test]
fn the_lock_is_waited_for_and_a_signal_ends_the_wait() {
    let (home, stop, settings) = (tempfile::tempdir().unwrap(), Stop::new().unwrap(), settings());
    let store = Store::new("work", "me", &settings, home.path(), &stop);
    let lock = store.lock().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| store.lock().map(drop));
        stop.raise();
        assert!(matches!(other.join().unwrap(), Err(Error::Stopped)));
    });
    LoginNotes { login: 7, leave_alone_until: -1 }.write(&lock);
    assert_eq!(LoginNotes::read(&lock), LoginNotes { login: 7, leave_alone_until: -1 });
    assert_eq!(super::last_login("me", &settings, home.path()).unwrap().0, 7);
    assert!(super::last_login("you", &settings, home.path()).is_none());
}

#[test]
fn a_command_that_hangs_or_fails_is_no_store() {
    let (home, stop) = (tempfile::tempdir().unwrap(), Stop::new().unwrap());
    let argv = |line: &str| ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    for (load, expected) in [
        ("exit 0", "nothing"),
        ("echo; exit 0", "nothing"),
        ("echo no key >&2; exit 2", "load-command failed with exit status 2: no key"),
        ("echo '{}'", "what save-command stores holds no login that this popfetch understands"),
    ] {
        let settings =
            OAuth { store: Some(StoreCommands { load: argv(load), save: argv("cat") }), ..settings() };
        let store = Store::new("work", "me", &settings, home.path(), &stop);
        let found = store
            .load()
            .map_or_else(|e| e.to_string(), |record| record.map_or("nothing".to_owned(), |_| String::new()));
        assert_eq!(found, expected, "{load}");
    }
}

struct Nobody;

impl super::TokenObserver for Nobody {
    fn detail(&self, _: String) {}
    fn wants_dialogue(&self) -> bool {
        false
    }
    fn dialogue(&self, _: String) {}
    fn refreshed(&self, _: &str, _: u64) {}
}

impl LoginTerminal for Nobody {
    fn show(&self, _: &str) {}
    fn open(&self, _: &str) -> bool {
        false
    }
    fn input(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
    fn typed(&self) -> Option<String> {
        None
    }
}

/// What a holder that waits for nobody any longer than this comes to.
fn impatient<T>(
    limits: WaitLimits,
    settings: &OAuth,
    home: &Path,
    work: impl FnOnce(&TokenHolder<'_>) -> Result<T, Error>,
) -> Error {
    let (stop, connectors) = (Stop::new().unwrap(), Connectors::default());
    let holder = TokenHolder {
        account: "work",
        user: "me",
        settings,
        client_secret: &|| Ok(None),
        state: home,
        way: HttpWay::direct(&connectors, &stop),
        limits,
        watch: &Nobody,
    };
    work(&holder).err().expect("it gives up")
}

#[test]
fn another_process_that_keeps_the_lock_is_waited_for_so_long() {
    let (home, stop, settings) = (tempfile::tempdir().unwrap(), Stop::new().unwrap(), settings());
    let store = Store::new("work", "me", &settings, home.path(), &stop);
    let lock = store.lock().unwrap();
    let room = store.make_room(&lock, None).unwrap();
    store.save(&lock, room, &record()).unwrap();
    assert_eq!(store.limits.lock, Duration::from_secs(45));
    let limits = WaitLimits { lock: Duration::ZERO, ..WaitLimits::default() };
    let refused = record().access;
    let e = impatient(limits, &settings, home.path(), |holder| holder.other_than(&refused));
    assert!(matches!(e, Error::Locked { .. }), "{e}");
    assert_eq!(e.exit_code(), ExitCode::Later);
    assert_eq!(store.load().unwrap(), Some(record()), "there is no way without the lock");
}

#[test]
fn a_command_of_the_store_gets_so_long() {
    let (home, began) = (tempfile::tempdir().unwrap(), Instant::now());
    let hangs = ["/bin/sh", "-c", "sleep 600"].map(str::to_owned).to_vec();
    let settings = OAuth { store: Some(StoreCommands { load: hangs.clone(), save: hangs }), ..settings() };
    assert_eq!(WaitLimits::default().command, Duration::from_secs(20));
    let limits = WaitLimits { command: Duration::from_millis(50), ..WaitLimits::default() };
    let e = impatient(limits, &settings, home.path(), |holder| holder.token());
    assert!(e.to_string().contains("load-command took longer than"), "{e}");
    assert!(began.elapsed() < Duration::from_secs(300), "the command is ended");
}

#[test]
fn the_browser_gets_so_long() {
    let home = tempfile::tempdir().unwrap();
    let authorize = Some("https://a.example/authorize".to_owned());
    let (token, scope) = (settings().provider.token, Some("mail".to_owned()));
    let provider = Provider { authorize, token, scope, ..Provider::default() };
    let settings = OAuth { provider, ..settings() };
    assert_eq!(WaitLimits::default().browser, Duration::from_secs(300));
    let limits = WaitLimits { browser: Duration::ZERO, ..WaitLimits::default() };
    let e = impatient(limits, &settings, home.path(), |holder| {
        holder.log_in(OAuthFlow::Browser, UserPlace::default(), &Nobody)
    });
    assert!(matches!(e, Error::TooLate { .. }), "{e}");
    assert_eq!(e.exit_code(), ExitCode::Refused);
    assert_eq!(std::fs::read_dir(home.path().join("oauth")).unwrap().count(), 1, "only the lock is left");
}

proptest! {
    #[test]
    fn any_octets(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz_oauth(&octets);
    }

    #[test]
    fn anything_like_an_answer(text in r#"\{("(access_token|refresh_token|expires_in|error|error_codes|device_code|user_code|verification_uri|interval|client_id|popfetch_oauth)":("[a-zA-Z0-9\\"]{0,9}"|-?[0-9]{1,25}|null|\[\]),?){0,6}\}?"#) {
        fuzz_oauth(text.as_bytes());
    }

    #[test]
    fn anything_like_a_request(text in r"(GET|POST) /(\?[a-z%=&+0-9]{0,40})? HTTP/1.[01]\r?\n(\r?\n)?") {
        fuzz_oauth(text.as_bytes());
    }
}
