//! The dotlock, `FILE.lock`: made whole in one step, taken over from the dead, removed when dropped.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::event::Timespec;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::access::{self, Owner};
use crate::clock;
use crate::delivery::Error;
use crate::delivery::mbox::boot;
use crate::durable::{self, Step, read_up_to};
use crate::types::wide;

/// A dotlock that was not touched for this long is dead (as for liblockfile).
const STALE: i64 = 5 * 60;

/// In place of the machine's start, in a dotlock that stays without a process that holds it.
const NOBODY: &str = "left";

/// `FILE.lock`, ours; removed when dropped.  One that couldn't be removed names a process that will be dead: the next run
/// takes it over.
#[derive(Debug)]
pub(super) struct Dotlock {
    path: PathBuf,
    identity: (u64, u64),
    /// Kept open, so that no other file gets its inode: by that it is known from one that another program has put in its
    /// place.
    file: File,
    owner: Option<Owner>,
    /// It stays.
    kept: bool,
}

/// A lock that has been made.
struct Made {
    /// Its device and inode.
    identity: (u64, u64),
    /// Its file, where that isn't the draft.
    another: Option<File>,
}

pub(super) enum Dot {
    Made(Dotlock),
    Busy(PathBuf),
    /// We may not make files there (`/var/mail` is like that).
    Impossible(io::Error),
}

impl Dotlock {
    /// Touched while it is held long: others break one that doesn't change.  With the rights of its owner.
    pub(super) fn touch(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        // At worst another program breaks it: the fcntl lock still holds.
        let _ = rustix::fs::utimensat(CWD, &self.path, &times, AtFlags::SYMLINK_NOFOLLOW);
    }

    /// Lets it stay when it is dropped, as nobody's: any popfetch on this machine takes it over, no other program does
    /// before it is stale.
    pub(super) fn keep(&mut self) {
        self.kept = true;
        let content = format!("0\npopfetch {} {NOBODY}\n", our_host());
        // One that can't be written names this process still, and is taken over when that is gone.
        let _ = self
            .file
            .write_all_at(content.as_bytes(), 0)
            .and_then(|()| self.file.set_len(wide(content.len())));
    }

    /// Makes the lock by `link(2)` of a file that has its content already, so that no program ever sees it empty.
    pub(super) fn attempt(mbox: &Path, owner: Option<&Owner>) -> Result<Dot, Error> {
        let path = dotlock_of(mbox);
        let fail = |e| Error::from(durable::Error::new(Step::Open, &path, e));
        let draft = match DotlockDraft::create(&path) {
            Ok(draft) => draft,
            Err(e) if is_forbidden(&e) => return Ok(Dot::Impossible(e)),
            Err(e) => return Err(fail(e)),
        };
        let made = fill(&draft.file, &path).and_then(|()| Self::link(&draft, &path));
        let removed = draft.name.as_ref().map_or(Ok(()), std::fs::remove_file);
        let made = made.map_err(fail)?;
        removed.map_err(fail)?;
        Ok(match made {
            Some(Made { identity, another }) => {
                let file = another.unwrap_or(draft.file);
                Dot::Made(Self { path, identity, file, owner: owner.cloned(), kept: false })
            }
            None => Dot::Busy(path),
        })
    }

    /// Makes the lock, if no other stands there.  A dead one is broken, once.
    fn link(draft: &DotlockDraft, path: &Path) -> io::Result<Option<Made>> {
        for broken in [false, true] {
            match draft.link(path).map(|()| None).or_else(|e| make_whole(path, e).map(Some)) {
                Ok(another) => {
                    let status = path.symlink_metadata()?;
                    return Ok(Some(Made { identity: (status.dev(), status.ino()), another }));
                }
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                Err(_) if broken => {}
                Err(_) => {
                    let now = draft.file.metadata()?;
                    if !is_dead(path, now.mtime())? && !is_of_another_process(path, &now)? {
                        return Ok(None);
                    }
                    match std::fs::remove_file(path) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                        _ => {}
                    }
                }
            }
        }
        Ok(None)
    }
}

