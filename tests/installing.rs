//! `popfetch man --install` and `popfetch completions --install`: that man(1), bash, zsh and fish find what they put in
//! place, of a user and of root, and that they touch nothing else.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::shells::{BASH, FISH, Shell, ZSH};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::{installed, skip};

const POPFETCH: &str = env!("CARGO_BIN_EXE_popfetch");
const PAGES: [&str; 3] = ["man1/popfetch.1", "man5/popfetch.toml.5", "man5/popfetch-json.5"];
/// Without folders of this user's home.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A sandbox that runs popfetch as a user who isn't root; `None`, with a message, where that isn't possible.
fn of_a_user() -> Option<Sandbox> {
    if !rustix::process::geteuid().is_root() {
        return Some(Sandbox::new());
    }
    let words = ["-U", "--map-user=1000", "--map-group=1000"];
    Some(Sandbox::of(unshared(&words, &[POPFETCH])?))
}

/// A program in namespaces of its own; `None`, with a message, where there are none.
fn unshared(flags: &[&str], program: &[&str]) -> Option<Vec<OsString>> {
    let unshare = installed("unshare")?;
    let works = Command::new(&unshare).args(flags).arg("true").status();
    if !works.is_ok_and(|status| status.success()) {
        skip("there are no user namespaces here");
        return None;
    }
    let words = flags.iter().chain(program).map(OsString::from);
    Some(std::iter::once(unshare.into()).chain(words).collect())
}

fn install(sandbox: &Sandbox, args: &[&str]) -> Run {
    let run = sandbox.popfetch(args).env("PATH", PATH).run();
    run.succeeds();
    run
}

