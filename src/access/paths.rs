//! Who owns a file, and which other users could replace it.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Group, User};
use rustix::fs::OFlags;

use super::error::{Error, shell_word};
use super::owner::Owner;
use super::switch::{is_root, us};
use crate::text::{self, printable};

/// Symbolic links that are followed on one path, at most: as many as Linux does.
const MOST_LINKS: u32 = 40;

/// Opens a file to read, which must be a regular one.  A FIFO, a device or a socket is refused before anything is read,
/// and never waited for.
///
/// # Errors
/// As for [`File::open`]; `InvalidInput` for anything but a regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
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
pub(crate) fn check_private(path: &Path, metadata: &Metadata, owner: Option<&Owner>) -> Result<(), Error> {
    let shown = text::path(path);
    if let Some(stranger) =
        stranger(metadata, us()).filter(|uid| owner.is_none_or(|owner| owner.uid() != *uid))
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
        // Docker, Kubernetes and others mount secrets like this, and nothing inside can change that.
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

/// Refuses a path that another user can lead elsewhere, or whose end another user can change: that user decides what is
/// in it.  Each directory and each link on it must be ours or root's, and not open to everybody (but for
/// directories such as `/tmp`, where nobody can touch another's files).  A directory on the way that a group can change
/// is that group's trust; the end itself may be open only to a group that is ours alone.  What isn't there isn't checked.
///
/// # Errors
/// Naming the first file or directory in question.
pub(crate) fn check_path(path: &Path) -> Result<(), Error> {
    // What can't be followed is reported by the caller that opens it.
    let Ok(way) = std::path::absolute(path) else { return Ok(()) };
    let us = us();
    walk(Path::new("/"), &way, |at, metadata, is_end| {
        if let Some(uid) = stranger(metadata, us).filter(|uid| !stands_for_root(*uid)) {
            let shown = text::path(at);
            let what = if is_end {
                format!("{shown} belongs to {}", name_of(uid))
            } else {
                format!("{} can be replaced by {}, who owns {shown}", text::path(path), name_of(uid))
            };
            return Err(Error::new(what, format!("run as {}, or chown it", name_of(uid))));
        }
        if metadata.is_symlink() {
            return Ok(());
        }
        let mode = metadata.mode();
        let by_all = mode & 0o002 != 0 && !(metadata.is_dir() && mode & 0o1000 != 0);
        if by_all {
            let what = format!("everybody can change {} (mode {:03o})", text::path(at), mode & 0o7777);
            return Err(Error::new(what, format!("chmod o-w {}", shell_word(at))));
        }
        if mode & 0o020 != 0 && is_end && !is_private_group(metadata.gid()) {
            let what = format!("its group can change {} (mode {:03o})", text::path(at), mode & 0o7777);
            return Err(Error::new(what, format!("chmod g-w {}", shell_word(at))));
        }
        Ok(())
    })
    .map(drop)
}

/// Refuses, as root, a destination (or one of its `parts`) that belongs to another user, or whose path another user could
/// lead elsewhere.  With `owner` the system refuses that (see
/// [`Owner::act`]), and what the path leads to must be that user's.  Where popfetch isn't root, nothing is checked.
///
/// # Errors
/// The hint names the user to run as.
pub(crate) fn check_destination(path: &Path, parts: &[&str], owner: Option<&Owner>) -> Result<(), Error> {
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
    // The path to the whole has been checked: of each part, only what follows it.
    parts.iter().try_for_each(|part| check_way_of_root(&place, Path::new(part), &path.join(part)).map(drop))
}

/// Whether what is there, if anything, is that user's.
fn belongs_to(path: &Path, owner: &Owner) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.uid() != owner.uid() => {
            let (name, theirs) = (name_of(owner.uid()), name_of(metadata.uid()));
            let what = format!("{} belongs to {theirs}, not to {name}", text::path(path));
            let hint = match metadata.uid() {
                // Mail of a user's is not to be written as root: the file is in the wrong hands.
                0 => format!("chown {name} {}, or set another path", shell_word(path)),
                _ => format!("set owner = \"{theirs}\", or another path"),
            };
            Err(Error::new(what, hint))
        }
        // What isn't there, or can't be seen, is reported by the caller that opens it.
        _ => Ok(()),
    }
}

