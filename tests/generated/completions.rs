//! What clap_complete leaves out: accounts in the place of accounts, by `popfetch accounts`.
//!
//! A name goes into the shell as data: neither `compgen -W` nor `eval` sees it.

use std::fmt::Write as _;

use clap::{Arg, Command};
use clap_complete::Shell;
use popfetch::reference::command;

/// The script for a shell.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "popfetch", &mut script);
    let script = String::from_utf8(script).unwrap();
    match shell {
        Shell::Bash => bash(&script),
        Shell::Zsh => zsh(script),
        Shell::Fish => fish(&script),
        other => panic!("{other}"),
    }
}

/// Whether the argument is an account: then its value is called so.
fn is_account(arg: &Arg) -> bool {
    arg.is_positional() && arg.get_value_names().is_some_and(|names| names[0].starts_with("ACCOUNT"))
}

fn takes_accounts(command: &Command) -> bool {
    command.get_arguments().any(is_account)
}

/// Each command that takes accounts, as the words that call it; the first has none.
fn with_accounts() -> Vec<Vec<String>> {
    fn add(command: &Command, words: &[String], found: &mut Vec<Vec<String>>) {
        if takes_accounts(command) {
            found.push(words.to_vec());
        }
        for sub in command.get_subcommands() {
            add(sub, &[words, &[sub.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    add(&command(), &[], &mut found);
    found
}

const BASH: &str = r#"
# A name as it has to be written behind the quotation mark, if any, that the word begins with.
__popfetch_quoted() {
    local quote=${COMP_WORDS[COMP_CWORD]:0:1} char at
    if [[ $quote != [\"\'] ]]; then
        printf %q "$1"
        return
    fi
    for (( at = 0; at < ${#1}; at++ )); do
        char=${1:at:1}
        case $quote$char in
            \"[\"\\\$\`]) printf %s "\\$char" ;;
            \'\') printf %s "'\\''" ;;
            *) printf %s "$char" ;;
        esac
    done
}

# Adds the names of accounts that begin with the word.
__popfetch_accounts() {
    local name config=() at
    for (( at = 1; at + 1 < COMP_CWORD; at++ )); do
        [[ ${COMP_WORDS[at]} == --config ]] && config=(--config "${COMP_WORDS[at + 1]}")
    done
    while IFS= read -r name; do
        [[ $name == "$cur"* ]] && COMPREPLY+=("$(__popfetch_quoted "$name")")
    done < <("${COMP_WORDS[0]}" accounts "${config[@]}" 2>/dev/null)
}
"#;

fn bash(script: &str) -> String {
    let sections: Vec<String> = with_accounts()
        .into_iter()
        .map(|words| {
            std::iter::once("popfetch".to_owned()).chain(words).collect::<Vec<_>>().join("__subcmd__") + ")"
        })
        .collect();
    let (mut text, mut takes_accounts) = (BASH.trim_start().to_owned() + "\n", false);
    for line in script.lines() {
        let word = line.trim();
        if line.starts_with("        popfetch") && word.ends_with(')') {
            takes_accounts = sections.iter().any(|section| section == word);
        }
        if let Some(opts) = word.strip_prefix("opts=\"").and_then(|opts| opts.strip_suffix('"')) {
            // The names of arguments are no words to complete.
            let words = opts.split(' ').filter(|word| !word.starts_with(['[', '<']));
            let words: Vec<&str> = words.collect();
            writeln!(text, "            opts=\"{}\"", words.join(" ")).unwrap();
            continue;
        }
        writeln!(text, "{line}").unwrap();
        if takes_accounts && word == r#"COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )"# {
            let indent = &line[..line.len() - line.trim_start().len()];
            writeln!(text, "{indent}__popfetch_accounts").unwrap();
        }
    }
    text
}

const ZSH: &str = r#"
(( $+functions[_popfetch_accounts] )) ||
_popfetch_accounts() {
    # $words lacks the options that _arguments has seen.
    local -a names config all=(${(z)BUFFER})
    local at=${all[(i)--config]}
    (( at < $#all )) && config=(--config ${(Q)all[at + 1]})
    names=(${(f)"$(popfetch accounts $config 2>/dev/null)"})
    compadd -a names
}
"#;

fn zsh(script: String) -> String {
    let command = command();
    // An optional value follows `=` or is missing: the next word isn't one.
    let optional = command.get_arguments().filter(|arg| arg.is_require_equals_set());
    let script = optional.fold(script, |script, arg| {
        let option = format!("'--{}=", arg.get_long().unwrap());
        assert!(script.contains(&format!("{option}[")), "{option}");
        script.replace(&format!("{option}["), &format!("{option}-["))
    });
    let mut text = String::new();
    for line in script.lines() {
        let positional =
            line.strip_prefix('\'').filter(|rest| rest.starts_with(':') || rest.starts_with("*::"));
        let is_account =
            positional.is_some_and(|rest| rest.trim_start_matches(['*', ':']).starts_with("account"));
        // The first word is a command or an account: see below.
        if line.starts_with("'::accounts -- Accounts by name or as POP URLs") {
            continue;
        }
        if is_account {
            // After two colons the words before would be hidden: --config is among them.
            let line = line.replacen("'*::", "'*:", 1);
            writeln!(text, "{}_popfetch_accounts' \\", line.strip_suffix("' \\").unwrap()).unwrap();
        } else {
            writeln!(text, "{line}").unwrap();
        }
    }
    let arm = "        esac\n    ;;\nesac\n}\n\n(( $+functions[_popfetch_commands] )) ||\n";
    assert!(text.contains(arm), "{text}");
    let text = text.replace(
        arm,
        &format!(
            "            (*)\n_arguments \"${{_arguments_options[@]}}\" : '*:account:_popfetch_accounts' && ret=0\n;;\n{arm}"
        ),
    );
    // Without the account before it, the command is the first word.
    let text = text.replace("$line[2]", "$line[1]").replace(
        "    _describe -t commands 'popfetch commands' commands \"$@\"\n",
        "    _describe -t commands 'popfetch commands' commands \"$@\"\n    _popfetch_accounts\n",
    );
    let end = "\nif [ \"$funcstack[1]\" = \"_popfetch\" ]";
    assert!(text.contains(end), "{text}");
    text.replace(end, &format!("{ZSH}{end}"))
}

/// The words before the one that is completed may end with an option that has no value yet.
fn with_options_that_wait(script: &str) -> String {
    let parse = "    argparse -s (__fish_popfetch_global_optspecs) -- $cmd 2>/dev/null\n";
    let before = format!("{parse}    or return\n");
    assert!(script.contains(&before), "{script}");
    let again = format!("    or begin\n        set -e cmd[-1]\n    {parse}    end\n    or return\n");
    script.replace(
        &before,
        &format!("{parse}    # The last word may be an option that waits for its value.\n{again}"),
    )
}

fn fish(script: &str) -> String {
    let script = with_options_that_wait(script);
    let names: Vec<String> = command().get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let mut text = format!(
        "# An account is no file.\n\
         complete -c popfetch -f\n\
         {script}\n\
         # The names of the accounts of the configuration that the command line names.\n\
         function __fish_popfetch_accounts\n\
         \x20   set -l words (commandline -opc)\n\
         \x20   set -l at (contains -i -- --config $words)\n\
         \x20   and set -l config --config $words[(math $at + 1)]\n\
         \x20   popfetch accounts $config 2>/dev/null\n\
         end\n\n\
         # Whether no word before is a command: what comes is an account then.\n\
         function __fish_popfetch_no_command\n\
         \x20   not __fish_seen_subcommand_from {}\n\
         end\n\n",
        names.join(" ")
    );
    for sub in command().get_subcommands() {
        let words: Vec<_> = sub.get_positionals().flat_map(Arg::get_possible_values).collect();
        if !words.is_empty() {
            let words: Vec<&str> = words.iter().map(|word| word.get_name()).collect();
            let condition = format!("__fish_popfetch_using_subcommand {}", sub.get_name());
            writeln!(text, "complete -c popfetch -n \"{condition}\" -a \"{}\"", words.join(" ")).unwrap();
        }
    }
    for words in with_accounts() {
        let condition = match words.split_first() {
            None => "__fish_popfetch_no_command".to_owned(),
            Some((first, rest)) => {
                rest.iter().fold(format!("__fish_popfetch_using_subcommand {first}"), |text, word| {
                    format!("{text}; and __fish_seen_subcommand_from {word}")
                })
            }
        };
        writeln!(
            text,
            "complete -c popfetch -n \"{condition}\" -a \"(__fish_popfetch_accounts)\" -d 'Account'"
        )
        .unwrap();
    }
    text
}
