//! Signals, and what is inherited of them: heard whatever popfetch waits for, and never a reason to lose or repeat mail.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::mailbox::{good, named_account, serve};
use crate::support::sandbox::Sandbox;
use crate::support::server::Message;

/// Waits for a file that the run under test makes.
fn wait_for(path: &Path) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            _ => assert!(Instant::now() < until, "{} never came", path.display()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn messages() -> Vec<Message> {
    vec![Message::new("a", "Subject: a\r\n\r\na\r\n"), Message::new("b", "Subject: b\r\n\r\nb\r\n")]
}

#[test]
fn the_first_signal_ends_a_password_command() {
    for signal in [Signal::TERM, Signal::INT] {
        let sandbox = Sandbox::new();
        let command = sandbox.script("ask", "echo started > ~/started; sleep 100; echo secret");
        let command = format!("tls = \"none\"\npassword-command = [\"{}\"]", command.display());
        sandbox.config(named_account("work", 9, &command));
        let running = sandbox.popfetch([""; 0]).limit(Duration::from_secs(20)).start();
        wait_for(&sandbox.path("started"));
        running.signal(signal);
        running.finish().dies_by(signal).complains("stopped by a signal");
    }
}

#[test]
fn signal_ends_a_prompt_and_restores_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.config(named_account("work", 9, "tls = \"none\""));
    let program = env!("CARGO_BIN_EXE_popfetch");
    let inside = format!("sh -c 'echo $$ > ~/pid; exec {program}'; echo \"ended $?\"; stty -a");
    // Something holds the other end of its input: at an end of file the prompt would end on its own.
    let held =
        "mkfifo ~/typed; sleep 10 > ~/typed 2> /dev/null & exec script -qefc \"$INSIDE\" /dev/null < ~/typed";
    let terminal = ["sh", "-c", held];
    let running = sandbox.popfetch([""; 0]).under(terminal).env("INSIDE", inside).start();
    let pid: i32 = wait_for(&sandbox.path("pid")).trim().parse().unwrap();
    // Until the prompt has switched the echo off, a signal would end it in another way.
    let until = Instant::now() + Duration::from_secs(20);
    while threads(pid) < 2 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let run = running.finish();
    let shown = run.out();
    assert!(shown.contains("Password for"), "{shown}");
    assert!(shown.contains("ended 143"), "{shown}");
    assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
}

fn threads(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

#[test]
fn inherited_signal_settings_change_nothing() {
    // Some supervisors ignore SIGCHLD: then the kernel keeps no exit status of any program.
    let pipe = "leave-on-server = false\ndeliver = { pipe = \"cat >> ~/delivered\" }";
    let served = serve(good(messages()), pipe);
    let run = served.sandbox.popfetch([""; 0]).under(["sh", "-c", "trap '' CHLD; exec \"$0\" \"$@\""]).run();
    run.succeeds();
    assert!(served.server.unique_ids("me").is_empty());

    let sandbox = Sandbox::new();
    let command = sandbox.script("ask", "echo started > ~/started; sleep 100; echo secret");
    let command = format!("tls = \"none\"\npassword-command = [\"{}\"]", command.display());
    sandbox.config(named_account("work", 9, &command));
    let running = sandbox
        .popfetch([""; 0])
        .under(["env", "--block-signal=TERM"])
        .limit(Duration::from_secs(20))
        .start();
    wait_for(&sandbox.path("started"));
    running.signal(Signal::TERM);
    running.finish().dies_by(Signal::TERM);
}

#[test]
fn process_1_ends_with_the_code_of_the_signal() {
    let unshared = std::process::Command::new("unshare").args(["-rpf", "true"]).status();
    if !unshared.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("POPFETCH_REQUIRE_SERVERS").is_none(), "no namespaces here");
        return;
    }
    let sandbox = Sandbox::new();
    let command = sandbox.script("ask", "echo started > ~/started; sleep 100; echo secret");
    let command = format!("tls = \"none\"\npassword-command = [\"{}\"]", command.display());
    sandbox.config(named_account("work", 9, &command));
    let running = sandbox.popfetch([""; 0]).under(["unshare", "-rpf"]).limit(Duration::from_secs(20)).start();
    wait_for(&sandbox.path("started"));
    let unshare = running.pid().as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
    let pid: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    running.finish().exits(128 + 15).complains("stopped by a signal");
}
