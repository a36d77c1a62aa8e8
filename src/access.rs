//! Whose a file is, who else can change it, and as whom popfetch acts: the one place that looks at owners and modes.
//!
//! Two questions are answered here.  *May this file be believed?*  A configuration, a file of secrets or a state
//! directory that somebody else can replace is somebody else's word: [`check_path`] follows a path from `/`, through its
//! symbolic links, and finds who could lead it elsewhere.  *May this file be written?*  Root may write everywhere, so
//! root must not walk where others lay the links: with [`Owner`] each step on such a path is taken with that user's
//! rights, and the system itself refuses what the user couldn't do.  (Looking first and acting as root afterwards would
//! leave a moment in between.)
//!
//! The rights are those of one thread (Linux has them per thread): its effective user and group, and its groups.  The
//! real and the saved user stay root's, so that the user can neither signal nor trace the process.

mod file;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command};

use nix::unistd::{Group, User};
use rustix::fs::OFlags;

use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::text::printable;
pub use file::{read, read_as, read_private};

/// Symbolic links that are followed on one path, at most: as many as Linux does.
const MOST_LINKS: u32 = 40;

/// A file or directory that is not to be used as it is: typically another user can change it, or the directory in which
/// it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// What is wrong, naming the file.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Error {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.hint))
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::Configuration
    }
}

/// The user that `owner` names: whose mail it is, when root fetches it.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    home: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl std::fmt::Debug for Owner {
    /// Without the environment.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, uid, gid, groups, home, environment: _ } = self;
        let mut debug = f.debug_struct("Owner");
        debug
            .field("name", name)
            .field("uid", uid)
            .field("gid", gid)
            .field("groups", groups)
            .field("home", home);
        debug.finish_non_exhaustive()
    }
}

/// What programs run as a user keep of our environment; anything else may be root's secret.
const KEPT: [&str; 3] = ["PATH", "LANG", "TZ"];

impl Owner {
    /// The user of this name, or of this number; `None` where there is none.  `variables` is our environment.
    ///
    /// # Errors
    /// When the system's list of users cannot be read.
    pub fn find(text: &str, variables: &BTreeMap<OsString, OsString>) -> io::Result<Option<Self>> {
        let by_number = |number: u32| User::from_uid(nix::unistd::Uid::from_raw(number));
        let user = match User::from_name(text)? {
            None => text.parse().ok().map(by_number).transpose()?.flatten(),
            user => user,
        };
        let Some(user) = user else { return Ok(None) };
        let groups = switch::groups_of(&user)?;
        let is_kept =
            |name: &OsString| KEPT.iter().any(|kept| name == kept) || name.as_bytes().starts_with(b"LC_");
        let mut environment: Vec<(OsString, OsString)> =
            variables.iter().filter(|(name, _)| is_kept(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
        environment.push(("HOME".into(), user.dir.clone().into()));
        environment.push(("USER".into(), user.name.clone().into()));
        environment.push(("LOGNAME".into(), user.name.clone().into()));
        Ok(Some(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups,
            home: user.dir,
            environment,
        }))
    }

    /// The number by which the system knows the user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// This thread acts as the user until the value is dropped (if it does already, until then).  Files that are open already stay usable, whoever opened
    /// them.
    ///
    /// # Errors
    /// Where the system doesn't allow it: without the right to change users.
    pub fn act(&self) -> Result<Acting, Error> {
        if us() == self.uid {
            return Ok(Acting(None));
        }
        switch::act(self).map_err(|e| self.cannot_act(&e))?;
        Ok(Acting(Some(switch::Back)))
    }

    /// Starts a program as the user, with the user's groups.  Its environment is what `command` sets, the user's HOME, USER
    /// and LOGNAME, and of ours only PATH, the language and the time zone.
    ///
    /// # Errors
    /// As for [`Command::spawn`]; and where the system doesn't allow it.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let set: Vec<(OsString, OsString)> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command.env_clear().envs(self.environment.iter().cloned()).envs(set);
        switch::spawn(self, command)
    }

    fn cannot_act(&self, error: &io::Error) -> Error {
        let what = format!("cannot act as {}: {error}", printable(self.name.as_bytes()));
        Error::new(what, "owner needs root's rights to change users (CAP_SETUID, CAP_SETGID), and Linux")
    }
}

