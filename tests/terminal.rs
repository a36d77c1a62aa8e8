//! What is shown at a terminal, and asked there: in a real one.

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
    // The second run: the login of the first account pauses, unless it is named or somebody looks on.
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
