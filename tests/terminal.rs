//! What is shown at a terminal, and asked there: in a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::mailbox::{good, named_account};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Server};
use crate::support::tmux::Tmux;

fn server() -> Server {
    Server::start(good([Message::new("a", "Subject: a\r\n\r\na\r\n")]))
}

/// Accounts of these names, each at a server of its own, without a password.
fn without_passwords(names: &[&str]) -> (Sandbox, Vec<Server>) {
    let sandbox = Sandbox::new();
    let servers: Vec<Server> = names.iter().map(|_| server()).collect();
    let accounts = names
        .iter()
        .zip(&servers)
        .map(|(name, server)| named_account(name, server.port(), "tls = \"none\"\nauth = \"user-pass\""));
    sandbox.config(accounts.collect::<Vec<_>>().join("\n"));
    (sandbox, servers)
}

#[test]
fn passwords_are_asked_for_first_in_the_order_of_the_accounts() {
    let (sandbox, servers) = without_passwords(&["zoe", "ann"]);
    // Standard input is not the terminal.
    let Some(terminal) = Tmux::start(&sandbox, (80, 24), "popfetch < /dev/null") else { return };
    for asked in 1..=2 {
        let screen =
            terminal.wait_until("a prompt", |screen| screen.matches("Password for").count() == asked);
        assert!(!screen.contains("connecting") && !screen.contains("secret"), "{screen}");
        assert_eq!(servers.iter().map(Server::sessions).sum::<usize>(), 0, "nothing before all are asked");
        terminal.keys(&["secret", "Enter"]);
    }
    let screen = terminal.wait_for("[0]");
    assert!(!screen.contains("secret") && screen.contains("zoe") && screen.contains("ann"), "{screen}");
    assert!(sandbox.path("zoe/new").exists() && sandbox.path("ann/new").exists());
}

#[test]
fn ctrl_c_ends_a_prompt_and_restores_the_terminal() {
    let (sandbox, servers) = without_passwords(&["zoe", "ann"]);
    let command = "popfetch; echo \"popfetch $?\"; stty -a";
    let Some(terminal) = Tmux::start(&sandbox, (80, 24), command) else { return };
    terminal.wait_for("Password for");
    terminal.keys(&["sec", "C-c"]);
    let screen = terminal.wait_for("[0]");
    assert!(screen.contains("popfetch 130") && screen.contains("stopped by a signal"), "{screen}");
    assert_eq!(screen.matches("Password for").count(), 1, "{screen}");
    assert!(screen.contains(" echo ") && !screen.contains("-echo "), "{screen}");
    assert_eq!(servers.iter().map(Server::sessions).sum::<usize>(), 0);
}