/// While it is there, this thread acts as a user.
#[must_use]
#[derive(Debug)]
pub struct Acting(
    #[expect(dead_code, reason = "what it does, it does when it is dropped")] Option<switch::Back>,
);

/// While it is there, a thread that may be acting as a user is root again: to write the ledger in the middle of a
/// delivery, for example.
#[must_use]
#[derive(Debug)]
pub struct AsRoot(Option<Owner>);

impl AsRoot {
    /// `owner` is whom the thread acts as, if anybody.
    pub fn while_acting_as(owner: Option<&Owner>) -> Self {
        if owner.is_some() {
            switch::back();
        }
        Self(owner.cloned())
    }
}

impl Drop for AsRoot {
    fn drop(&mut self) {
        // It worked a moment ago.  If it doesn't now, what follows is refused where the user's files need the user.
        if let Some(owner) = &self.0
            && switch::act(owner).is_err()
        {
            switch::nobody();
        }
    }
}

#[cfg(target_os = "linux")]
mod switch {
    use super::{Owner, User};
    use rustix::process::{Gid, Uid};
    use rustix::thread::{
        CapabilitySet, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    };
    use std::io;
    use std::process::{Child, Command};
    use std::sync::OnceLock;

    static GROUPS: OnceLock<Vec<Gid>> = OnceLock::new();

    /// The groups that the process was started with.
    fn groups() -> &'static [Gid] {
        GROUPS.get_or_init(|| rustix::process::getgroups().unwrap_or_default())
    }

    pub(super) fn groups_of(user: &User) -> io::Result<Vec<u32>> {
        let name = std::ffi::CString::new(user.name.as_bytes())?;
        let groups = nix::unistd::getgrouplist(&name, user.gid)?;
        Ok(groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
    }

    fn join(owner: &Owner) -> io::Result<()> {
        groups();
        let theirs: Vec<Gid> = owner.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        Ok(set_thread_groups(&theirs)?)
    }

    pub(super) fn act(owner: &Owner) -> io::Result<()> {
        let acted = join(owner).and_then(|()| {
            set_thread_res_gid(None, Gid::from_raw(owner.gid), None)?;
            // The last one: it takes the rights away that the others need.
            Ok(set_thread_res_uid(None, Uid::from_raw(owner.uid), None)?)
        });
        if acted.is_err() {
            back();
        }
        acted
    }

    pub(super) fn back() {
        // The saved user is still root, so none of these can be refused.  Were they, the thread would keep fewer rights
        // than it should have, and fail at the next file.
        let _ = set_thread_res_uid(None, Uid::ROOT, None);
        let _ = set_thread_res_gid(None, rustix::process::getgid(), None);
        let _ = set_thread_groups(groups());
    }

    /// No rights at all.
    pub(super) fn nobody() {
        let _ = set_thread_res_uid(None, Uid::from_raw(65_534), None);
    }

    #[derive(Debug)]
    pub(super) struct Back;

    impl Drop for Back {
        fn drop(&mut self) {
            back();
        }
    }

    /// A thread of its own takes on the user's groups, gives up the right to change groups, and starts the program with
    /// the user's number: the standard library then leaves the groups as they are, where it would else empty them.
    pub(super) fn spawn(owner: &Owner, command: &mut Command) -> io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        let work = || -> io::Result<Child> {
            join(owner)?;
            let group = Gid::from_raw(owner.gid);
            set_thread_res_gid(group, group, group)?;
            let mut sets = capabilities(None)?;
            for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
                set.remove(CapabilitySet::SETGID);
            }
            set_capabilities(None, sets)?;
            command.uid(owner.uid).spawn()
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("spawn".to_owned()).spawn_scoped(scope, work)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it died")))
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod switch {
    use super::{Owner, User};
    use std::io;
    use std::process::{Child, Command};

    pub(super) fn groups_of(_: &User) -> io::Result<Vec<u32>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn act(_: &Owner) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn back() {}

    pub(super) fn nobody() {}

    #[derive(Debug)]
    pub(super) struct Back;

    pub(super) fn spawn(_: &Owner, _: &mut Command) -> io::Result<Child> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Starts a program as `owner`, or as ourselves.
///
/// # Errors
/// As for [`Command::spawn`].
pub fn spawn(command: &mut Command, owner: Option<&Owner>) -> io::Result<Child> {
    match owner {
        Some(owner) => owner.spawn(command),
        None => command.spawn(),
    }
}

/// This thread acts as `owner`, if there is one.
///
/// # Errors
/// As for [`Owner::act`].
pub fn act(owner: Option<&Owner>) -> Result<Option<Acting>, Error> {
    owner.map(Owner::act).transpose()
}

/// No core dump, and no other program of the same user that looks into our memory, where passwords are (PR_SET_DUMPABLE,
/// prctl(2)).  Programs that we start are not concerned: it ends with execve.
#[cfg(target_os = "linux")]
pub fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // It can't be refused.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(not(target_os = "linux"))]
/// See the Linux version.
pub fn keep_memory_private() {}

/// Whether we run as root.
#[must_use]
pub fn is_root() -> bool {
    us() == 0
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Opens a file to read, which must be a regular one.  A FIFO, a device or a socket is refused before anything is read,
/// and never waited for.
///
/// # Errors
/// As for [`File::open`]; `InvalidInput` for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        // Another program has a lease on it (fcntl(2)), which only an opening that waits takes back.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock && path.is_file() => File::open(path)?,
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "it is a directory" } else { "it is not a regular file" };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, kind));
    }
    Ok((file, metadata))
}