/// A file that is to become a dotlock.
struct DotlockDraft {
    file: File,
    /// `None` where the system can do without: then a process that is killed here leaves nothing behind.
    name: Option<PathBuf>,
}

impl DotlockDraft {
    /// In the directory of the lock that it will be.
    fn create(lock: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::open(durable::parent_of(lock), flags, Mode::from_raw_mode(0o644))
            && Self::entry(&file).exists()
        {
            return Ok(Self { file: file.into(), name: None });
        }
        let random: [u8; 8] = clock::random()?;
        let random = u64::from_ne_bytes(random);
        let name = lock.with_file_name(format!(".popfetch-{random:016x}-{}", clock::process_id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&name)?;
        Ok(Self { file, name: Some(name) })
    }

    /// Where the system shows an open file.
    fn entry(file: &impl AsRawFd) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    fn link(&self, lock: &Path) -> io::Result<()> {
        match &self.name {
            Some(name) => std::fs::hard_link(name, lock),
            None => {
                let entry = Self::entry(&self.file);
                Ok(rustix::fs::linkat(CWD, entry, CWD, lock, AtFlags::SYMLINK_FOLLOW)?)
            }
        }
    }
}

/// Where the file system has no links: the lock made in place.
fn make_whole(path: &Path, refused: io::Error) -> io::Result<File> {
    match refused.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
            fill(&file, path)?;
            Ok(file)
        }
        _ => Err(refused),
    }
}

/// Writes what a dotlock holds.  Where it can't be known that a lock is older than the machine's start, it must never be
/// left empty by a power failure.
fn fill(mut file: &File, path: &Path) -> io::Result<()> {
    file.write_all(content().as_bytes())?;
    match boot::uptime() {
        Some(_) => Ok(()),
        None => durable::sync(file, path).map_err(|e| e.source),
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        // Another program may have broken it, and made its own.
        if !self.kept
            && let Ok(_acting) = access::act(self.owner.as_ref())
            && self.path.symlink_metadata().is_ok_and(|status| (status.dev(), status.ino()) == self.identity)
        {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The dotlock of the mbox at `path`.
pub(super) fn dotlock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    PathBuf::from(lock)
}

fn is_forbidden(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}

/// What our dotlocks hold: the process id as everybody writes it, and by whom, on which machine, since which start of it.
fn content() -> String {
    format!("{}\n{}\n", clock::process_id(), signature())
}

fn signature() -> String {
    format!("popfetch {} {}", our_host(), our_start())
}

fn our_host() -> String {
    clock::host_name().chars().filter(|c| !c.is_whitespace()).collect()
}

fn our_start() -> &'static str {
    boot::id().unwrap_or("-")
}

/// Whether no live process holds the dotlock, by the clock of the file system (`now`, the time of a file just made
/// there).  Any one of these shows it.  The lock has not changed for five minutes.  It has not changed since this
/// machine was started, whatever it holds (a power failure may have taken its contents).  It is dated by a clock that
/// ran ahead, and the process that it names does not exist.  Or a popfetch on this machine has made it, and its
/// process is gone.
fn is_dead(path: &Path, now: i64) -> io::Result<bool> {
    is_dead_since(path, now, boot::uptime())
}

fn is_dead_since(path: &Path, now: i64, uptime: Option<i64>) -> io::Result<bool> {
    let status = match path.symlink_metadata() {
        Ok(status) => status,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e),
    };
    let age = now.saturating_sub(status.mtime());
    if age > STALE {
        return Ok(true);
    }
    let holder = DotlockHolder::of(path);
    let here = !matches!(&holder, DotlockHolder::Popfetch { host, .. } if *host != our_host());
    // A second each for two clocks that are cut to whole ones.
    let before_the_start = uptime.is_some_and(|uptime| age > uptime.saturating_add(2));
    let from_the_future = age < -STALE;
    Ok(match holder {
        DotlockHolder::Popfetch { pid, start, .. } if here => {
            // This process holds the mbox's one claim, so that no dotlock with its id is held: it was another's, in a
            // container that was started again.
            let was_ours = pid.is_some_and(|pid| pid == rustix::process::getpid());
            start != our_start() || before_the_start || was_ours || is_gone(pid)
        }
        DotlockHolder::Popfetch { .. } => false,
        DotlockHolder::Other { pid } => {
            before_the_start || (from_the_future && pid.is_none_or(|pid| is_gone(Some(pid))))
        }
    })
}