#[test]
fn a_signal_ends_a_prompt_and_restores_the_terminal() {
    let (sandbox, _servers) = without_passwords(&["work"]);
    let command = "sh -c 'echo $$ > ~/pid; exec popfetch'; echo \"popfetch $?\"; stty -a";
    let Some(terminal) = Tmux::start(&sandbox, (80, 24), command) else { return };
    terminal.wait_for("Password for");
    let pid: i32 = std::fs::read_to_string(sandbox.path("pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let screen = terminal.wait_for("[0]");
    assert!(screen.contains("popfetch 143"), "{screen}");
    assert!(screen.contains(" echo ") && !screen.contains("-echo "), "{screen}");
}

#[test]
fn nobody_is_asked_for_a_login_that_will_not_happen() {
    let (sandbox, servers) = without_passwords(&["zoe", "ann"]);
    servers[0].change(|options| {
        options.instead.push(("PASS".to_owned(), b"-ERR [AUTH] no\r\n".to_vec()));
    });
    let command = "popfetch zoe; popfetch < /dev/null 2> ~/errors; echo \"popfetch $?\"; popfetch -q";
    let Some(terminal) = Tmux::start(&sandbox, (80, 24), command) else { return };
    terminal.wait_for("Password for");
    terminal.keys(&["wrong", "Enter"]);
    // The second run: the login of the first account pauses, unless it is named or there is a terminal.
    terminal.wait_until("a second prompt", |screen| screen.matches("Password for").count() == 2);
    terminal.keys(&["secret", "Enter"]);
    // The third is quiet: it asks nobody.
    let screen = terminal.wait_for("[77]");
    assert!(screen.contains("popfetch 77"), "{screen}");
    assert_eq!(screen.matches("Password for").count(), 2, "{screen}");
    assert!(sandbox.path("ann/new").exists());
    let errors = std::fs::read_to_string(sandbox.path("errors")).unwrap();
    assert!(errors.contains("not tried again before"), "{errors}");
    assert_eq!(servers[0].sessions(), 1);
}

/// Lets the servers go on when it is dropped, whatever becomes of the test.
struct Go(Arc<AtomicBool>);

impl Go {
    fn go(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        self.go();
    }
}

/// Accounts of these names with five messages each, at servers that hold the third one back until they are let go.
fn held_back(names: &[&str], more: &str) -> (Sandbox, Vec<Server>, Go) {
    let (sandbox, go) = (Sandbox::new(), Arc::new(AtomicBool::new(false)));
    let start = |_: &&str| {
        let messages = (1..=5).map(|number| {
            let text = format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(70_000));
            Message::new(format!("uid-{number}"), text)
        });
        let server = Server::start(good(messages));
        let go = Arc::clone(&go);
        server.change(|options| {
            options.hook = Some(Arc::new(move |moment| {
                while moment.command == "RETR 3" && !go.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }));
        });
        server
    };
    let servers: Vec<Server> = names.iter().map(start).collect();
    let account = |(name, server): (&&str, &Server)| {
        named_account(name, server.port(), &format!("tls = \"none\"\npassword = \"secret\"\n{more}"))
    };
    sandbox.config(names.iter().zip(&servers).map(account).collect::<Vec<_>>().join("\n"));
    (sandbox, servers, Go(go))
}

#[test]
fn bars_follow_the_window() {
    let (sandbox, _servers, go) = held_back(&["home", "work"], "");
    let Some(tmux) = Tmux::start(&sandbox, (80, 24), "popfetch") else { return };
    let bars = |screen: &str| -> Vec<String> {
        screen.lines().filter(|line| line.contains("/5  ")).map(str::to_owned).collect()
    };
    let length = |line: &str| line.split_once('[').and_then(|(_, rest)| Some(rest.split_once(']')?.0.len()));
    let is = |screen: &str, fits: &dyn Fn(Option<usize>) -> bool| {
        let bars = bars(screen);
        bars.len() == 2 && bars.iter().all(|bar| fits(length(bar)))
    };
    let screen = tmux.wait_until("bars", |screen| is(screen, &|bar| bar.is_some_and(|bar| bar < 40)));
    assert!(
        screen.contains("home  [") && screen.contains(" of 0.3 MiB") || screen.contains(" of 34"),
        "{screen}"
    );
    assert!(screen.contains("0 of 2 accounts done  "), "{screen}");
    tmux.resize(40);
    tmux.wait_until("lines without bars", |screen| {
        is(screen, &|bar| bar.is_none()) && screen.lines().all(|line| line.chars().count() <= 40)
    });
    tmux.resize(200);
    tmux.wait_until("bars of 40 columns", |screen| is(screen, &|bar| bar == Some(40)));
    go.go();
    let screen = tmux.wait_for("[0]");
    assert!(!screen.contains("accounts done") && bars(&screen).is_empty(), "{screen}");
    assert!(screen.contains("5 new") || screen.contains("5 messages"), "{screen}");
}

#[test]
fn the_first_ctrl_c_is_answered_at_once() {
    let (sandbox, servers, go) = held_back(&["work"], "pipelining = \"on\"\n");
    let Some(tmux) = Tmux::start(&sandbox, (80, 24), "popfetch") else { return };
    tmux.wait_until("a bar", |screen| screen.contains("1/5") || screen.contains("2/5"));
    tmux.keys(&["C-c"]);
    let screen = tmux.wait_for("again stops now");
    assert!(
        screen.contains("popfetch: stopping: ") && screen.contains("on their way are finished"),
        "{screen}"
    );
    assert!(!screen.contains("[130]"), "{screen}");
    go.go();
    let screen = tmux.wait_for("[130]");
    assert_eq!(screen.matches("stopping").count(), 1, "{screen}");
    assert!(!screen.contains("  ["), "no bar is left behind: {screen}");
    // What was on its way has come.
    let delivered = std::fs::read_dir(sandbox.path("work/new")).unwrap().count();
    assert!(delivered >= 3 && delivered == servers[0].count("RETR"), "{delivered}: {screen}");
}

/// One line for all accounts at the end, however many were stopped.
#[test]
fn ctrl_c_ends_several_accounts_with_one_line() {
    let (sandbox, servers, go) = held_back(&["home", "work", "mum"], "pipelining = \"on\"\n");
    let Some(tmux) = Tmux::start(&sandbox, (120, 24), "popfetch") else { return };
    tmux.wait_until("three bars", |screen| screen.matches("/5  ").count() == 3);
    tmux.keys(&["C-c"]);
    tmux.wait_for("again stops now");
    go.go();
    let screen = tmux.wait_for("[130]");
    assert!(!screen.contains("  ["), "no bar is left behind: {screen}");
    let sums = screen.lines().filter(|line| line.starts_with("3 accounts: ")).count();
    assert_eq!(sums, 1, "{screen}");
    assert_eq!(screen.matches("stopping").count(), 1, "{screen}");
    assert!(screen.matches("stopped by a signal").count() <= 1, "{screen}");
    let delivered = |name: &str| std::fs::read_dir(sandbox.path(name).join("new")).unwrap().count();
    for (name, server) in ["home", "work", "mum"].iter().zip(&servers) {
        assert_eq!(delivered(name), server.count("RETR"), "{screen}");
    }
}

#[test]
fn the_second_ctrl_c_stops_now() {
    let (sandbox, _servers, go) = held_back(&["home", "work"], "");
    let Some(tmux) = Tmux::start(&sandbox, (80, 24), "popfetch") else { return };
    tmux.wait_until("two bars", |screen| screen.matches("/5  ").count() == 2);
    tmux.keys(&["C-c"]);
    tmux.wait_for("again stops now");
    tmux.keys(&["C-c"]);
    tmux.wait_for("[130]");
    go.go();
}

#[test]
fn a_password_command_that_takes_its_time_is_shown() {
    let sandbox = Sandbox::new();
    let server = server();
    let command =
        "tls = \"none\"\npassword-command = \"while ! test -e ~/go; do sleep 0.1; done; echo secret\"";
    sandbox.config(named_account("work", server.port(), command));
    let Some(tmux) = Tmux::start(&sandbox, (80, 24), "popfetch") else { return };
    tmux.wait_for("work  waiting for password-command");
    sandbox.write("go", "");
    tmux.wait_for("[0]");
}