/// What a shell command prints, in the home of the sandbox.
fn sh(sandbox: &Sandbox, command: &str) -> String {
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .env_clear()
        .envs([
            ("HOME", sandbox.home().as_path()),
            ("PATH", Path::new(PATH)),
            ("LC_ALL", Path::new("C.UTF-8")),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn man_shows_the_installed_pages() {
    let (Some(_), Some(sandbox)) = (installed("man"), of_a_user()) else { return };
    let folder = sandbox.path(".local/share/man");
    let run = install(&sandbox, &["man", "--install"]);
    for page in PAGES {
        run.says(&format!("wrote {}/{page}\n", folder.display()));
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(page.split('/').next_back().unwrap());
        assert_eq!(std::fs::read(folder.join(page)).unwrap(), std::fs::read(source).unwrap(), "{page}");
    }
    // What it prints makes man(1) look there.
    run.says("man(1) does not look there yet");
    let out = run.out();
    let line = out.lines().find_map(|line| line.strip_prefix("  export ")).unwrap();
    for (page, word) in
        [("popfetch", "mark-seen"), ("popfetch.toml", "leave-on-server"), ("popfetch-json", "unique_id")]
    {
        let shown = sh(&sandbox, &format!("export {line}; export MANPAGER=cat; man {page}"));
        assert!(shown.contains(word), "{page}: {shown}");
    }
    // It looks there on its own where the folder of the user's programs is in PATH.
    std::fs::create_dir_all(sandbox.path(".local/bin")).unwrap();
    let path = format!("{}:{PATH}", sandbox.path(".local/bin").display());
    let again = sandbox.popfetch(["man", "--install"]).env("PATH", path).run();
    again.succeeds().says("Read them with:  man popfetch").never_says("wrote").never_says("MANPATH");
    for page in PAGES {
        again.says(&format!("{}/{page} is current\n", folder.display()));
    }
}

#[test]
fn what_an_earlier_version_has_put_there_is_replaced_and_nothing_else() {
    let Some(sandbox) = of_a_user() else { return };
    install(&sandbox, &["man", "--install"]);
    install(&sandbox, &["completions", "--install", "bash"]);
    let script = ".local/share/bash-completion/completions/popfetch";
    let files = [".local/share/man/man1/popfetch.1", ".local/share/man/man5/popfetch-json.5", script];
    let current = sandbox.files();
    for file in files {
        let mut older = std::fs::read_to_string(sandbox.path(file)).unwrap();
        older.push_str("\nolder\n");
        sandbox.write(file, older);
    }
    install(&sandbox, &["man", "--install"]).says("popfetch-json.5\n").says("popfetch.toml.5 is current");
    install(&sandbox, &["completions", "--install", "bash"]).says("wrote ");
    assert!(current == sandbox.files(), "{:?}", sandbox.files().keys());

    for (file, command) in
        files.into_iter().zip([["man", "--install"], ["man", "--install"], ["completions", "--install"]])
    {
        sandbox.write(file, "of another program, about popfetch");
        let run = sandbox.popfetch(command).env("PATH", PATH).run();
        run.exits(73).complains("is not popfetch's").complains("move it away");
        assert_eq!(
            std::fs::read_to_string(sandbox.path(file)).unwrap(),
            "of another program, about popfetch"
        );
        std::fs::remove_file(sandbox.path(file)).unwrap();
    }
    let elsewhere = sandbox.write("dotfiles/popfetch", current[Path::new(script)].clone());
    sandbox.write("dotfiles/popfetch", "complete -F _popfetch popfetch");
    symlink(&elsewhere, sandbox.path(script)).unwrap();
    let run = sandbox.run(["completions", "--install", "bash"]);
    run.exits(73).complains("is a symbolic link");
    assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "complete -F _popfetch popfetch");
}

#[test]
fn what_cannot_be_installed_is_reported() {
    let Some(sandbox) = of_a_user() else { return };
    sandbox.write(".local/share", "a file");
    let run = sandbox.popfetch(["man", "--install"]).env("PATH", PATH).run();
    run.exits(73).complains("cannot write ").complains("Not a directory");
    sandbox.run(["man", "--install", "popfetch"]).exits(64);
    sandbox.run(["completions"]).exits(64).complains("SHELL");
    let no_shells = sandbox.path("");
    let run = sandbox.popfetch(["completions", "--install"]).env("PATH", &no_shells).run();
    run.exits(78).complains("neither bash nor zsh nor fish");
    std::fs::remove_file(sandbox.path(".local/share")).unwrap();
    let run = sandbox.popfetch(["man", "--install"]).env("PATH", &no_shells).run();
    run.succeeds().says("There is no man(1) here");
}

/// The shell as it is after a user did what `completions --install` prints, with a configuration of two accounts.
fn installed_for(shell: &Shell, replace: &[(&str, &str)]) -> Option<(Sandbox, Shell)> {
    let program = installed(shell.name)?;
    let user = of_a_user()?;
    let out = install(&user, &["completions", "--install", shell.name]).out();
    let sandbox = Sandbox::of(vec![program.into(), "-c".into()]);
    for (path, octets) in user.files().into_iter().filter(|(path, _)| !path.to_string_lossy().ends_with('/'))
    {
        sandbox.write(path, octets);
    }
    sandbox.config("[accounts.work]\nserver = \"h\"\nuser = \"u\"\ndeliver.stdout = true\n");
    let line = out.lines().find(|line| line.starts_with("  ")).unwrap_or_default().trim_start();
    // The folder of the sandbox that it was installed in.
    let line = line.replace(user.home().to_str().unwrap(), sandbox.home().to_str().unwrap());
    let mut text = shell.program.to_string();
    for (from, to) in replace {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, &to.replace("LINE-TO-ADD", &line));
    }
    Some((sandbox, Shell { name: shell.name, program: Cow::Owned(text) }))
}

#[track_caller]
fn completes(shell: &Shell, replace: &[(&str, &str)]) {
    let Some((sandbox, shell)) = installed_for(shell, replace) else { return };
    assert_eq!(shell.offers(&sandbox, "popfetch acc"), ["accounts"], "{}", shell.name);
    assert_eq!(shell.offers(&sandbox, "popfetch fetch wo"), ["work"], "{}", shell.name);
}

const BASH_COMPLETION: &str = "/usr/share/bash-completion/bash_completion";

#[test]
fn bash_finds_the_installed_completions() {
    if !Path::new(BASH_COMPLETION).exists() {
        skip("bash-completion isn't installed");
        return;
    }
    let load = format!("source {BASH_COMPLETION}\n_completion_loader popfetch");
    completes(&BASH, &[("source ~/script", &load)]);
}

#[test]
fn zsh_finds_the_installed_completions() {
    completes(
        &ZSH,
        &[("cp ~/script ~/functions/_popfetch\n", "\n"), ("fpath=(~/functions $fpath)", "LINE-TO-ADD")],
    );
}

#[test]
fn fish_finds_the_installed_completions() {
    completes(&FISH, &[("set fish_complete_path\n", "\n"), ("source ~/script\n", "\n")]);
}

/// As root, in a view of the file system of its own: what is written there nobody else sees.
#[test]
fn root_installs_for_all_users() {
    const SCRIPT: &str = r#"
        set -e
        mount -t tmpfs none /usr/local/share
        mkdir -p /etc/fish
        mount -t tmpfs none /etc/fish
        popfetch man --install
        popfetch completions --install
        man -w popfetch
        bash -c 'source /usr/share/bash-completion/bash_completion; _completion_loader popfetch; complete -p popfetch'
        zsh -fc 'autoload -Uz compinit; compinit -u -D; whence -v _popfetch; print "zsh: $_comps[popfetch]"'
        fish -c 'complete -C "popfetch acc"'
        ls -l /usr/local/share/man/man1
    "#;
    for program in ["man", "bash", "zsh", "fish"] {
        if installed(program).is_none() {
            return;
        }
    }
    if !(Path::new(BASH_COMPLETION).exists() && Path::new("/etc/fish").exists()) {
        skip("bash-completion and fish aren't installed where Debian has them");
        return;
    }
    let Some(words) = unshared(&["-rm"], &["/bin/bash", "-c", SCRIPT]) else { return };
    let folder = Path::new(POPFETCH).parent().unwrap().display();
    let sandbox = Sandbox::of(words);
    let run = sandbox.popfetch([""; 0]).env("PATH", format!("{folder}:{PATH}")).run();
    run.succeeds();
    run.says("Read them with:  man popfetch").says("/man1/popfetch.1\ncomplete ");
    run.says(" -F _popfetch popfetch\n").says("zsh: _popfetch\n").says("accounts\t").says("-rw-r--r--");
    assert!(sandbox.files().keys().all(|path| !path.ends_with("popfetch.1")), "{:?}", sandbox.files().keys());
}
