//! Which start of the machine this is.  What a process has written into the page cache outlives the process, but not
//! the machine: a word that was not synced counts only as long as this stays the same.

use std::sync::OnceLock;

/// How many seconds ago the machine was started; `None` where the system doesn't report it (only Linux does).
pub(super) fn uptime() -> Option<i64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    uptime.split(['.', ' ']).next()?.parse().ok()
}

/// A random name for the time since the machine was started; `None` where the system has none (only Linux does).
pub(super) fn id() -> Option<&'static str> {
    static ID: OnceLock<Option<String>> = OnceLock::new();
    ID.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = id.trim();
        let fine = id.len() == 36 && id.bytes().all(|octet| octet.is_ascii_hexdigit() || octet == b'-');
        fine.then(|| id.to_owned())
    })
    .as_deref()
}
