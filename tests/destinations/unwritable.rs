//! What can't be delivered to is found out at the start of every run, not with the first mail.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{poll, set_up, small};
use crate::support::installed;
use crate::support::mailboxes::create_maildir;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Message, numbered};

/// Runs it without the right of root to write everywhere; `None` where root can't give that up.
fn as_an_ordinary_user(sandbox: &Sandbox) -> Option<Run> {
    let popfetch = sandbox.popfetch([""; 0]);
    if !rustix::process::geteuid().is_root() {
        return Some(popfetch.run());
    }
    Some(popfetch.under([installed("setpriv")?.to_str()?, "--bounding-set=-dac_override"]).run())
}

fn forbid(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_destination_that_cannot_be_written_is_reported_before_mail_comes() {
    const MAILDIR: &str = "deliver = { maildir = \"~/in/Mail\" }";
    const MBOX: &str = "deliver = { mbox = \"~/in/box\" }";
    type Case = (&'static str, fn(&Sandbox), &'static str);
    let cases: [Case; 6] = [
        (MAILDIR, |home| forbid(&home.path("in/Mail/tmp"), 0o500), "in/Mail/tmp"),
        (MAILDIR, |home| forbid(&home.path("in/Mail/new"), 0o500), "in/Mail/new"),
        (MBOX, |home| forbid(&home.path("in/box"), 0o400), "in/box"),
        (
            MBOX,
            |home| {
                std::fs::remove_file(home.path("in/box")).unwrap();
                forbid(&home.path("in"), 0o500);
            },
            "in/box",
        ),
        (MAILDIR, |home| forbid(&home.path("in/Mail/cur"), 0o500), "in/Mail/cur"),
        ("deliver = { maildir = \"~/in/other\" }", |home| forbid(&home.path("in"), 0o500), "in/other"),
    ];
    for (number, (deliver, prepare, words)) in cases.into_iter().enumerate() {
        for mail_before in [false, true] {
            if mail_before && number == 5 {
                continue;
            }
            let (server, sandbox) =
                set_up(numbered([small("a")]).into_iter().take(usize::from(mail_before)), deliver);
            create_maildir(&sandbox.path("in/Mail"));
            sandbox.write("in/box", "");
            if mail_before {
                // The next run would be content with a glance at the server.
                poll(&sandbox).succeeds();
            }
            let retrieved = server.count("RETR");
            prepare(&sandbox);
            let Some(run) = as_an_ordinary_user(&sandbox) else { return };
            run.exits(73).complains(words).complains("hint");
            server.add("me", [Message::new("late", small("b"))]);
            as_an_ordinary_user(&sandbox).unwrap().exits(73);
            assert_eq!(server.count("RETR"), retrieved, "{words}");
            for path in ["in", "in/Mail/tmp", "in/Mail/new", "in/Mail/cur"] {
                forbid(&sandbox.path(path), 0o700);
            }
        }
    }
}