/// The steps of [`walk`], none of which may belong to others where popfetch is root; `path` is how the user names the end.
fn check_way_of_root(start: &Path, way: &Path, path: &Path) -> Result<Option<PathBuf>, Error> {
    walk(start, way, |at, metadata, _| {
        let mode = metadata.mode();
        if let Some(uid) = stranger(metadata, 0).filter(|uid| !stands_for_root(*uid)) {
            let name = name_of(uid);
            let what = if at == path {
                format!("{} belongs to {name}, and popfetch runs as root", text::path(path))
            } else {
                format!(
                    "{} can be replaced by {name}, who owns {}, and popfetch runs as root",
                    text::path(path),
                    text::path(at)
                )
            };
            return Err(Error::new(
                what,
                format!("run as {name} (systemd: User={name}), or set owner = \"{name}\""),
            ));
        }
        if !metadata.is_symlink() && mode & 0o002 != 0 && !(metadata.is_dir() && mode & 0o1000 != 0) {
            let what = format!("everybody can change {}, and popfetch runs as root", text::path(at));
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
    group.zip(user).is_some_and(|(group, user)| is_of_one_user(&group.name, &group.mem, &user.name))
}

/// Whether the group of this name, with these members, is the one that the system made for `user` alone.
fn is_of_one_user(group: &str, members: &[String], user: &str) -> bool {
    group == user && members.iter().all(|member| member == user)
}

/// The name of the user that popfetch runs as; `None` where this machine has none.
#[must_use]
pub(crate) fn caller() -> Option<String> {
    User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name)
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

#[cfg(test)]
mod tests {
    use super::{
        Group, Owner, User, check_destination, check_path, check_private, is_root, open_regular, shell_word,
    };
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
                let words = format!("other users can {can} (mode {bits:o})");
                assert!(error.what.ends_with(&words), "{error}");
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
        assert!(open_regular(home.path()).unwrap_err().to_string().contains("directory"));
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

    /// What the system can open is checked, however many links lead to it.
    #[test]
    fn links_are_followed_as_far_as_the_system_does() {
        let home = tempfile::tempdir().unwrap();
        let mut last = home.path().join("file");
        write(&last, "x").unwrap();
        mode(&last, 0o666);
        for n in 0..super::MOST_LINKS + 2 {
            assert_eq!(check_path(&last).is_err(), fs::File::open(&last).is_ok(), "{n} links");
            let link = home.path().join(format!("l{n}"));
            symlink(&last, &link).unwrap();
            last = link;
        }
    }

    /// Another group may change a directory on the way, which is that group's trust, but not what stands at its end; and
    /// the error names what another user owns.
    #[test]
    fn the_end_of_a_path_is_guarded_more_than_the_way() {
        if !is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let (way, file) = (home.path().join("way"), home.path().join("way/file"));
        fs::create_dir(&way).unwrap();
        write(&file, "x").unwrap();
        for (path, bits, group, refused) in [
            (&way, 0o775, 12_345, false),
            (&file, 0o664, 12_345, true),
            (&file, 0o644, 12_345, false),
            (&file, 0o664, 0, false),
        ] {
            mode(path, bits);
            chown(path, None, Some(group)).unwrap();
            assert_eq!(check_path(&file).is_err(), refused, "{} {bits:o} {group}", path.display());
        }
        assert!(check_path(&way).is_err(), "here it is the end");
        for (path, words) in [(&file, "belongs to 12345"), (&way, "can be replaced by 12345")] {
            chown(path, Some(12_345), None).unwrap();
            for error in [check_path(&file).unwrap_err(), check_destination(&file, &[], None).unwrap_err()] {
                assert!(error.what.contains(words), "{error}");
            }
            chown(path, Some(0), None).unwrap();
        }
        let metadata = || file.metadata().unwrap();
        mode(&file, 0o600);
        assert!(check_private(&file, &metadata(), None).is_ok());
        chown(&file, Some(12_345), None).unwrap();
        let error = check_private(&file, &metadata(), None).unwrap_err();
        assert!(error.what.contains("belongs to another user (uid 12345)"), "{error}");
        // Nor is it anybody's but that of the user whose mail it holds the password of.
        if let Ok(Some(nobody)) = Owner::find("nobody", &[].into()) {
            assert!(check_private(&file, &metadata(), Some(&nobody)).is_err());
            chown(&file, Some(nobody.uid()), None).unwrap();
            assert!(check_private(&file, &metadata(), Some(&nobody)).is_ok());
        }
    }

    /// A container's secret is root's, and nothing inside can change its mode.
    #[test]
    fn the_hint_is_what_the_user_can_do() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("secret");
        write(&file, "s").unwrap();
        mode(&file, 0o644);
        let hint = |file: &Path| check_private(file, &file.metadata().unwrap(), None).unwrap_err().hint;
        assert!(hint(&file).starts_with("chmod 600 "));
        let Ok(Some(nobody)) = Owner::find("nobody", &[].into()) else { return };
        if !is_root() {
            return;
        }
        mode(home.path(), 0o755);
        let theirs = home.path().join("theirs");
        write(&theirs, "s").unwrap();
        chown(&theirs, Some(nobody.uid()), None).unwrap();
        mode(&theirs, 0o644);
        let error = check_private(&theirs, &theirs.metadata().unwrap(), Some(&nobody)).unwrap_err();
        assert!(error.hint.starts_with("chmod 600 "), "root can change anybody's");
        let _acting = nobody.act().unwrap();
        assert!(hint(&theirs).starts_with("chmod 600 "));
        assert!(hint(&file).contains("use credential = \"secret\"") && !hint(&file).contains("chmod"));
        // Where popfetch isn't root, nothing of that is root's matter.
        assert!(check_destination(&theirs, &[], None).is_ok());
    }

    #[test]
    fn a_group_is_a_users_own_if_nobody_else_is_in_it() {
        let own = |group: &str, members: &[&str]| {
            super::is_of_one_user(group, &members.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>(), "ada")
        };
        for (group, members, is) in [
            ("ada", &[][..], true),
            ("ada", &["ada"], true),
            ("ada", &["ada", "eve"], false),
            ("ada", &["eve"], false),
            ("users", &[], false),
        ] {
            assert_eq!(own(group, members), is, "{group} {members:?}");
        }
    }

    /// Everybody may change it: only a directory is protected by the mode that `/tmp` has.
    #[test]
    fn what_everybody_can_change_is_no_destination_of_root() {
        if !is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let (directory, file) = (home.path().join("open"), home.path().join("file"));
        fs::create_dir(&directory).unwrap();
        write(&file, "x").unwrap();
        symlink(&file, home.path().join("link")).unwrap();
        for (path, bits, refused) in [
            (&directory, 0o755, false),
            (&directory, 0o777, true),
            (&directory, 0o1777, false),
            (&file, 0o644, false),
            (&file, 0o646, true),
            (&file, 0o1646, true),
        ] {
            mode(path, bits);
            for error in [check_destination(path, &[], None).err(), check_path(path).err()] {
                assert_eq!(error.is_some(), refused, "{} {bits:o}", path.display());
            }
        }
        mode(&file, 0o644);
        assert!(check_destination(&home.path().join("link"), &[], None).is_ok(), "a link has no mode");
    }

    #[test]
    fn what_is_delivered_to_for_a_user_must_be_that_users() {
        let Ok(Some(nobody)) = Owner::find("nobody", &[].into()) else { return };
        if !is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        mode(home.path(), 0o755);
        let maildir = home.path().join("Maildir");
        fs::create_dir_all(maildir.join("new")).unwrap();
        let check = || check_destination(&maildir, &["new", "missing"], Some(&nobody));
        for (path, uid, refused) in [
            (maildir.clone(), nobody.uid(), true),
            (maildir.join("new"), nobody.uid(), false),
            (maildir.join("new"), 12_345, true),
            (maildir.join("new"), nobody.uid(), false),
            (maildir.clone(), 0, true),
        ] {
            chown(&path, Some(uid), None).unwrap();
            assert_eq!(check().is_err(), refused, "{} {uid}", path.display());
        }
        assert!(check_destination(&home.path().join("missing"), &[], Some(&nobody)).is_ok());
        assert_eq!(rustix::process::geteuid().as_raw(), 0, "this thread is as it was");
    }

    /// As another user than root: that user's and root's files are trusted, and the group that is that user's alone.
    #[test]
    fn a_user_trusts_root_and_nobody_else() {
        if !is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        mode(home.path(), 0o755);
        let file = home.path().join("file");
        write(&file, "x").unwrap();
        for name in ["nobody", "daemon"] {
            let Ok(Some(user)) = Owner::find(name, &[].into()) else { continue };
            let entry = User::from_name(name).unwrap().unwrap();
            let group = Group::from_gid(entry.gid).unwrap().unwrap();
            let private = group.name == name && group.mem.iter().all(|member| member == name);
            for (owner, gid, bits, refused) in [
                (user.uid(), entry.gid.as_raw(), 0o644, false),
                (user.uid(), entry.gid.as_raw(), 0o664, !private),
                (user.uid(), 0, 0o664, false),
                (user.uid(), 12_345, 0o664, true),
                (0, 0, 0o644, false),
                (12_345, 0, 0o644, true),
            ] {
                chown(&file, Some(owner), Some(gid)).unwrap();
                mode(&file, bits);
                let _acting = user.act().unwrap();
                assert_eq!(check_path(&file).is_err(), refused, "{name}: {owner} {gid} {bits:o}");
            }
        }
    }

    /// Only where the system hides users behind one number does that number stand for root as well.
    #[test]
    fn no_user_stands_for_root_where_the_system_shows_all_of_them() {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let overflow = fs::read_to_string("/proc/sys/fs/overflowuid").unwrap_or_default();
        let Ok(overflow) = overflow.trim().parse() else { return };
        let shows_all = map.split_whitespace().nth(2) == Some("4294967295");
        assert_eq!(super::stands_for_root(overflow), !shows_all);
        for uid in [0, 1000, 12_345] {
            assert!(!super::stands_for_root(uid), "{uid}");
        }
    }
}
