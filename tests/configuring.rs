//! `popfetch config`: where the configuration is, what counts in it, all that is wrong with it, and how it is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::mailbox::{good, serve, small};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::tmux::Tmux;

const TWO: &str = "\
[defaults]
timeout = \"30s\"
password-command = \"echo hunter2\"

[accounts.home]
server = \"pop.example.com\"
user = \"me@example.com\"
leave-on-server.days = 14
deliver = [
  { maildir = \"~/Mail\" },  # the first
  { mbox = \"box\" },
]

[accounts.work]
server = \"mail.example.com\"
user = \"me\"
port = 1995
password = \"swordfish\"

[accounts.work.deliver]
maildir = \"work\"
";

fn mode(sandbox: &Sandbox) -> u32 {
    sandbox.path(".config/popfetch/config.toml").metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn the_path_is_printed_also_before_there_is_a_file() {
    let sandbox = Sandbox::new();
    let expected = format!("{}\n", sandbox.path(".config/popfetch/config.toml").display());
    sandbox.run(["config", "path"]).looks_like("config-path");
    assert_eq!(sandbox.run(["config", "path"]).succeeds().out(), expected);
    let other = format!("{}\n", sandbox.path("other.toml").display());
    assert_eq!(sandbox.run(["config", "path", "--config", "other.toml"]).succeeds().out(), other);
}

#[test]
fn each_setting_is_shown_with_where_it_comes_from_and_no_secret() {
    let sandbox = Sandbox::new();
    sandbox.config(TWO);
    let run = sandbox.run(["config", "show"]);
    run.succeeds().looks_like("config-show");
    sandbox.run(["config", "show", "work", "--json"]).looks_like("config-show-json");
    let out = run.out();
    for (setting, origin) in [
        ("[accounts.home]", ""),
        ("server = \"pop.example.com\"", "# line 6"),
        ("port = 995", "# default"),
        ("tls = \"implicit\"", "# default"),
        ("timeout = \"30s\"", "# line 2, [defaults]"),
        ("password-command = ***", "# line 3, [defaults]"),
        ("leave-on-server = { days = 14 }", "# line 8"),
        ("deliver = [{ maildir = \"", "/box\" }]"),
        ("port = 1995", "# line 17"),
        ("password = ***", "# line 18"),
        ("deliver = { maildir = \"", "/work\" }"),
    ] {
        let found = out.lines().any(|line| line.starts_with(setting) && line.contains(origin));
        assert!(found, "{setting} {origin}\n{out}");
    }
    for secret in ["hunter2", "swordfish"] {
        run.never_says(secret);
        sandbox.run(["config", "show", "--json"]).succeeds().never_says(secret);
    }
    let work = sandbox.run(["config", "show", "work", "--json"]);
    work.succeeds().says("\"key\":\"port\",\"value\":\"1995\",\"origin\":\"account\",\"line\":17");
    assert!(
        !work.out().contains("password-command"),
        "the account's own source counts alone: {}",
        work.out()
    );
    sandbox.run(["config", "show", "wrok"]).exits(64).complains("work");
}

#[test]
fn all_that_is_wrong_is_reported_at_once() {
    let sandbox = Sandbox::new();
    sandbox.config(
        "[defaults]\ntimeot = \"30s\"\n\n[accounts.a]\nserver = \"h\"\nuser = \"me\"\ntls = \"maybe\"\nport = \"x\"\n\
         deliver = { maildir = \"~/a\" }\n\n[accounts.b]\nuser = \"me\"\ndeliver = { stdout = true }\n\n\
         [accounts.c]\nserver = \"c\"\nuser = \"me\"\npassword-command = \"false\"\ndeliver = { mbox = \"/\" }\n",
    );
    let run = sandbox.run(["config", "check"]);
    run.exits(78).looks_like("config-check-wrong");
    for wrong in [
        "timeot",
        "maybe",
        "expected a whole number",
        "account \"b\" has no server",
        "c: error: mbox /",
        "c: error: cannot get a password",
    ] {
        run.says(wrong);
    }
    assert!(!run.out().contains("account \"a\" has no"), "{}", run.out());
    let json = sandbox.run(["config", "check", "--json"]);
    json.exits(78).looks_like("config-check-json");
    assert!(json.out().lines().count() >= 6, "{}", json.out());
}

#[test]
fn what_is_right_is_tried_and_left_as_it_was() {
    let served = serve(good(small(2)), "leave-on-server = false");
    let before = served.sandbox.files();
    let run = served.sandbox.run(["config", "check"]);
    run.succeeds()
        .says("ok: ")
        .says("me: ok: Maildir ")
        .says("me: ok: password\n")
        .looks_like("config-check");
    assert_eq!(served.server.sessions(), 0);
    served.sandbox.run(["config", "check", "--login"]).succeeds().says("me: ok: login at 127.0.0.1:");
    assert_eq!((served.server.count("RETR"), served.server.count("DELE")), (0, 0));
    assert_eq!(served.server.sessions(), 1);
    let is_ours = |path: &std::path::Path| path.to_string_lossy().contains("popfetch/");
    let after: Vec<_> = served.sandbox.files().into_keys().filter(|path| !is_ours(path)).collect();
    let before: Vec<_> = before.into_keys().filter(|path| !is_ours(path)).collect();
    assert_eq!(after, before, "nothing is left");
    served.server.change(|options| options.instead.push(("PASS".into(), b"-ERR [AUTH] no\r\n".to_vec())));
    let run = served.sandbox.run(["config", "check", "--login"]);
    run.exits(77).says("me: error: login at ").says("refused the login").says("  hint: ");
}

#[test]
fn the_accounts_that_are_named_are_tried_alone() {
    let sandbox = Sandbox::new();
    let account = |name: &str, command: &str| {
        format!(
            "[accounts.{name}]\nserver = \"{name}.example\"\nuser = \"me\"\npassword-command = \"{command}\"\n\
             deliver = {{ maildir = \"~/{name}\" }}\n"
        )
    };
    sandbox.config(account("a", "echo x") + &account("b", "false"));
    let run = sandbox.run(["config", "check", "a"]);
    run.succeeds().says("a: ok: password");
    assert!(!run.out().contains("b: "), "{}", run.out());
    sandbox.run(["config", "check", "b", "a"]).exits(77).says("a: ok: password").says("b: error: ");
    sandbox.run(["config", "check", "c"]).exits(64).complains("there is no account \"c\"");
    // What is wrong with the file is reported whatever is named.
    sandbox.config(account("a", "echo x") + &account("b", "false").replace("user", "usr"));
    let run = sandbox.run(["config", "check", "a"]);
    run.exits(78).says("usr").says("a: ok: password");
    sandbox.run(["config", "check", "c"]).exits(64).complains("there is no account \"c\"");
}

#[test]
fn a_maildir_that_no_run_would_make_is_wrong() {
    let served = serve(good(small(2)), "deliver = { maildir = \"~/Mail/in\" }");
    let check = || served.sandbox.run(["config", "check"]);
    let wrong = check();
    wrong.exits(73).says("there is no directory").says("  hint: mkdir -p ");
    served.fetch().exits(73);
    fs::create_dir(served.sandbox.path("Mail")).unwrap();
    check().succeeds();
    served.fetch().succeeds();
    check().succeeds();
    // A disk that isn't mounted: a run makes no second Maildir.
    fs::rename(served.sandbox.path("Mail/in"), served.sandbox.path("Mail/out")).unwrap();
    let code = served.sandbox.run(["--all"]).code().unwrap();
    check().exits(code).says("error: ");
}

/// Runs `config edit` with an editor that is this shell script; `$1` is the file.
fn edit(sandbox: &Sandbox, script: &str, answers: &str) -> Run {
    let editor = sandbox.script("editor", script);
    sandbox.popfetch(["config", "edit"]).env("EDITOR", editor).stdin(answers).run()
}

#[test]
fn a_change_counts_when_it_has_been_checked() {
    let sandbox = Sandbox::new();
    sandbox.config(TWO);
    let path = sandbox.path(".config/popfetch/config.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let read = || fs::read_to_string(&path).unwrap();
    edit(&sandbox, "exit 0", "").succeeds().complains("nothing was changed");
    // An editor that writes another file in its place.
    edit(&sandbox, "sed 's/1995/2995/' \"$1\" > \"$1.x\"; mv \"$1.x\" \"$1\"", "")
        .succeeds()
        .complains("is changed");
    assert!(read().contains("port = 2995"));
    assert_eq!(mode(&sandbox), 0o400);
    let changed = read();
    // Wrong, and nobody can be asked: nothing is changed.
    let run = edit(&sandbox, "sed -i 's/2995/\"x\"/' \"$1\"", "e\n");
    run.exits(78).complains("expected a whole number").complains("config.toml:17").complains("is as it was");
    run.never_says("config-").never_says("What now?");
    assert_eq!(read(), changed);
    edit(&sandbox, "exit 3", "").exits(73).complains("cannot run the editor");
    assert_eq!(read(), changed);
    let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "no copy is left");
}

/// The user is asked at the terminal, wherever the standard streams lead; Ctrl-C there changes nothing, and in the editor
/// is the editor's.
#[test]
fn a_wrong_change_is_edited_again_or_given_up_at_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.config(TWO);
    let path = sandbox.path(".config/popfetch/config.toml");
    let read = || fs::read_to_string(&path).unwrap();
    let breaks = sandbox.script("breaks", "sed -i 's/1995/\"x\"/' \"$1\"");
    let mends = sandbox.script(
        "mends",
        "if grep -q '\"x\"' \"$1\"; then sed -i 's/\"x\"/3995/' \"$1\"; else sed -i 's/1995/\"x\"/' \"$1\"; fi",
    );
    for columns in [40, 80, 200] {
        let command = format!("EDITOR={} popfetch config edit < /dev/null", breaks.display());
        let Some(tmux) = Tmux::start(&sandbox, (columns, 24), &command) else { return };
        tmux.wait_for("What now?");
        tmux.keys(&["x", "Enter"]);
        tmux.wait_until("the question again", |screen| screen.matches("What now?").count() == 2);
        tmux.keys(&["q", "Enter"]);
        let screen = tmux.wait_for("[78]");
        assert!(screen.contains("expected a whole number") && screen.contains("is as it was"), "{screen}");
        let Some(tmux) = Tmux::start(&sandbox, (columns, 24), &command) else { return };
        tmux.wait_for("What now?");
        tmux.keys(&["C-c"]);
        tmux.wait_for("[130]");
        assert_eq!(read(), TWO);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no copy is left");
    }
    let command = format!("EDITOR={} popfetch config edit", mends.display());
    let Some(tmux) = Tmux::start(&sandbox, (80, 24), &command) else { return };
    tmux.wait_for("What now?");
    tmux.keys(&["e", "Enter"]);
    tmux.wait_for("is changed");
    assert!(read().contains("port = 3995"));
}

#[test]
fn ctrl_c_in_the_editor_is_the_editors() {
    let sandbox = Sandbox::new();
    sandbox.config(TWO);
    let path = sandbox.path(".config/popfetch/config.toml");
    let editor = sandbox.script(
        "editor",
        "trap 'sed -i s/1995/2995/ \"$1\"; exit 0' INT; echo ready; while :; do sleep 0.1; done",
    );
    let command = format!("EDITOR={} popfetch config edit", editor.display());
    let Some(tmux) = Tmux::start(&sandbox, (80, 24), &command) else { return };
    tmux.wait_for("ready");
    tmux.keys(&["C-c"]);
    let screen = tmux.wait_for("[0]");
    assert!(screen.contains("is changed"), "{screen}");
    assert!(fs::read_to_string(&path).unwrap().contains("port = 2995"));
}

#[test]
fn a_configuration_that_is_missing_begins_with_an_example_for_nobody_elses_eyes() {
    let sandbox = Sandbox::new();
    edit(&sandbox, "grep -q '^\\[accounts.home\\]' \"$1\" || exit 1; echo '# mine' >> \"$1\"", "").succeeds();
    let path = sandbox.path(".config/popfetch/config.toml");
    assert!(fs::read_to_string(&path).unwrap().ends_with("# mine\n"));
    assert_eq!(mode(&sandbox), 0o600);
    sandbox.run(["accounts"]).succeeds().says("home\n");
}

#[test]
fn a_link_to_the_configuration_stays_one() {
    let sandbox = Sandbox::new();
    sandbox.write("dotfiles/popfetch.toml", TWO);
    sandbox.write(".config/popfetch/x", "");
    fs::set_permissions(sandbox.path("dotfiles/popfetch.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let path = sandbox.path(".config/popfetch/config.toml");
    symlink(sandbox.path("dotfiles/popfetch.toml"), &path).unwrap();
    edit(&sandbox, "sed -i 's/1995/2995/' \"$1\"", "").succeeds();
    assert!(path.symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(sandbox.path("dotfiles/popfetch.toml")).unwrap().contains("port = 2995"));
}
