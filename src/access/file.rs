//! Reading a file that may hold secrets: bounded, in one piece, and with the rights of its owner.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use super::error::Error;
use super::owner::{Owner, act};
use super::paths::{check_path, check_private, open_regular};
use crate::secret::Secret;
use crate::text::{self, size};

/// Reads a file of secrets, up to `limit` octets; with the rights of `owner`, if there is one, unless it's root's own.
///
/// # Errors
/// Missing, unreadable, too large, or open to others.
pub(crate) fn read_private(
    path: &Path,
    what: &str,
    limit: u64,
    owner: Option<&Owner>,
) -> Result<Secret, Error> {
    let (content, metadata) = read_as(path, what, limit, owner)?;
    check_private(path, &metadata, owner)?;
    Ok(content)
}

/// As [`read`], with the rights of `owner` where root can't be sure of the path: a user could lay a link there to a file
/// that only root can read.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_as(
    path: &Path,
    what: &str,
    limit: u64,
    owner: Option<&Owner>,
) -> Result<(Secret, Metadata), Error> {
    let _acting = act(owner.filter(|_| check_path(path).is_err()))?;
    read(path, what, limit)
}

/// Reads a file that may hold secrets, up to `limit` octets, and reports what was opened (not what has that name now).
///
/// # Errors
/// Missing, unreadable, not a regular file, or too large.
pub(crate) fn read(path: &Path, what: &str, limit: u64) -> Result<(Secret, Metadata), Error> {
    let shown = text::path(path);
    let unreadable = |e: io::Error| {
        let hint = match e.kind() {
            io::ErrorKind::NotFound => "create it, or correct the path",
            io::ErrorKind::PermissionDenied => "it must be readable for the user that runs popfetch",
            _ => "it must be a regular file that can be read; a program's output can be a password-command",
        };
        Error::new(format!("cannot read {what} {shown}: {e}"), hint)
    };
    let (file, metadata) = open_regular(path).map_err(unreadable)?;
    match contents(&file, &metadata, limit).map_err(unreadable)? {
        Some(content) => Ok((content, metadata)),
        None => {
            Err(Error::new(format!("{what} {shown} is larger than {}", size(limit)), "is it the right file?"))
        }
    }
}

/// What an open file holds, which may be a secret; `None` if that is more than `limit` octets.
///
/// # Errors
/// As for [`File::read`](io::Read::read).
pub(crate) fn contents(file: &File, metadata: &Metadata, limit: u64) -> io::Result<Option<Secret>> {
    // In one piece: a buffer that grows leaves its octets behind in memory, and one that is nearly full is read ahead of.
    let room = metadata.len().min(limit).saturating_add(64);
    let mut content = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    let content = Secret::new(content);
    let fits = u64::try_from(content.expose().len()).is_ok_and(|octets| octets <= limit);
    Ok(fits.then_some(content))
}

#[cfg(test)]
mod tests {
    use super::{read, read_private};
    use crate::access::{Owner, is_root};
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::path::Path;

    #[test]
    fn a_file_that_is_missing_too_large_or_endless_is_not_read() {
        let missing = read_private(Path::new("/nowhere/p"), "password-file", 10, None).unwrap_err();
        assert!(
            missing.to_string().starts_with("cannot read password-file /nowhere/p: No such file"),
            "{missing}"
        );
        let home = tempfile::tempdir().unwrap();
        let large = home.path().join("large");
        std::fs::write(&large, "x".repeat(11)).unwrap();
        let large = read(&large, "password-file", 10).unwrap_err();
        assert!(large.to_string().contains("larger than 10 octets"), "{large}");
        let endless = read(Path::new("/dev/zero"), "password-file", 10).unwrap_err();
        assert!(endless.to_string().contains("not a regular file"), "{endless}");
        assert!(read(Path::new("/"), "netrc", 10).is_err());
    }

    #[test]
    fn a_file_may_have_as_much_as_the_limit_and_no_more() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        for (octets, fits) in [(0, true), (9, true), (10, true), (11, false)] {
            std::fs::write(&path, "x".repeat(octets)).unwrap();
            assert_eq!(read(&path, "password-file", 10).is_ok(), fits, "{octets}");
        }
    }

    /// A user could lay a link to root's files where root reads for that user.
    #[test]
    fn what_a_user_can_lead_elsewhere_is_read_with_that_users_rights() {
        let Ok(Some(nobody)) = Owner::find("nobody", &[].into()) else { return };
        if !is_root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(home.path(), 0o755);
        std::fs::create_dir(at("theirs")).unwrap();
        for name in ["roots", "theirs/own"] {
            std::fs::write(at(name), "secret").unwrap();
            mode(&at(name), 0o600);
        }
        symlink(at("roots"), at("theirs/link")).unwrap();
        for name in ["theirs", "theirs/own"] {
            chown(at(name), Some(nobody.uid()), None).unwrap();
        }
        for (name, owner, readable) in [
            // Where root can be sure of the path, it is root's word.
            ("roots", Some(&nobody), true),
            ("theirs/own", Some(&nobody), true),
            ("theirs/link", Some(&nobody), false),
            ("roots", None, true),
            // Whose secret it is counts where nobody is named.
            ("theirs/own", None, false),
        ] {
            let read = read_private(&at(name), "password-file", 10, owner);
            assert_eq!(read.is_ok(), readable, "{name}");
        }
        chown(at("theirs/own"), Some(12_345), None).unwrap();
        mode(&at("theirs/own"), 0o644);
        assert!(read_private(&at("theirs/own"), "password-file", 10, Some(&nobody)).is_err());
    }
}