/// Whose dotlock it is, by its own words.
enum DotlockHolder {
    /// A popfetch's, with its content: on which machine, since which start of it.
    Popfetch { pid: Option<Pid>, host: String, start: String },
    /// Anybody's; by custom, the process id stands in it.
    Other { pid: Option<Pid> },
}

impl DotlockHolder {
    /// What isn't a regular file proves nothing.
    fn of(path: &Path) -> Self {
        let mut start = [0; 512];
        let read = durable::open_plain_file(path).ok().and_then(|file| read_up_to(&file, &mut start, 0).ok());
        let text = String::from_utf8_lossy(start.get(..read.unwrap_or(0)).unwrap_or_default()).into_owned();
        let mut lines = text.lines();
        let pid = lines.next().and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw);
        match lines.next().and_then(|by| by.strip_prefix("popfetch ")).and_then(|by| by.split_once(' ')) {
            Some((host, start)) => Self::Popfetch { pid, host: host.to_owned(), start: start.to_owned() },
            None => Self::Other { pid },
        }
    }
}

fn is_gone(pid: Option<Pid>) -> bool {
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::SRCH))
}

/// Whether the process whose id stands in the dotlock was started after that was made, so that another one had the id then.
/// `now`: of a file just made there.
fn is_of_another_process(path: &Path, now: &Metadata) -> io::Result<bool> {
    let DotlockHolder::Popfetch { pid: Some(pid), host, .. } = DotlockHolder::of(path) else {
        return Ok(false);
    };
    let made = match path.symlink_metadata() {
        Ok(status) => hundredths(&status),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(e),
    };
    let age = hundredths(now).saturating_sub(made);
    let running = boot::running(pid.as_raw_nonzero().get());
    // Each of the two may be off by one, and each of the times that the age comes from.
    Ok(host == our_host() && running.is_some_and(|running| age > running.saturating_add(3)))
}

/// When a file was changed, in hundredths of a second.
fn hundredths(status: &Metadata) -> i64 {
    status.mtime().saturating_mul(100).saturating_add(status.mtime_nsec() / 10_000_000)
}

#[cfg(test)]
mod tests {
    use super::{
        content, is_dead_since, is_forbidden, is_of_another_process, make_whole, our_host, our_start,
    };
    use rustix::io::Errno;
    use std::fs;
    use std::io::ErrorKind;