/// Refuses a file of secrets that others can read or change, or that belongs to neither us nor root nor `owner`.
/// `metadata` is that of the open file.
///
/// # Errors
/// With the command that corrects it.
pub fn check_private(path: &Path, metadata: &Metadata, owner: Option<&Owner>) -> Result<(), Error> {
    let shown = shown(path);
    if let Some(stranger) = stranger(metadata, us()).filter(|uid| owner.is_none_or(|owner| owner.uid != *uid))
    {
        return Err(Error::new(
            format!("{shown} holds a secret and belongs to another user (uid {stranger})"),
            format!("make it your own: chown \"$(id -u)\" {}", shell_word(path)),
        ));
    }
    let mode = metadata.mode();
    if mode & 0o066 == 0 {
        return Ok(());
    }
    let can = match (mode & 0o044 != 0, mode & 0o022 != 0) {
        (true, true) => "read and change",
        (true, false) => "read",
        (false, _) => "change",
    };
    let what = format!("{shown} holds a secret, and other users can {can} it (mode {:03o})", mode & 0o777);
    let ours = metadata.uid() == us() && !is_read_only(path);
    let hint = if ours || is_root() && !is_read_only(path) {
        format!("chmod 600 {}", shell_word(path))
    } else {
        // Docker, Kubernetes and their like lay secrets down so, and nobody inside can change that.
        let name = path.file_name().map_or_else(String::new, |name| printable(name.as_bytes()));
        format!(
            "where its mode can't be changed, as for a container's secret, use credential = \"{name}\" with \
             CREDENTIALS_DIRECTORY={}, or password-command = [\"cat\", \"{shown}\"]",
            shell_word(path.parent().unwrap_or(path))
        )
    };
    Err(Error::new(what, hint))
}

fn is_read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Refuses a path that another user can lead elsewhere, or whose end another user can change: whoever can do that says
/// what is in it.  Each directory and each link on it must be ours or root's, and not open to everybody (but for
/// directories such as `/tmp`, where nobody can touch another's files).  A directory on the way that a group can change
/// is that group's trust; the end itself may be open only to a group that is ours alone.  What isn't there isn't checked.
///
/// # Errors
/// Naming the first file or directory in question.
pub fn check_path(path: &Path) -> Result<(), Error> {
    // What can't be followed is for whoever opens it to report.
    let Ok(way) = std::path::absolute(path) else { return Ok(()) };
    let us = us();
    walk(Path::new("/"), &way, |at, metadata, is_end| {
        if let Some(uid) = stranger(metadata, us).filter(|uid| !stands_for_root(*uid)) {
            let shown = shown(at);
            let what = if is_end {
                format!("{shown} belongs to {}", name_of(uid))
            } else {
                format!("{} can be replaced by {}, who owns {shown}", self::shown(path), name_of(uid))
            };
            return Err(Error::new(what, format!("run as {}, or chown it", name_of(uid))));
        }
        if metadata.is_symlink() {
            return Ok(());
        }
        let mode = metadata.mode();
        let by_all = mode & 0o002 != 0 && !(metadata.is_dir() && mode & 0o1000 != 0);
        if by_all {
            let what = format!("everybody can change {} (mode {:03o})", shown(at), mode & 0o7777);
            return Err(Error::new(what, format!("chmod o-w {}", shell_word(at))));
        }
        if mode & 0o020 != 0 && is_end && !is_private_group(metadata.gid()) {
            let what = format!("its group can change {} (mode {:03o})", shown(at), mode & 0o7777);
            return Err(Error::new(what, format!("chmod g-w {}", shell_word(at))));
        }
        Ok(())
    })
    .map(drop)
}

