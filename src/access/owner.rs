//! The user that an account's `owner` names, and acting with that user's rights.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use nix::unistd::User;

use super::error::Error;
use super::switch::{self, Rights, us};
use crate::text::printable;

/// The user that `owner` names: whose mail it is, when root fetches it.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    name: String,
    rights: Rights,
    home: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl std::fmt::Debug for Owner {
    /// Leaves the environment out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, rights, home, environment: _ } = self;
        let mut debug = f.debug_struct("Owner");
        debug.field("name", name).field("rights", rights).field("home", home);
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
            rights: Rights { uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups },
            home: user.dir,
            environment,
        }))
    }

    /// The number by which the system knows the user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.rights.uid
    }

    /// This thread acts as the user until the value is dropped (if it does already, until then).  Files that are open
    /// already stay usable.
    ///
    /// # Errors
    /// Where the system doesn't allow it: without the right to change users.
    pub fn act(&self) -> Result<Acting, Error> {
        if us() == self.rights.uid {
            return Ok(Acting(None));
        }
        switch::act(&self.rights).map_err(|e| self.cannot_act(&e))?;
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
        switch::spawn(&self.rights, command)
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
pub(crate) struct AsRoot(Option<Owner>);

impl AsRoot {
    /// `owner` is the user that the thread acts as now, if any.
    pub(crate) fn while_acting_as(owner: Option<&Owner>) -> Self {
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
            && switch::act(&owner.rights).is_err()
        {
            switch::nobody();
        }
    }
}

/// Starts a program as `owner`, or as ourselves.
///
/// # Errors
/// As for [`Command::spawn`].
pub(crate) fn spawn(command: &mut Command, owner: Option<&Owner>) -> io::Result<Child> {
    match owner {
        Some(owner) => owner.spawn(command),
        None => command.spawn(),
    }
}

/// This thread acts as `owner`, if there is one.
///
/// # Errors
/// As for [`Owner::act`].
pub(crate) fn act(owner: Option<&Owner>) -> Result<Option<Acting>, Error> {
    owner.map(Owner::act).transpose()
}

#[cfg(test)]
mod tests {
    use super::{AsRoot, Owner, Rights};
    use crate::access::is_root;
    use std::fs::{self, Permissions, set_permissions, write};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_done_as_a_user_is_the_users() {
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
                let _root = AsRoot::while_acting_as(Some(&nobody));
                write(&ours, "x").unwrap();
                assert!(fs::read(&closed).is_ok());
            }
            assert!(fs::read(&closed).is_err());
            drop(acting);
        }
        assert!(fs::read(&closed).is_ok());
        let theirs = theirs.metadata().unwrap();
        assert_eq!((theirs.uid(), theirs.gid()), (nobody.uid(), nobody.rights.gid));
        assert_eq!(ours.metadata().unwrap().uid(), 0);

        let mut command = std::process::Command::new("/bin/sh");
        command
            .args(["-c", "id -u; id -ru; id -G; echo $HOME; echo $PATH $LC_ALL $TOKEN $MORE"])
            .env("MORE", "more")
            .stdout(std::process::Stdio::piped());
        let child = nobody.spawn(&mut command).unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let groups: Vec<String> = nobody.rights.groups.iter().map(u32::to_string).collect();
        let expected = format!(
            "{0}\n{0}\n{1}\n{2}\n/bin C more\n",
            nobody.rights.uid,
            groups.join(" "),
            nobody.home.display()
        );
        assert_eq!(said, expected);
        assert_eq!(rustix::process::geteuid().as_raw(), 0, "this thread is as it was");
    }

    fn nobody() -> Option<Owner> {
        Owner::find("nobody", &[].into()).ok().flatten().filter(|_| is_root())
    }

    /// The user and the group that this thread acts as, and its groups.
    fn rights() -> (u32, u32, Vec<u32>) {
        let groups = rustix::process::getgroups().unwrap();
        let mut groups: Vec<u32> = groups.into_iter().map(rustix::process::Gid::as_raw).collect();
        groups.sort_unstable();
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw(), groups)
    }

    /// With more groups than the system takes.
    fn impossible(owner: &Owner) -> Owner {
        Owner { rights: Rights { groups: vec![1; 70_000], ..owner.rights.clone() }, ..owner.clone() }
    }

    #[test]
    fn all_of_a_users_rights_are_taken_on_and_given_back() {
        let Some(nobody) = nobody() else { return };
        let before = rights();
        let mut groups = vec![nobody.rights.gid, 12_345];
        groups.sort_unstable();
        let member = Owner { rights: Rights { groups: groups.clone(), ..nobody.rights.clone() }, ..nobody };
        let theirs = (member.uid(), member.rights.gid, groups);
        {
            let _acting = member.act().unwrap();
            assert_eq!(rights(), theirs);
            // One within the other takes nothing away when it ends.
            drop(member.act().unwrap());
            assert_eq!(rights(), theirs);
            {
                let _root = AsRoot::while_acting_as(Some(&member));
                assert_eq!(rights(), before);
                drop(AsRoot::while_acting_as(None));
            }
            assert_eq!(rights(), theirs);
        }
        assert_eq!(rights(), before);
        assert!(impossible(&member).act().is_err());
        assert_eq!(rights(), before, "nothing is left of what was refused");
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "id -G; echo $USER $LOGNAME"]).stdout(std::process::Stdio::piped());
        let output = member.spawn(&mut command).unwrap().wait_with_output().unwrap();
        let expected = format!("{} 12345\n{1} {1}\n", member.rights.gid, member.name);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        assert!(impossible(&member).spawn(&mut command).is_err());
        assert_eq!(rights(), before);
    }

    /// Rather no rights at all than root's, where a user's files are to be written.
    #[test]
    fn a_thread_that_cannot_act_as_the_user_again_is_not_left_as_root() {
        let Some(nobody) = nobody() else { return };
        std::thread::scope(|scope| {
            let work = || {
                drop(AsRoot::while_acting_as(Some(&impossible(&nobody))));
                rights().0
            };
            assert_eq!(scope.spawn(work).join().unwrap(), 65_534);
        });
        assert_eq!(rights().0, 0);
    }
}