    /// A power failure takes what is only in the page cache, and leaves the name.
    #[test]
    fn a_dotlock_from_before_the_machines_start_is_dead_whatever_it_holds() {
        let home = tempfile::tempdir().unwrap();
        let lock = home.path().join("mbox.lock");
        let alive = format!("{}\n", std::process::id());
        let elsewhere = "1\npopfetch elsewhere -\n";
        let made = 1_000_000;
        for content in ["", "0", "?", &alive, "999999999\n", elsewhere] {
            fs::write(&lock, content).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            fs::File::options().write(true).open(&lock).unwrap().set_modified(time).unwrap();
            let dead = |now: i64, uptime| is_dead_since(&lock, now, uptime).unwrap();
            let here = content != elsewhere;
            assert_eq!(dead(made + 60, Some(30)), here, "{content:?}: older than the start");
            assert!(!dead(made + 60, Some(90)), "{content:?}: since the start");
            assert!(!dead(made + 60, None), "{content:?}: the start isn't known");
            assert!(dead(made + 301, Some(1000)), "{content:?}: stale");
            assert!(!dead(made - 10, Some(1000)), "{content:?}: clocks differ a little");
            let tomorrow = dead(made - 86_400, Some(1000));
            assert_eq!(tomorrow, here && content != alive, "{content:?}: dated tomorrow");
            // Times are cut to seconds, and none is to be broken too early.
            assert!(!dead(made + 300, Some(1000)) && !dead(made + 92, Some(90)), "{content:?}");
            assert!(!dead(made - 300, Some(1000)), "{content:?}");
        }
        // The start has no name on some systems.
        let made = made_by(&lock, 1);
        for (uptime, dead) in [(Some(30), true), (Some(90), false), (None, false)] {
            assert_eq!(is_dead_since(&lock, made + 60, uptime).unwrap(), dead, "{uptime:?}");
        }
        assert!(is_dead_since(&home.path().join("missing"), made, None).unwrap());
        assert!(is_dead_since(&lock.join("x"), made, None).is_err());
    }

    /// A dotlock of this machine's popfetch that has this process id; when it was made.
    fn made_by(lock: &std::path::Path, pid: u32) -> i64 {
        made_on(lock, &our_host(), pid)
    }

    fn made_on(lock: &std::path::Path, host: &str, pid: u32) -> i64 {
        fs::write(lock, format!("{pid}\npopfetch {host} {}\n", our_start())).unwrap();
        fs::metadata(lock).map(|lock| std::os::unix::fs::MetadataExt::mtime(&lock)).unwrap()
    }

    /// In a container that was killed and started again, each process has the id that one had before.
    #[test]
    fn a_dotlock_whose_process_id_is_another_process_s_now_is_dead() {
        let home = tempfile::tempdir().unwrap();
        let lock = home.path().join("mbox.lock");
        let made = made_by(&lock, std::process::id());
        assert!(is_dead_since(&lock, made, Some(100_000)).unwrap(), "no dotlock is held with our id");
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let is_dead = |(seconds, host): (u64, &str)| {
            made_on(&lock, host, other.id());
            let made = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
            fs::File::options().write(true).open(&lock).unwrap().set_modified(made).unwrap();
            let draft = home.path().join("draft");
            fs::write(&draft, "").unwrap();
            is_of_another_process(&lock, &draft.metadata().unwrap()).unwrap()
        };
        let dead = [(0, &*our_host()), (60, &*our_host()), (60, "another")].map(is_dead);
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(
            dead,
            [false, true, false],
            "it was started after a dotlock of this machine that is a minute old"
        );
    }

    /// A full disk passes; a directory that isn't ours doesn't.
    #[test]
    fn only_what_is_forbidden_makes_a_dotlock_impossible() {
        for (errno, forbidden) in [
            (Errno::ACCESS, true),
            (Errno::PERM, true),
            (Errno::ROFS, true),
            (Errno::NOSPC, false),
            (Errno::NOENT, false),
            (Errno::IO, false),
        ] {
            assert_eq!(is_forbidden(&errno.into()), forbidden, "{errno:?}");
        }
    }

    /// Some file systems have no links.
    #[test]
    fn without_links_the_lock_is_made_in_place_and_whole() {
        let home = tempfile::tempdir().unwrap();
        let lock = home.path().join("mbox.lock");
        let kind = |refused: Errno| make_whole(&lock, refused.into()).unwrap_err().kind();
        assert_eq!(kind(Errno::NOSPC), ErrorKind::StorageFull);
        assert!(!lock.exists());
        make_whole(&lock, Errno::PERM.into()).unwrap();
        assert_eq!(fs::read_to_string(&lock).unwrap(), content());
        assert_eq!(kind(Errno::PERM), ErrorKind::AlreadyExists);
    }
}