/// Refuses to go on as root where others lay the way to a destination, or to one of `parts` of it: one that belongs to
/// somebody else, or that somebody else could lead elsewhere.  With `owner` the system watches over that (see
/// [`Owner::act`]), and what the path leads to must be that user's.  Not as root: everybody's rights are what they are.
///
/// # Errors
/// With whom to run as.
pub fn check_destination(path: &Path, parts: &[&str], owner: Option<&Owner>) -> Result<(), Error> {
    if let Some(owner) = owner {
        let _acting = owner.act()?;
        let mut paths = std::iter::once(path.to_owned()).chain(parts.iter().map(|part| path.join(part)));
        return paths.try_for_each(|path| belongs_to(&path, owner));
    }
    if !is_root() {
        return Ok(());
    }
    let Ok(way) = std::path::absolute(path) else { return Ok(()) };
    let Some(place) = check_way_of_root(Path::new("/"), &way, path)? else { return Ok(()) };
    // The way to the whole has been looked at: of each part, only what comes behind it.
    parts.iter().try_for_each(|part| check_way_of_root(&place, Path::new(part), &path.join(part)).map(drop))
}

/// Whether what is there, if anything, is that user's.
fn belongs_to(path: &Path, owner: &Owner) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.uid() != owner.uid => {
            let what = format!(
                "{} belongs to {}, not to {}",
                shown(path),
                name_of(metadata.uid()),
                name_of(owner.uid)
            );
            Err(Error::new(what, format!("set owner = \"{}\", or another path", name_of(metadata.uid()))))
        }
        // What isn't there, or can't be seen, is reported by whoever opens it.
        _ => Ok(()),
    }
}

/// The way of [`walk`], of which root must not leave any step to others; `path` is what the user calls its end.
fn check_way_of_root(start: &Path, way: &Path, path: &Path) -> Result<Option<PathBuf>, Error> {
    walk(start, way, |at, metadata, _| {
        let mode = metadata.mode();
        if let Some(uid) = stranger(metadata, 0).filter(|uid| !stands_for_root(*uid)) {
            let name = name_of(uid);
            let what = if at == path {
                format!("{} belongs to {name}, and popfetch runs as root", shown(path))
            } else {
                format!(
                    "{} is in the hands of {name}, who owns {}, and popfetch runs as root",
                    shown(path),
                    shown(at)
                )
            };
            return Err(Error::new(
                what,
                format!("run as {name} (systemd: User={name}), or set owner = \"{name}\""),
            ));
        }
        if !metadata.is_symlink() && mode & 0o002 != 0 && !(metadata.is_dir() && mode & 0o1000 != 0) {
            let what = format!("everybody can change {}, and popfetch runs as root", shown(at));
            return Err(Error::new(what, format!("chmod o-w {}", shell_word(at))));
        }
        Ok(())
    })
}

/// The owner, when it is neither we nor root.
fn stranger(metadata: &Metadata, us: u32) -> Option<u32> {
    Some(metadata.uid()).filter(|&owner| owner != us && owner != 0)
}

/// In a user namespace (a container, systemd's PrivateUsers=) everybody from outside, root too, shows as one number.
fn stands_for_root(uid: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let overflow = read("/proc/sys/fs/overflowuid").trim().parse() == Ok(uid);
    overflow && read("/proc/self/uid_map").split_whitespace().nth(2).is_some_and(|all| all != "4294967295")
}

