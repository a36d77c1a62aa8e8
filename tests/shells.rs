//! The completions as shells use them: bash, zsh and fish run the script that `popfetch completions` prints.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;

use crate::mailbox::section;
use crate::support::installed;
use crate::support::sandbox::{Run, Sandbox};

/// What a shell offers at the end of a command line, each on a line.
pub(crate) struct Shell {
    pub(crate) name: &'static str,
    /// How it is run with `$LINE` as the command line, after it has read `~/script`.
    pub(crate) program: Cow<'static, str>,
}

/// The last word is what is completed; it may be empty.
pub(crate) const BASH: Shell = Shell {
    name: "bash",
    program: Cow::Borrowed(
        r#"
        source ~/script
        read -ra COMP_WORDS <<< "$LINE"
        [[ $LINE == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        # bash leaves a quotation mark at its beginning out.
        _popfetch popfetch "${COMP_WORDS[COMP_CWORD]#[\"\']}" "${COMP_WORDS[COMP_CWORD - 1]}" 2> ~/errors
        (( ${#COMPREPLY[@]} )) && printf '%s\n' "${COMPREPLY[@]}"
        true
    "#,
    ),
};

/// The matches are those that the completion system would add.
pub(crate) const ZSH: Shell = Shell {
    name: "zsh",
    program: Cow::Borrowed(
        r#"
        zmodload zsh/zpty
        mkdir -p ~/functions
        cp ~/script ~/functions/_popfetch
        cat > ~/rc <<'EOF'
PS1=ready
fpath=(~/functions $fpath)
autoload -Uz compinit
compinit -u -d ~/dump
compadd() {
    # Calls that only ask for the matches leave them to the caller.
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return $?
    fi
    local -a found
    builtin compadd -O found "$@"
    print -rl -- $found >> ~/found
    builtin compadd "$@"
}
finish() { exit 0 }
zle -N finish
bindkey '^I' complete-word
zle -C complete-word complete-word _main_complete
bindkey '^X' finish
unsetopt beep
zstyle ':completion:*' menu no
EOF
        zpty inner zsh -f -i
        zpty -w inner 'source ~/rc 2> ~/errors'
        zpty -w -n inner "$LINE"$'\t\x18'
        zpty -r inner rest '*never*' > /dev/null 2>&1
        cat ~/found 2> /dev/null
        true
    "#,
    ),
};

pub(crate) const FISH: Shell = Shell {
    name: "fish",
    program: Cow::Borrowed(
        r#"
        # What is installed on this machine would be loaded over it.
        set fish_complete_path
        source ~/script
        complete -C "$LINE" 2> ~/errors | string split -f 1 \t
        true
    "#,
    ),
};

impl Shell {
    /// A home with two configurations, and the script.
    fn sandbox(&self) -> Option<Sandbox> {
        let path = installed(self.name)?;
        let sandbox = Sandbox::of(vec![path.into(), "-c".into()]);
        let names = ["work", "home", "\"a b\"", "'$(touch oops)'", "\"ü\""];
        let accounts = names.iter().zip(1..);
        let accounts = accounts.map(|(name, port)| section(name, port, "deliver.stdout = true"));
        sandbox.config(accounts.collect::<String>());
        sandbox.write("other.toml", section("elsewhere", 1, "deliver.stdout = true"));
        let script = Sandbox::new().run(["completions", self.name]);
        script.succeeds();
        sandbox.write("script", &script.stdout);
        Some(sandbox)
    }

    #[track_caller]
    pub(crate) fn offers(&self, sandbox: &Sandbox, line: &str) -> Vec<String> {
        let run = self.run(sandbox, line);
        assert!(!sandbox.path("oops").exists(), "a name was executed\n{}", run.shown());
        let mut found: Vec<String> =
            run.out().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        found.sort();
        found.dedup();
        found
    }

    fn run(&self, sandbox: &Sandbox, line: &str) -> Run {
        let _ = std::fs::remove_file(sandbox.path("found"));
        let program = Path::new(env!("CARGO_BIN_EXE_popfetch")).parent().unwrap();
        let mut path = OsString::from(program);
        path.push(":/usr/bin:/bin");
        let run = sandbox
            .popfetch([self.program.as_ref()])
            .env("LINE", line)
            .env("PATH", path)
            .env("TERM", "dumb")
            .env("LC_ALL", "C.UTF-8")
            .run();
        run.succeeds();
        run
    }
}

#[track_caller]
fn completes(shell: &Shell) {
    let Some(sandbox) = shell.sandbox() else { return };
    let first = shell.offers(&sandbox, "popfetch ");
    for word in ["fetch", "accounts", "cron", "work", "home"] {
        assert!(first.iter().any(|found| found == word), "{}: {word} in {first:?}", shell.name);
    }
    assert_eq!(shell.offers(&sandbox, "popfetch acc"), ["accounts"], "{}", shell.name);
    for line in
        ["popfetch wo", "popfetch fetch wo", "popfetch fetch home wo", "popfetch home wo", "popfetch cron wo"]
    {
        assert_eq!(shell.offers(&sandbox, line), ["work"], "{}: {line}", shell.name);
    }
    assert_eq!(shell.offers(&sandbox, "popfetch state release ho"), ["home"], "{}", shell.name);
    for line in ["popfetch fetch ", "popfetch state release "] {
        let found = shell.offers(&sandbox, line);
        let words: Vec<&str> =
            found.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
        assert_eq!(words.len(), 5, "{}: {line} {found:?}", shell.name);
        assert!(words.contains(&"work") && words.contains(&"home"), "{}: {line} {found:?}", shell.name);
    }
    assert_eq!(
        shell.offers(&sandbox, "popfetch fetch --config other.toml e"),
        ["elsewhere"],
        "{}",
        shell.name
    );
    assert_eq!(shell.offers(&sandbox, "popfetch completions z"), ["zsh"], "{}", shell.name);
    // Also before any command.
    for (line, value) in [("popfetch --tls i", "implicit"), ("popfetch --server h --first-run n", "new-only")]
    {
        assert_eq!(shell.offers(&sandbox, line), [value], "{}: {line}", shell.name);
    }
    assert_eq!(shell.offers(&sandbox, "popfetch cron --only s"), ["service"], "{}", shell.name);
    let errors = std::fs::read_to_string(sandbox.path("errors")).unwrap_or_default();
    assert_eq!(errors, "", "{}", shell.name);
}

#[test]
fn bash_completes_commands_flags_and_accounts() {
    completes(&BASH);
    let Some(sandbox) = BASH.sandbox() else { return };
    for (line, name) in [
        ("popfetch \"a", "a b"),
        ("popfetch 'a", "a b"),
        ("popfetch \"$(", "\\$(touch oops)"),
        ("popfetch '$(", "$(touch oops)"),
        ("popfetch $(", "\\$\\(touch\\ oops\\)"),
    ] {
        let found = BASH.offers(&sandbox, line);
        assert!(found.iter().any(|found| found == name), "{line}: {found:?}");
    }
}

#[test]
fn zsh_completes_commands_flags_and_accounts() {
    completes(&ZSH);
}

#[test]
fn fish_completes_commands_flags_and_accounts() {
    completes(&FISH);
}

#[test]
fn without_a_configuration_nothing_is_said() {
    for shell in [BASH, ZSH, FISH] {
        let Some(sandbox) = shell.sandbox() else { continue };
        std::fs::remove_file(sandbox.path(".config/popfetch/config.toml")).unwrap();
        let run = shell.run(&sandbox, "popfetch fetch x");
        assert_eq!((run.out().trim(), run.err().trim()), ("", ""), "{}", run.shown());
    }
}

#[test]
fn the_scripts_are_those_of_the_package() {
    for (shell, file) in [("bash", "popfetch.bash"), ("zsh", "_popfetch"), ("fish", "popfetch.fish")] {
        let run = Sandbox::new().run(["completions", shell]);
        run.succeeds();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(file);
        assert_eq!(run.out(), std::fs::read_to_string(path).unwrap(), "{shell}");
    }
    Sandbox::new().run(["completions"]).exits(64).complains("SHELL");
    Sandbox::new().run(["completions", "csh"]).exits(64).complains("bash, zsh, fish");
}
