//! A thread's rights, taken and given back: Linux has them per thread.  Elsewhere no user is acted as.

pub(super) use system::{Back, act, back, groups_of, nobody, spawn};

/// What a thread takes on to act as a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// Whether we run as root.
#[must_use]
pub(crate) fn is_root() -> bool {
    us() == 0
}

/// The user that this thread acts as.
pub(super) fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(target_os = "linux")]
mod system {
    use crate::access::switch::Rights;
    use nix::unistd::User;
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

    pub(in crate::access) fn groups_of(user: &User) -> io::Result<Vec<u32>> {
        let name = std::ffi::CString::new(user.name.as_bytes())?;
        let groups = nix::unistd::getgrouplist(&name, user.gid)?;
        Ok(groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
    }

    fn join(rights: &Rights) -> io::Result<()> {
        groups();
        let theirs: Vec<Gid> = rights.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        Ok(set_thread_groups(&theirs)?)
    }

    pub(in crate::access) fn act(rights: &Rights) -> io::Result<()> {
        let acted = join(rights).and_then(|()| {
            set_thread_res_gid(None, Gid::from_raw(rights.gid), None)?;
            // The last one: it takes the rights away that the others need.
            Ok(set_thread_res_uid(None, Uid::from_raw(rights.uid), None)?)
        });
        if acted.is_err() {
            back();
        }
        acted
    }

    pub(in crate::access) fn back() {
        // The saved user is still root, so none of these can be refused.  Were they, the thread would keep fewer rights
        // than it should have, and fail at the next file.
        let _ = set_thread_res_uid(None, Uid::ROOT, None);
        let _ = set_thread_res_gid(None, rustix::process::getgid(), None);
        let _ = set_thread_groups(groups());
    }

    /// No rights at all.
    pub(in crate::access) fn nobody() {
        let _ = set_thread_res_uid(None, Uid::from_raw(65_534), None);
    }

    #[derive(Debug)]
    pub(in crate::access) struct Back;

    impl Drop for Back {
        fn drop(&mut self) {
            back();
        }
    }

    /// A thread of its own takes on the user's groups, gives up the right to change groups, and starts the program with
    /// the user's number: the standard library then leaves the groups as they are, where it would else empty them.
    pub(in crate::access) fn spawn(rights: &Rights, command: &mut Command) -> io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        let work = || -> io::Result<Child> {
            join(rights)?;
            let group = Gid::from_raw(rights.gid);
            set_thread_res_gid(group, group, group)?;
            let mut sets = capabilities(None)?;
            for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
                set.remove(CapabilitySet::SETGID);
            }
            set_capabilities(None, sets)?;
            command.uid(rights.uid).spawn()
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("spawn".to_owned()).spawn_scoped(scope, work)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it died")))
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use crate::access::switch::Rights;
    use nix::unistd::User;
    use std::io;
    use std::process::{Child, Command};

    pub(in crate::access) fn groups_of(_: &User) -> io::Result<Vec<u32>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::access) fn act(_: &Rights) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::access) fn back() {}

    pub(in crate::access) fn nobody() {}

    #[derive(Debug)]
    pub(in crate::access) struct Back;

    pub(in crate::access) fn spawn(_: &Rights, _: &mut Command) -> io::Result<Child> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