/// Whether a group is root's, or the one that the system made for this user alone.
fn is_private_group(gid: u32) -> bool {
    if gid == 0 {
        return true;
    }
    let group = Group::from_gid(nix::unistd::Gid::from_raw(gid)).ok().flatten();
    let user = User::from_uid(nix::unistd::geteuid()).ok().flatten();
    group.zip(user).is_some_and(|(group, user)| {
        group.name == user.name && group.mem.iter().all(|member| *member == user.name)
    })
}

/// A user's name, or number.
fn name_of(uid: u32) -> String {
    let user = User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| printable(user.name.as_bytes()))
}

/// Goes along a path from the directory `start`, link by link, and shows each directory, link, and the end, as far as
/// there is something, with whether it is the end.  Returns where the path leads; `None` where there's nothing.
fn walk(
    start: &Path,
    path: &Path,
    mut visit: impl FnMut(&Path, &Metadata, bool) -> Result<(), Error>,
) -> Result<Option<PathBuf>, Error> {
    let pieces = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|piece| piece.as_os_str().to_owned()).collect()
    };
    let (mut at, mut left) = (start.to_owned(), pieces(path));
    let mut links = 0_u32;
    while let Some(piece) = left.pop() {
        let next = match Path::new(&piece).components().next() {
            Some(Component::ParentDir) => at.parent().unwrap_or(&at).to_owned(),
            Some(Component::CurDir) | None => at.clone(),
            Some(Component::RootDir | Component::Prefix(_)) => PathBuf::from("/"),
            Some(Component::Normal(name)) => at.join(name),
        };
        let Ok(metadata) = fs::symlink_metadata(&next) else { return Ok(None) };
        visit(&next, &metadata, left.is_empty() && !metadata.is_symlink())?;
        if metadata.is_symlink() {
            links = links.saturating_add(1);
            let Ok(target) = fs::read_link(&next) else { return Ok(None) };
            if links > MOST_LINKS {
                return Ok(None);
            }
            left.extend(pieces(&target));
        } else {
            at = next;
        }
    }
    Ok(Some(at))
}

