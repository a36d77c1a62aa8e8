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

/// The tests may be run by `nohup` themselves.
const HEEDS_HANGUP: [&str; 2] = ["env", "--default-signal=HUP"];

#[test]
fn the_first_signal_ends_a_password_command() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let sandbox = Sandbox::new();
        let command = sandbox.script("ask", "echo started > ~/started; sleep 100; echo secret");
        let command = format!("tls = \"none\"\npassword-command = [\"{}\"]", command.display());
        sandbox.config(named_account("work", 9, &command));
        let running = sandbox.popfetch([""; 0]).under(HEEDS_HANGUP).limit(Duration::from_secs(20)).start();
        wait_for(&sandbox.path("started"));
        running.signal(signal);
        running.finish().dies_by(signal).complains("stopped by a signal");
    }
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

/// A terminal is closed: what a program has in hand is finished, so that it doesn't come twice.  `nohup` lets the run go on.
#[test]
fn a_hangup_ends_a_run_in_good_order_and_nohup_keeps_it() {
    let pipe = "leave-on-server = false\n\
        deliver = { pipe = \"echo $$ > ~/started; until [ -e ~/go ]; do sleep 0.01; done; cat >> ~/delivered\" }";
    for (under, delivered) in [(&HEEDS_HANGUP[..], 1), (&["nohup"][..], 2)] {
        let served = serve(good(messages()), pipe);
        let home = served.sandbox.home().to_owned();
        let running = served
            .sandbox
            .popfetch([""; 0])
            .under(under.iter().copied())
            .limit(Duration::from_secs(30))
            .start();
        wait_for(&home.join("started"));
        // The kernel sends one, and the shell another.
        for _ in 0..2 {
            running.signal(Signal::HUP);
        }
        std::fs::write(home.join("go"), "").unwrap();
        let ended = running.finish();
        if delivered == 1 {
            ended.dies_by(Signal::HUP)
        } else {
            ended.succeeds()
        };
        served.fetch().succeeds();
        let found = std::fs::read_to_string(home.join("delivered")).unwrap();
        assert_eq!((found.matches("Subject: a").count(), found.matches("Subject: b").count()), (1, 1));
        assert!(served.server.unique_ids("me").is_empty());
    }
}

#[test]
fn process_1_ends_with_the_code_of_the_signal() {
    let unshared = std::process::Command::new("unshare").args(["-rpf", "true"]).status();
    if !unshared.is_ok_and(|status| status.success()) {
        crate::support::skip("there are no namespaces here");
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
