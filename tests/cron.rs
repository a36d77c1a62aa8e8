//! `popfetch cron`: what it prints is taken by cron and systemd, and does what it should there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::mailbox::{DELETE, good, serve, small};
use crate::support::installed;
use crate::support::sandbox::{Run, Sandbox};

/// Runs `popfetch cron` by a link in this folder, as that of an installed program may be.
fn cron(sandbox: &Sandbox, folder: &str, args: &[&str]) -> Run {
    let link = sandbox.path(folder).join("popfetch");
    if !link.exists() {
        fs::create_dir_all(sandbox.path(folder)).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_popfetch"), &link).unwrap();
    }
    sandbox
        .popfetch(args)
        .under(["/bin/sh", "-c", "shift; exec \"$0\" cron \"$@\"", link.to_str().unwrap()])
        .run()
}

#[test]
fn the_line_fetches_mail_from_crons_environment() {
    let served = serve(good(small(2)), DELETE);
    let folder = "it's 50% off \"$HOME\"";
    let run = cron(&served.sandbox, folder, &["--only", "crontab", "me"]);
    run.succeeds();
    let line = run.out();
    let command = line.strip_prefix("*/10 * * * *  ").and_then(|line| line.strip_suffix('\n')).unwrap();
    assert!(!command.contains('\n'), "{line}");
    // crontab(5): an unescaped % ends the command, and a backslash before one is taken away.
    assert!(!command.replace("\\%", "").contains('%'), "{line}");
    let output = Command::new("/bin/sh")
        .args(["-c", &command.replace("\\%", "%")])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", served.sandbox.home())
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    served.holds(crate::mailbox::stored(1..=2));
}

#[test]
fn systemd_takes_the_units() {
    let Some(analyze) = installed("systemd-analyze") else { return };
    let served = serve(good([]), "");
    let sandbox = &served.sandbox;
    // systemd takes no quotes in the name of a program.
    let folder = "50% off $HOME";
    let mut files = Vec::new();
    for part in ["service", "timer"] {
        let run = cron(sandbox, folder, &["--only", part, "--every", "1h", "me"]);
        run.succeeds();
        files.push(sandbox.write(format!("popfetch.{part}"), run.stdout));
    }
    let verify = || {
        let mut command = Command::new(&analyze);
        command.args(["verify", "--user", "--man=no"]).args(&files).env("XDG_RUNTIME_DIR", sandbox.home());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (good, complaint) = verify();
    if complaint.contains("Failed to initialize manager") {
        eprintln!("SKIPPED: {complaint}");
        return;
    }
    assert!(good && complaint.is_empty(), "{complaint}");
    // It would find a program that isn't there.
    fs::remove_dir_all(sandbox.path(folder)).unwrap();
    assert!(verify().1.contains("is not executable"), "{:?}", verify());
}

#[test]
fn everything_is_printed_with_what_to_do() {
    let served = serve(good([]), "");
    let program = env!("CARGO_BIN_EXE_popfetch");
    let masks = [(program, "/usr/bin/popfetch")];
    let is_root = rustix::process::geteuid().is_root();
    let name = if is_root { "cron-root" } else { "cron" };
    served.sandbox.run(["cron", "me"]).succeeds().looks_like_masked(name, &masks);
    let run = served.sandbox.run(["cron", "--only", "crontab", "--config", "c.toml", "me"]);
    run.exits(78).complains("there is no configuration");
    let run = served.sandbox.run(["cron", "--every", "7m"]);
    run.exits(64).complains("30 minutes");
    served.sandbox.run(["cron", "mee"]).exits(64).complains("did you mean \"me\"?");
}

/// The same for another user, whose manager systemd runs while that user is logged in.
#[test]
fn a_user_gets_a_timer_of_their_own() {
    let Some(setpriv) = installed("setpriv").filter(|_| rustix::process::geteuid().is_root()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("popfetch");
    fs::copy(env!("CARGO_BIN_EXE_popfetch"), &program).unwrap();
    let sandbox = Sandbox::of(vec![program.clone().into()]);
    sandbox.config(crate::mailbox::section("me", 995, "password = \"secret\"\ndeliver.maildir = \"~/in\"\n"));
    let config =
        [".config", ".config/popfetch", ".config/popfetch/config.toml"].map(|path| sandbox.path(path));
    for path in [folder.path(), program.as_path(), sandbox.home().parent().unwrap()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for path in config.iter().chain([&sandbox.home()]) {
        std::os::unix::fs::chown(path, Some(43_210), Some(43_210)).unwrap();
    }
    let setpriv = [setpriv.to_str().unwrap(), "--reuid=43210", "--regid=43210", "--clear-groups"];
    let run = sandbox.popfetch(["cron", "me"]).under(setpriv).run();
    let under = format!("{} ", setpriv[1..].join(" "));
    let masks = [(under.as_str(), ""), (program.to_str().unwrap(), "/usr/bin/popfetch")];
    run.succeeds().looks_like_masked("cron", &masks);
}

#[test]
fn what_would_not_work_there_is_reported_here() {
    let served = serve(good([]), "");
    served.sandbox.config("[accounts.me]\nserver = \"h\"\nuser = \"u\"\ndeliver.maildir = \"~/in\"\n");
    served.sandbox.run(["cron"]).succeeds().complains("account \"me\" asks for its password");
    // What the environment sets here is named there.
    served.sandbox.write("place/popfetch/config.toml", "");
    let run = served
        .sandbox
        .popfetch(["cron", "--only", "crontab"])
        .env("XDG_CONFIG_HOME", served.sandbox.path("place"))
        .env("XDG_STATE_HOME", "/var/lib/a b")
        .run();
    run.succeeds().says("*/10 * * * *  XDG_STATE_HOME='/var/lib/a b' ").complains("there is no account");
    run.says(&format!(" --config {}\n", served.sandbox.path("place/popfetch/config.toml").display()));
}