/// A path for people.
fn shown(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

/// A path that can be pasted into a shell.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    let shown = shown(path);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&b);
    if shown.bytes().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::{Owner, check_destination, check_path, check_private, is_root, open_regular, shell_word};
    use std::fs::{self, Permissions, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::path::Path;

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn secrets_are_for_their_owner() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("it's secret");
        write(&path, "s").unwrap();
        for (bits, refused) in [
            (0o600, None),
            (0o400, None),
            (0o700, None),
            (0o640, Some("read it")),
            (0o604, Some("read it")),
            (0o620, Some("change it")),
            (0o666, Some("read and change it")),
        ] {
            mode(&path, bits);
            let error = check_private(&path, &path.metadata().unwrap(), None).err();
            assert_eq!(error.is_some(), refused.is_some(), "{bits:o}");
            if let (Some(error), Some(can)) = (error, refused) {
                assert!(
                    error.what.contains(can) && error.what.contains(&format!("mode {bits:o}")),
                    "{error}"
                );
                assert!(error.hint.starts_with("chmod 600 '") && error.hint.contains("it'\\''s secret'"));
            }
        }
    }

    #[test]
    fn words_for_the_shell() {
        assert_eq!(shell_word(Path::new("/a/b.c-d_e")), "/a/b.c-d_e");
        assert_eq!(shell_word(Path::new("/a $HOME")), "'/a $HOME'");
    }

    #[test]
    fn only_regular_files_are_read() {
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        for path in [fifo.as_path(), home.path(), Path::new("/dev/zero"), Path::new("/dev/tty")] {
            assert!(open_regular(path).is_err(), "{}", path.display());
        }
        let file = home.path().join("file");
        write(&file, "x").unwrap();
        assert!(open_regular(&file).is_ok());
    }

    #[test]
    fn a_path_that_others_can_lead_elsewhere_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        fs::create_dir(home.join("open")).unwrap();
        fs::create_dir(home.join("ours")).unwrap();
        let file = home.join("ours/file");
        write(&file, "x").unwrap();
        write(home.join("open/file"), "x").unwrap();
        symlink(home.join("open/file"), home.join("ours/link")).unwrap();
        for (bits, refused) in [(0o600, false), (0o644, false), (0o666, true), (0o602, true)] {
            mode(&file, bits);
            assert_eq!(check_path(&file).is_err(), refused, "{bits:o}");
        }
        for (bits, refused) in [(0o755, false), (0o777, true), (0o1777, false)] {
            mode(&home.join("open"), bits);
            for path in ["open/file", "ours/link", "ours/../open/missing", "open/missing/more"] {
                let outcome = check_path(&home.join(path));
                assert_eq!(outcome.is_err(), refused, "{path} {bits:o}");
            }
        }
        symlink(home.join("loop"), home.join("loop")).unwrap();
        assert!(check_path(&home.join("loop")).is_ok(), "it isn't there");
        if is_root() {
            mode(&file, 0o600);
            mode(&home.join("open"), 0o755);
            let us_only = |path: &Path| chown(path, Some(0), Some(0)).unwrap();
            for path in ["ours", "ours/file"] {
                let foreign = home.join(path);
                chown(&foreign, Some(12_345), None).unwrap();
                assert!(check_path(&file).unwrap_err().what.contains("12345"), "{path}");
                assert!(
                    check_destination(&file, &[], None).unwrap_err().hint.contains("owner = \"12345\""),
                    "{path}"
                );
                us_only(&foreign);
            }
            assert!(check_path(&file).is_ok() && check_destination(&file, &[], None).is_ok());
            // Of a directory, a part counts as well, and where it leads.
            symlink(home.join("open"), home.join("ours/part")).unwrap();
            let parts = |parts: &[&str]| check_destination(&home.join("ours"), parts, None);
            assert!(parts(&["file", "part", "missing"]).is_ok());
            for path in ["ours/file", "open"] {
                let foreign = home.join(path);
                chown(&foreign, Some(12_345), None).unwrap();
                let error = parts(&["part", "file"]).unwrap_err();
                assert!(error.what.contains(path) && error.hint.contains("12345"), "{path}: {error}");
                us_only(&foreign);
            }
            mode(&file, 0o660);
            chown(&file, None, Some(12_345)).unwrap();
            assert!(check_path(&file).unwrap_err().what.contains("group"));
        }
    }

    #[test]
    fn what_is_done_as_a_user_is_the_users() {
        use std::os::unix::fs::MetadataExt as _;
        if !is_root() {
            return;
        }
        let variables = [("PATH", "/bin"), ("LC_ALL", "C"), ("TOKEN", "secret")];
        let variables = variables.map(|(name, value)| (name.into(), value.into())).into();
        let Ok(Some(nobody)) = Owner::find("nobody", &variables) else { return };
        assert_eq!(Owner::find(&nobody.uid().to_string(), &variables).unwrap(), Some(nobody.clone()));
        assert_eq!(Owner::find("no such user", &variables).unwrap(), None);
        let home = tempfile::tempdir().unwrap();
        mode(home.path(), 0o777);
        let (theirs, ours, closed) =
            (home.path().join("theirs"), home.path().join("ours"), home.path().join("closed"));
        write(&closed, "x").unwrap();
        mode(&closed, 0o600);
        {
            let acting = nobody.act().unwrap();
            write(&theirs, "x").unwrap();
            assert!(fs::read(&closed).is_err());
            {
                let _root = super::AsRoot::while_acting_as(Some(&nobody));
                write(&ours, "x").unwrap();
                assert!(fs::read(&closed).is_ok());
            }
            assert!(fs::read(&closed).is_err());
            drop(acting);
        }
        assert!(fs::read(&closed).is_ok());
        assert_eq!(theirs.metadata().unwrap().uid(), nobody.uid());
        assert_eq!(ours.metadata().unwrap().uid(), 0);

        let mut command = std::process::Command::new("/bin/sh");
        command
            .args(["-c", "id -u; id -ru; id -G; echo $HOME; echo $PATH $LC_ALL $TOKEN $MORE"])
            .env("MORE", "more")
            .stdout(std::process::Stdio::piped());
        let child = nobody.spawn(&mut command).unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let groups: Vec<String> = nobody.groups.iter().map(u32::to_string).collect();
        let expected =
            format!("{0}\n{0}\n{1}\n{2}\n/bin C more\n", nobody.uid, groups.join(" "), nobody.home.display());
        assert_eq!(said, expected);
        assert_eq!(rustix::process::geteuid().as_raw(), 0, "this thread is as it was");
    }
}
