//! Which start of the machine this is.  What a process has written into the page cache outlives the process, but not
//! the machine: a word that was not synced counts only as long as this stays the same.

use std::sync::OnceLock;

/// How many seconds ago the machine was started; `None` where the system doesn't report it (only Linux does).
pub(super) fn uptime() -> Option<i64> {
    hundredths().map(|hundredths| hundredths / 100)
}

/// The same in hundredths of a second.
fn hundredths() -> Option<i64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    uptime.split(' ').next()?.replace('.', "").parse().ok()
}

/// How many hundredths of a second ago the process with this id was started; `None` where there is none, or the system
/// doesn't report it.
pub(super) fn running(pid: i32) -> Option<i64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; of what follows it the 20th is the start, in ticks since the machine's.
    let ticks: u64 = status.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    let started = ticks.checked_mul(100)?.checked_div(rustix::param::clock_ticks_per_second())?;
    // A container may count its own time: then nothing is known.
    hundredths()?.checked_sub(i64::try_from(started).ok()?).filter(|running| *running >= 0)
}

/// A random name for the time since the machine was started; `None` where the system has none (only Linux does).
pub(super) fn id() -> Option<&'static str> {
    static ID: OnceLock<Option<String>> = OnceLock::new();
    ID.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        is_id(id.trim()).then(|| id.trim().to_owned())
    })
    .as_deref()
}

/// Whether it can stand in a line of fixed length, whole.
fn is_id(id: &str) -> bool {
    id.len() == 36 && id.bytes().all(|octet| octet.is_ascii_hexdigit() || octet == b'-')
}

#[cfg(test)]
mod tests {
    use super::{is_id, running, uptime};

    #[test]
    fn how_long_a_process_runs_is_known_where_the_machine_s_time_is() {
        let ours = running(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(ours / 100 <= uptime().unwrap(), "{ours}");
        assert_eq!(running(i32::MAX), None);
    }

    #[test]
    fn only_an_id_of_the_form_that_linux_gives_is_one() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert!(is_id(id));
        for other in ["", "-", &id[1..], &format!("{id}0"), &id.replace('f', "g"), &id.replace('-', "\n")] {
            assert!(!is_id(other), "{other:?}");
        }
    }
}
