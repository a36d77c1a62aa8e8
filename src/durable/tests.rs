//! Steps on a real disk, and what is refused.

use super::{create_new, make_directories, rename_new, write};

#[test]
fn rename_new_never_replaces() {
    let home = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|n| home.path().join(n));
    write(&create_new(&from, 0o600).unwrap(), &from, b"new").unwrap();
    std::fs::write(&to, "old").unwrap();
    let refused = rename_new(&from, &to).unwrap_err();
    assert_eq!(refused.source.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&to).unwrap(), b"old");
    std::fs::remove_file(&to).unwrap();
    rename_new(&from, &to).unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), b"new");
}

#[cfg(target_os = "linux")]
#[test]
fn kernels_that_report_lost_writes() {
    for (release, reports) in [
        ("6.18.44-fc", true),
        ("5.8.0", true),
        ("5.10", true),
        ("5.7.19-generic", false),
        ("4.19.0-8", false),
        ("10.0", true),
        ("", false),
        ("x", false),
    ] {
        assert_eq!(super::reports_lost_writes(release.as_bytes()), reports, "{release}");
    }
}

/// What the disk refuses, or the tests have it refuse, has not been done: each step is taken before its deed.
#[cfg(feature = "crash-points")]
#[test]
fn each_step_can_be_refused_and_changes_nothing_then() {
    use super::{
        Errno, Result, Step, create_unnamed, make_directory, open_or_create, remove, remove_directory,
        replace, reserve, sync, sync_directory, sync_everything, sync_file_system, trial::steps, truncate,
    };
    use std::path::Path;
    let home = tempfile::tempdir().unwrap();
    let [file, other, new, full] = ["file", "other", "new", "full"].map(|n| home.path().join(n));
    std::fs::write(&file, "old").unwrap();
    std::fs::write(&other, "other").unwrap();
    std::fs::create_dir(&full).unwrap();
    let open = std::fs::File::options().read(true).write(true).open(&file).unwrap();
    let directory = std::fs::File::open(home.path()).unwrap();
    type Door<'a> = &'a dyn Fn() -> Result<()>;
    let doors: [(Step, Door<'_>); 15] = [
        (Step::Open, &|| create_new(&new, 0o600).map(drop)),
        (Step::Open, &|| open_or_create(&new, 0o600).map(drop)),
        (Step::Open, &|| create_unnamed(home.path()).map(drop)),
        (Step::MakeDirectory, &|| make_directory(&new).map(drop)),
        (Step::Write, &|| write(&open, &file, b"new")),
        (Step::Reserve, &|| reserve(&open, &file, 1)),
        (Step::Sync, &|| sync(&open, &file)),
        (Step::Sync, &|| sync_directory(home.path())),
        (Step::Sync, &|| sync_file_system(&directory, home.path())),
        (Step::Sync, &sync_everything),
        (Step::Rename, &|| rename_new(&file, &new)),
        (Step::Rename, &|| replace(&file, &other)),
        (Step::Truncate, &|| truncate(&open, &file, 0)),
        (Step::Remove, &|| remove(&file)),
        (Step::Remove, &|| remove_directory(&full)),
    ];
    let names = |path: &Path| path.read_dir().unwrap().count();
    for (at, (step, door)) in doors.iter().enumerate() {
        let (refused, taken) = steps(|_, _| true, door);
        let refused = refused.unwrap_err();
        assert_eq!(refused.step, *step, "{at}");
        assert_eq!(refused.source.raw_os_error(), Some(Errno::IO.raw_os_error()), "{at}: what was refused");
        assert_eq!(taken.len(), 1, "{at}");
        assert_eq!((names(home.path()), std::fs::read(&file).unwrap().as_slice()), (3, &b"old"[..]), "{at}");
        assert_eq!(std::fs::read(&other).unwrap(), b"other", "{at}");
    }
    // A write may also break off in the middle.
    let second = std::cell::Cell::new(0);
    let breaks_off = move |_: Step, _: &Path| second.replace(second.get() + 1) == 1;
    let (refused, _) = steps(breaks_off, || write(&open, &file, b"1234"));
    assert_eq!(refused.unwrap_err().step, Step::Write);
    assert_eq!(std::fs::read(&file).unwrap(), b"12d");
}

/// The system's answer is what counts.
#[test]
fn a_sync_that_the_system_refuses_is_an_error() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(writer));
    assert!(super::sync(&pipe, std::path::Path::new("pipe")).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_cannot_be_synced_is_an_error_and_not_trusted() {
    use super::{OFlags, OpenOptions, file_system_sync_is_trustworthy, open_to_read};
    use std::os::unix::fs::OpenOptionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let flags = OFlags::PATH.bits().cast_signed();
    let name_only = OpenOptions::new().read(true).custom_flags(flags).open(home.path()).unwrap();
    assert!(super::sync_file_system(&name_only, home.path()).is_err());
    assert!(!file_system_sync_is_trustworthy(&open_to_read(std::path::Path::new("/proc")).unwrap()));
}

/// Each name once in a process: with many accounts in one place, each sync would flush the disk for each of them.
#[cfg(feature = "crash-points")]
#[test]
fn the_names_above_a_directory_are_synced_once() {
    use super::{Step, sync_names, trial::steps};
    let home = tempfile::tempdir().unwrap();
    let [deep, sibling] = ["a/b/c", "a/b/d"].map(|name| home.path().join(name));
    for directory in [&deep, &sibling] {
        make_directories(directory).unwrap();
    }
    let above = home.path().file_name().unwrap().to_str().unwrap().to_owned();
    let refuses = |name: &'static str| move |_: Step, path: &std::path::Path| path.ends_with(name);
    // What could not be synced is synced the next time.
    for name in ["c", "a"] {
        let (refused, _) = steps(refuses(name), || sync_names(&deep));
        assert_eq!(refused.unwrap_err().step, Step::Sync, "{name}");
    }
    for (directory, expected) in [
        (&deep, vec!["c", "b", "a", above.as_str()]),
        (&deep, vec!["c"]),
        (&sibling, vec!["d", "b"]),
        (&sibling, vec!["d"]),
    ] {
        let (synced, taken) = steps(|_, _| false, || sync_names(directory));
        synced.unwrap();
        let names: Vec<&str> = taken.iter().map(|(_, name)| name.as_str()).collect();
        assert!(names.starts_with(&expected), "{names:?}");
        assert!(expected.len() == 4 || names == expected, "{names:?}");
    }
}

#[test]
fn a_full_disk_or_quota_is_known_by_its_error() {
    use super::{Errno, Error, Step};
    for (errno, full) in [
        (Errno::NOSPC, true),
        (Errno::DQUOT, true),
        (Errno::FBIG, true),
        (Errno::IO, false),
        (Errno::ACCESS, false),
    ] {
        let error = Error::new(Step::Write, std::path::Path::new("x"), errno);
        assert_eq!(error.is_full(), full, "{errno:?}");
    }
    assert!(!Error::new(Step::Write, std::path::Path::new("x"), std::io::ErrorKind::StorageFull).is_full());
}

/// In a directory where others can write, anything may stand under a name.
#[test]
fn nothing_but_a_file_is_opened_where_others_can_write() {
    use super::open_plain_file;
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    std::fs::write(at("file"), "x").unwrap();
    std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    assert!(open_plain_file(&at("file")).is_ok());
    for path in [at("link"), at("fifo"), at("socket"), home.path().to_owned(), "/dev/null".into()] {
        let refused = open_plain_file(&path).unwrap_err();
        assert_eq!(refused.source.kind(), std::io::ErrorKind::InvalidInput, "{}", path.display());
    }
    let missing = open_plain_file(&at("missing")).unwrap_err();
    assert_eq!(missing.source.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn what_stands_in_the_way_is_reported() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(super::make_directory(&file).is_err());
    assert!(!super::make_directory(home.path()).unwrap());
    assert!(super::remove(home.path()).is_err(), "a directory");
    super::remove(&home.path().join("missing")).unwrap();
    std::fs::create_dir(home.path().join("d")).unwrap();
    super::remove_directory(&home.path().join("d")).unwrap();
    assert!(super::remove_directory(home.path()).is_err(), "it isn't empty");
    assert_eq!(super::parent_of(std::path::Path::new("name")), std::path::Path::new("."));
    assert_eq!(super::parent_of(std::path::Path::new("/name")), std::path::Path::new("/"));
}

#[test]
fn directories_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let deep = home.path().join("a/b/c");
    make_directories(&deep).unwrap();
    make_directories(&deep).unwrap();
    assert_eq!(deep.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

/// What cannot be read is an error, not read again for ever, nor taken for a file that ends there.
#[test]
fn what_cannot_be_read_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let directory = super::open_to_read(home.path()).unwrap();
    assert!(super::read_up_to(&directory, &mut [0; 4], 0).is_err());
    let file = home.path().join("file");
    std::fs::write(&file, "0123456").unwrap();
    let file = super::open_to_read(&file).unwrap();
    for (at, expected) in [(0, "0123"), (5, "56"), (9, "")] {
        let mut buffer = [0; 4];
        let read = super::read_up_to(&file, &mut buffer, at).unwrap();
        assert_eq!(&buffer[..read], expected.as_bytes(), "{at}");
    }
}

/// Where the file system has no files without a name.
#[test]
fn a_file_whose_name_goes_at_once_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    for make in [super::create_unnamed, super::create_without_its_name] {
        let file = make(home.path()).unwrap();
        write(&file, home.path(), b"text").unwrap();
        let mut held = [0; 4];
        assert_eq!(super::read_up_to(&file, &mut held, 0).unwrap(), 4);
        assert_eq!((&held, home.path().read_dir().unwrap().count()), (b"text", 0));
    }
    assert!(super::create_unnamed(&home.path().join("missing")).is_err());
}

/// In a container, or below another user's directory, the names above ours may be unreadable; whoever can't read them has
/// made none of them.
#[cfg(target_os = "linux")]
#[test]
fn names_in_a_directory_that_cannot_be_read_need_no_sync() {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let ours = home.path().join("closed/ours");
    make_directories(&ours).unwrap();
    for (path, mode) in [(home.path(), 0o755), (&home.path().join("closed"), 0o711), (&ours, 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let as_nobody = || {
        rustix::thread::set_thread_res_uid(None, rustix::process::Uid::from_raw(65_534), None).unwrap();
        super::sync_names(&ours)
    };
    std::thread::scope(|scope| scope.spawn(as_nobody).join().unwrap()).unwrap();
}

/// A lease (fcntl(2)) is taken back by an opening that waits; one that doesn't is refused meanwhile.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_another_program_has_a_lease_on_is_waited_for() {
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let script = "import fcntl,os,signal,sys\nf=os.open(sys.argv[1],os.O_RDWR)\n\
                  signal.signal(signal.SIGIO,lambda *_:fcntl.fcntl(f,fcntl.F_SETLEASE,fcntl.F_UNLCK))\n\
                  fcntl.fcntl(f,fcntl.F_SETLEASE,fcntl.F_WRLCK)\nprint('held',flush=True)\nsys.stdin.read()";
    type Opening = fn(&std::path::Path) -> bool;
    let both: [Opening; 2] =
        [|path| super::open(path).is_ok(), |path| crate::access::open_regular(path).is_ok()];
    for opens in both {
        let holder = Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = holder else {
            eprintln!("python3 is not installed: not tested");
            return;
        };
        let mut held = [0; 5];
        if std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut held).is_err() {
            eprintln!("no leases here: not tested");
            return;
        }
        let opened = opens(&path);
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert!(opened);
    }
}
