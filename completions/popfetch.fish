# An account is no file.
complete -c popfetch -f
# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_popfetch_global_optspecs
    string join \n config= jobs= wait= q/quiet v/verbose json color= log-file= keep delete all dry-run server= port= tls= ca-file= tls-fingerprint= tls-client-certificate= tls-client-key= proxy= connect-command= socket= connect-to= source-address= user= auth= password-command= password-file= netrc= credential= maildir= mbox= pipe= stdout time-limit= parallel= owner= received-header= leave-on-server= max-message-size= first-run= max-messages= max-bytes= timeout= alert-after= remind-after= pipelining= utf8= listing= full-listing-every= sync= h/help V/version
end

function __fish_popfetch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_popfetch_global_optspecs) -- $cmd 2>/dev/null
    # The last word may be an option that waits for its value.
    or begin
        set -e cmd[-1]
        argparse -s (__fish_popfetch_global_optspecs) -- $cmd 2>/dev/null
    end
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_popfetch_using_subcommand
    set -l cmd (__fish_popfetch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c popfetch -n "__fish_popfetch_needs_command" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l jobs -d 'Poll up to NUMBER accounts at a time [default: 16]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l wait -d 'Wait for another popfetch to leave the mailbox, at most for the duration if one is given' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -l log-file -d 'Append a line to this file for each message that was delivered or has failed, and for each run' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l server -d 'The server\'s name or address' -r -f -a "(__fish_print_hostnames)"
complete -c popfetch -n "__fish_popfetch_needs_command" -l port -d 'Its TCP port, if not 995 with implicit TLS, else 110' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l tls -d 'How the connection is protected: by TLS from the start, by STLS, or not at all [default: implicit]' -r -f -a "implicit\t''
starttls\t''
none\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -l ca-file -d 'Trust these certificate authorities besides the system\'s' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l tls-fingerprint -d 'Trust the certificate with this SHA-256 fingerprint, and no other' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l tls-client-certificate -d 'Show this certificate chain to the server' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l tls-client-key -d 'The key that belongs to it' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l proxy -d 'Connect by this proxy: socks5://HOST:PORT, http://HOST:PORT' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l connect-command -d 'Connect by this command: its standard input and output are the connection' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_needs_command" -l socket -d 'Connect to this Unix socket' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l connect-to -d 'Connect to this place instead of the server\'s name' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l source-address -d 'The address of this machine that connections come from' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l user -d 'The user\'s name at the server' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l auth -d 'How to log in: auto is the strongest way offered that keeps a password safe [default: auto]' -r -f -a "auto\t''
user-pass\t''
apop\t''
plain\t''
login\t''
cram-md5\t''
scram-sha-1\t''
scram-sha-256\t''
xoauth2\t''
oauthbearer\t''
external\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -l password-command -d 'The first line that this command prints is the password' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_needs_command" -l password-file -d 'The first line of this file is the password' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l netrc -d 'Look the password up in this file, or in ~/.netrc' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l credential -d 'The password is in this systemd credential' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l maildir -d 'Deliver to this Maildir' -r -f -a "(__fish_complete_directories)"
complete -c popfetch -n "__fish_popfetch_needs_command" -l mbox -d 'Deliver to this mbox file' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l pipe -d 'Hand each message to this command, which runs in a shell' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_needs_command" -l time-limit -d 'Stop the command when it takes longer than this [default: 5m]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l parallel -d 'Run at most NUMBER of these commands at once [default: 1]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l owner -d 'Deliver as this user, when run as root' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l received-header -d 'Put a Received line on top of each message' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l leave-on-server -d 'What to leave on the server: true, false, or limits such as days=14,newest=100 [default: true]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l max-message-size -d 'Leave messages that are larger than this' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l first-run -d 'Retrieve the mail that is there at the first run, or only what comes later [default: all]' -r -f -a "all\t''
new-only\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -l max-messages -d 'Retrieve at most NUMBER messages' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l max-bytes -d 'Retrieve at most SIZE' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l timeout -d 'Give up after this long without an answer [default: 60s]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l alert-after -d 'With --quiet, report a failure once it has lasted this long [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l remind-after -d 'With --quiet, report it again if it still lasts after this long [default: 7d]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l pipelining -d 'Send commands without waiting for the answers before [default: auto]' -r -f -a "auto\t''
on\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -l utf8 -d 'Whether messages may come with UTF-8 in their headers [default: auto]' -r -f -a "auto\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -l listing -d 'Whether every poll takes a full listing [default: auto]' -r -f -a "auto\t''
full\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -l full-listing-every -d 'Take a full listing at least this often [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_needs_command" -l sync -d 'How messages are brought to the disk [default: auto]' -r -f -a "auto\t''
each\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -s q -l quiet -d 'Print nothing unless something needs your attention'
complete -c popfetch -n "__fish_popfetch_needs_command" -s v -l verbose -d 'Print what is done and why; twice, the dialogue with the server as well'
complete -c popfetch -n "__fish_popfetch_needs_command" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_needs_command" -l keep -d 'Leave everything on the server in this run'
complete -c popfetch -n "__fish_popfetch_needs_command" -l delete -d 'Delete from the server in this run whatever is durably delivered'
complete -c popfetch -n "__fish_popfetch_needs_command" -l all -d 'Retrieve again what was retrieved before'
complete -c popfetch -n "__fish_popfetch_needs_command" -l dry-run -d 'Show what would be done with each message and why, and change nothing'
complete -c popfetch -n "__fish_popfetch_needs_command" -l stdout -d 'Write messages to standard output, as an mbox stream'
complete -c popfetch -n "__fish_popfetch_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_needs_command" -s V -l version -d 'Print version'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "fetch" -d 'Retrieve mail, as popfetch does without a command'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "init" -d 'Set an account up from its mail address'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "add" -d 'Set an account up from its mail address'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "check" -d 'Show how much is new on the server, and fetch nothing'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "list" -d 'List the messages on the server, and what the next run would do with each'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "show" -d 'Show one message'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "delete" -d 'Delete messages from the server'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "import" -d 'Take over accounts, and what was retrieved, from fetchmail, getmail, mpop or fdm'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "accounts" -d 'Print the names of the accounts'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "history" -d 'Show the last deliveries: where is that mail?'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "status" -d 'Show how each account stands: the last run, the last mail, what needs you'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "mark-seen" -d 'Let messages count as retrieved, without downloading them'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "retry" -d 'Try messages that failed, and logins that pause, now'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "shell" -d 'Talk POP3 with an account\'s server by hand'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "auth" -d 'Log in by OAuth, and show, print or give back what that has brought'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "login" -d 'Log in at the provider of an account, in a browser or by a code'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "logout" -d 'Give the tokens of an account back, and forget them'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "server-info" -d 'Show what a server offers, and which setting would be better'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "config" -d 'Show, check or change the configuration'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "state" -d 'Manage what is remembered of an account'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "cron" -d 'Print what cron or systemd needs to run popfetch again and again'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "completions" -d 'Print or install the script that completes command lines in a shell'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "man" -d 'Show or install the manual'
complete -c popfetch -n "__fish_popfetch_needs_command" -a "help" -d 'Show all of the help, of popfetch or of a command'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l jobs -d 'Poll up to NUMBER accounts at a time [default: 16]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l wait -d 'Wait for another popfetch to leave the mailbox, at most for the duration if one is given' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l log-file -d 'Append a line to this file for each message that was delivered or has failed, and for each run' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l server -d 'The server\'s name or address' -r -f -a "(__fish_print_hostnames)"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l port -d 'Its TCP port, if not 995 with implicit TLS, else 110' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l tls -d 'How the connection is protected: by TLS from the start, by STLS, or not at all [default: implicit]' -r -f -a "implicit\t''
starttls\t''
none\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l ca-file -d 'Trust these certificate authorities besides the system\'s' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l tls-fingerprint -d 'Trust the certificate with this SHA-256 fingerprint, and no other' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l tls-client-certificate -d 'Show this certificate chain to the server' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l tls-client-key -d 'The key that belongs to it' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l proxy -d 'Connect by this proxy: socks5://HOST:PORT, http://HOST:PORT' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l connect-command -d 'Connect by this command: its standard input and output are the connection' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l socket -d 'Connect to this Unix socket' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l connect-to -d 'Connect to this place instead of the server\'s name' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l source-address -d 'The address of this machine that connections come from' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l user -d 'The user\'s name at the server' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l auth -d 'How to log in: auto is the strongest way offered that keeps a password safe [default: auto]' -r -f -a "auto\t''
user-pass\t''
apop\t''
plain\t''
login\t''
cram-md5\t''
scram-sha-1\t''
scram-sha-256\t''
xoauth2\t''
oauthbearer\t''
external\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l password-command -d 'The first line that this command prints is the password' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l password-file -d 'The first line of this file is the password' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l netrc -d 'Look the password up in this file, or in ~/.netrc' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l credential -d 'The password is in this systemd credential' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l maildir -d 'Deliver to this Maildir' -r -f -a "(__fish_complete_directories)"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l mbox -d 'Deliver to this mbox file' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l pipe -d 'Hand each message to this command, which runs in a shell' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l time-limit -d 'Stop the command when it takes longer than this [default: 5m]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l parallel -d 'Run at most NUMBER of these commands at once [default: 1]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l owner -d 'Deliver as this user, when run as root' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l received-header -d 'Put a Received line on top of each message' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l leave-on-server -d 'What to leave on the server: true, false, or limits such as days=14,newest=100 [default: true]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l max-message-size -d 'Leave messages that are larger than this' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l first-run -d 'Retrieve the mail that is there at the first run, or only what comes later [default: all]' -r -f -a "all\t''
new-only\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l max-messages -d 'Retrieve at most NUMBER messages' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l max-bytes -d 'Retrieve at most SIZE' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l timeout -d 'Give up after this long without an answer [default: 60s]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l alert-after -d 'With --quiet, report a failure once it has lasted this long [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l remind-after -d 'With --quiet, report it again if it still lasts after this long [default: 7d]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l pipelining -d 'Send commands without waiting for the answers before [default: auto]' -r -f -a "auto\t''
on\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l utf8 -d 'Whether messages may come with UTF-8 in their headers [default: auto]' -r -f -a "auto\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l listing -d 'Whether every poll takes a full listing [default: auto]' -r -f -a "auto\t''
full\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l full-listing-every -d 'Take a full listing at least this often [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l sync -d 'How messages are brought to the disk [default: auto]' -r -f -a "auto\t''
each\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -s q -l quiet -d 'Print nothing unless something needs your attention'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -s v -l verbose -d 'Print what is done and why; twice, the dialogue with the server as well'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l keep -d 'Leave everything on the server in this run'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l delete -d 'Delete from the server in this run whatever is durably delivered'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l all -d 'Retrieve again what was retrieved before'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l dry-run -d 'Show what would be done with each message and why, and change nothing'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -l stdout -d 'Write messages to standard output, as an mbox stream'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l name -d 'Call the account NAME' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l server -d 'The server\'s name or address' -r -f -a "(__fish_print_hostnames)"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l port -d 'Its TCP port, if not 995 with implicit TLS, else 110' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l tls -d 'How the connection is protected: by TLS from the start, by STLS, or not at all [default: implicit]' -r -f -a "implicit\t''
starttls\t''
none\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l ca-file -d 'Trust these certificate authorities besides the system\'s' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l tls-fingerprint -d 'Trust the certificate with this SHA-256 fingerprint, and no other' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l tls-client-certificate -d 'Show this certificate chain to the server' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l tls-client-key -d 'The key that belongs to it' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l proxy -d 'Connect by this proxy: socks5://HOST:PORT, http://HOST:PORT' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l connect-command -d 'Connect by this command: its standard input and output are the connection' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l socket -d 'Connect to this Unix socket' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l connect-to -d 'Connect to this place instead of the server\'s name' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l source-address -d 'The address of this machine that connections come from' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l user -d 'The user\'s name at the server' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l auth -d 'How to log in: auto is the strongest way offered that keeps a password safe [default: auto]' -r -f -a "auto\t''
user-pass\t''
apop\t''
plain\t''
login\t''
cram-md5\t''
scram-sha-1\t''
scram-sha-256\t''
xoauth2\t''
oauthbearer\t''
external\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l password-command -d 'The first line that this command prints is the password' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l password-file -d 'The first line of this file is the password' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l netrc -d 'Look the password up in this file, or in ~/.netrc' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l credential -d 'The password is in this systemd credential' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l maildir -d 'Deliver to this Maildir' -r -f -a "(__fish_complete_directories)"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l mbox -d 'Deliver to this mbox file' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l pipe -d 'Hand each message to this command, which runs in a shell' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l time-limit -d 'Stop the command when it takes longer than this [default: 5m]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l parallel -d 'Run at most NUMBER of these commands at once [default: 1]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l owner -d 'Deliver as this user, when run as root' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l received-header -d 'Put a Received line on top of each message' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l leave-on-server -d 'What to leave on the server: true, false, or limits such as days=14,newest=100 [default: true]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l max-message-size -d 'Leave messages that are larger than this' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l first-run -d 'Retrieve the mail that is there at the first run, or only what comes later [default: all]' -r -f -a "all\t''
new-only\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l max-messages -d 'Retrieve at most NUMBER messages' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l max-bytes -d 'Retrieve at most SIZE' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l timeout -d 'Give up after this long without an answer [default: 60s]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l alert-after -d 'With --quiet, report a failure once it has lasted this long [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l remind-after -d 'With --quiet, report it again if it still lasts after this long [default: 7d]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l pipelining -d 'Send commands without waiting for the answers before [default: auto]' -r -f -a "auto\t''
on\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l utf8 -d 'Whether messages may come with UTF-8 in their headers [default: auto]' -r -f -a "auto\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l listing -d 'Whether every poll takes a full listing [default: auto]' -r -f -a "auto\t''
full\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l full-listing-every -d 'Take a full listing at least this often [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l sync -d 'How messages are brought to the disk [default: auto]' -r -f -a "auto\t''
each\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l print -d 'Print what would be added to the configuration, and write nothing'
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l no-login -d 'Do not log in: the server is looked for, and the password is not asked for'
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -l stdout -d 'Write messages to standard output, as an mbox stream'
complete -c popfetch -n "__fish_popfetch_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l name -d 'Call the account NAME' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l server -d 'The server\'s name or address' -r -f -a "(__fish_print_hostnames)"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l port -d 'Its TCP port, if not 995 with implicit TLS, else 110' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l tls -d 'How the connection is protected: by TLS from the start, by STLS, or not at all [default: implicit]' -r -f -a "implicit\t''
starttls\t''
none\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l ca-file -d 'Trust these certificate authorities besides the system\'s' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l tls-fingerprint -d 'Trust the certificate with this SHA-256 fingerprint, and no other' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l tls-client-certificate -d 'Show this certificate chain to the server' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l tls-client-key -d 'The key that belongs to it' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l proxy -d 'Connect by this proxy: socks5://HOST:PORT, http://HOST:PORT' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l connect-command -d 'Connect by this command: its standard input and output are the connection' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l socket -d 'Connect to this Unix socket' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l connect-to -d 'Connect to this place instead of the server\'s name' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l source-address -d 'The address of this machine that connections come from' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l user -d 'The user\'s name at the server' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l auth -d 'How to log in: auto is the strongest way offered that keeps a password safe [default: auto]' -r -f -a "auto\t''
user-pass\t''
apop\t''
plain\t''
login\t''
cram-md5\t''
scram-sha-1\t''
scram-sha-256\t''
xoauth2\t''
oauthbearer\t''
external\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l password-command -d 'The first line that this command prints is the password' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l password-file -d 'The first line of this file is the password' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l netrc -d 'Look the password up in this file, or in ~/.netrc' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l credential -d 'The password is in this systemd credential' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l maildir -d 'Deliver to this Maildir' -r -f -a "(__fish_complete_directories)"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l mbox -d 'Deliver to this mbox file' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l pipe -d 'Hand each message to this command, which runs in a shell' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l time-limit -d 'Stop the command when it takes longer than this [default: 5m]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l parallel -d 'Run at most NUMBER of these commands at once [default: 1]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l owner -d 'Deliver as this user, when run as root' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l received-header -d 'Put a Received line on top of each message' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l leave-on-server -d 'What to leave on the server: true, false, or limits such as days=14,newest=100 [default: true]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l max-message-size -d 'Leave messages that are larger than this' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l first-run -d 'Retrieve the mail that is there at the first run, or only what comes later [default: all]' -r -f -a "all\t''
new-only\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l max-messages -d 'Retrieve at most NUMBER messages' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l max-bytes -d 'Retrieve at most SIZE' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l timeout -d 'Give up after this long without an answer [default: 60s]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l alert-after -d 'With --quiet, report a failure once it has lasted this long [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l remind-after -d 'With --quiet, report it again if it still lasts after this long [default: 7d]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l pipelining -d 'Send commands without waiting for the answers before [default: auto]' -r -f -a "auto\t''
on\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l utf8 -d 'Whether messages may come with UTF-8 in their headers [default: auto]' -r -f -a "auto\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l listing -d 'Whether every poll takes a full listing [default: auto]' -r -f -a "auto\t''
full\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l full-listing-every -d 'Take a full listing at least this often [default: 1h]' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l sync -d 'How messages are brought to the disk [default: auto]' -r -f -a "auto\t''
each\t''
off\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l print -d 'Print what would be added to the configuration, and write nothing'
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l no-login -d 'Do not log in: the server is looked for, and the password is not asked for'
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -l stdout -d 'Write messages to standard output, as an mbox stream'
complete -c popfetch -n "__fish_popfetch_using_subcommand add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -l max-age -d 'Take the last run\'s word, without asking the server, if that run is no longer ago than DURATION' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -l count -d 'Print nothing but the number of new messages'
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -s n -d 'List the last NUMBER messages' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l new -d 'List only what was never delivered, and what no run has failed with'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l seen -d 'List only what was delivered before'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l failed -d 'List only what a run has failed with'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l all -d 'List all messages'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -l part -d 'Write the part of this number, decoded' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -l headers -d 'Show the whole header, and nothing else'
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -l raw -d 'Write the message as it is'
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand delete" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand delete" -l undelivered -d 'Delete what was never delivered as well'
complete -c popfetch -n "__fish_popfetch_using_subcommand delete" -s y -l yes -d 'Do not ask'
complete -c popfetch -n "__fish_popfetch_using_subcommand delete" -s n -l dry-run -d 'Show what would be deleted, and delete nothing'
complete -c popfetch -n "__fish_popfetch_using_subcommand delete" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand import" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand import" -l write -d 'Write the accounts into the configuration, and take over which messages were retrieved, and when'
complete -c popfetch -n "__fish_popfetch_using_subcommand import" -l no-login -d 'Do not ask the servers which of these messages they still have'
complete -c popfetch -n "__fish_popfetch_using_subcommand import" -l json -d 'Print one JSON object per account, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand import" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand accounts" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand accounts" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand accounts" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand accounts" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand accounts" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -s n -l number -d 'Show the last NUMBER deliveries' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -l failed -d 'Show the messages that have failed, and when each is tried again'
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -s v -l verbose -d 'Print more of each account: what to do, what is kept, where mail went'
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -l prometheus -d 'Print metrics for the textfile collector of Prometheus\'s node exporter'
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand mark-seen" -l before -d 'Only messages that were sent before this day' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand mark-seen" -l as-delivered -d 'They were delivered on this day, by another program: leave-on-server may delete them' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand mark-seen" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand mark-seen" -s n -l dry-run -d 'Show which they are, and change nothing'
complete -c popfetch -n "__fish_popfetch_using_subcommand mark-seen" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand retry" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand retry" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand retry" -s q -l quiet -d 'Print nothing unless something needs your attention'
complete -c popfetch -n "__fish_popfetch_using_subcommand retry" -s v -l verbose -d 'Print what is done and why; twice, the dialogue with the server as well'
complete -c popfetch -n "__fish_popfetch_using_subcommand retry" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand shell" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand shell" -l strict -d 'Stop at the first -ERR, without quit: nothing is deleted'
complete -c popfetch -n "__fish_popfetch_using_subcommand shell" -s y -l yes -d 'Do not ask before messages are deleted that were never delivered'
complete -c popfetch -n "__fish_popfetch_using_subcommand shell" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and not __fish_seen_subcommand_from login logout status token" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and not __fish_seen_subcommand_from login logout status token" -f -a "login" -d 'Log in at the provider of an account, in a browser or by a code'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and not __fish_seen_subcommand_from login logout status token" -f -a "logout" -d 'Give the tokens of an account back, and forget them'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and not __fish_seen_subcommand_from login logout status token" -f -a "status" -d 'Show which logins there are, and when they end'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and not __fish_seen_subcommand_from login logout status token" -f -a "token" -d 'Print a valid access token of an account, for another program'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from login" -l flow -d 'Log in in a browser, or by a code that is typed on another device; without it, as fits where you sit' -r -f -a "browser\t''
device\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from login" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from login" -l no-browser -d 'Start no browser: print the address'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from login" -s v -l verbose -d 'Print what is done and why; twice, the dialogue with the servers as well'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from logout" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from logout" -s v -l verbose -d 'Print what is done and why; twice, the dialogue with the server as well'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from logout" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from status" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from status" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from status" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from token" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from token" -l show -d 'Print it on a terminal, too'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -l flow -d 'Log in in a browser, or by a code that is typed on another device; without it, as fits where you sit' -r -f -a "browser\t''
device\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -l no-browser -d 'Start no browser: print the address'
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -s v -l verbose -d 'Print what is done and why; twice, the dialogue with the servers as well'
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -s v -l verbose -d 'Print what is done and why; twice, the dialogue with the server as well'
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand server-info" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand server-info" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand server-info" -l no-login -d 'Do not log in: what is offered before the login is all that is shown'
complete -c popfetch -n "__fish_popfetch_using_subcommand server-info" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand server-info" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand server-info" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and not __fish_seen_subcommand_from path show check edit" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and not __fish_seen_subcommand_from path show check edit" -f -a "path" -d 'Print where the configuration is'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and not __fish_seen_subcommand_from path show check edit" -f -a "show" -d 'Show the settings of each account as they count, and where each comes from'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and not __fish_seen_subcommand_from path show check edit" -f -a "check" -d 'Read the configuration, and try the destinations and passwords that it names'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and not __fish_seen_subcommand_from path show check edit" -f -a "edit" -d 'Change the configuration in an editor; it is checked before it counts'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from path" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from show" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from check" -l login -d 'Log in at each server as well; nothing is retrieved or deleted'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from check" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from edit" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -f -a "list" -d 'Show what is kept of each mailbox, and where'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -f -a "verify" -d 'Check all that is kept, from beginning to end'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -f -a "forget" -d 'Forget messages, so that those which are still on the server are retrieved again'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -f -a "move" -d 'Go on with what is kept, after a server, a user or a port has got another name'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -f -a "export" -d 'Write what is kept to standard output, for another machine'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -f -a "restore" -d 'Read in what popfetch state export has written'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from list verify forget move export restore release" -f -a "release" -d 'Give up unfinished deliveries to destinations that are no longer configured, or are gone'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from list" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from list" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from list" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from verify" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from verify" -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from verify" -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from verify" -l no-pager -d 'Print long output without $PAGER'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from forget" -l before -d 'Those that were delivered, or marked as seen, before this day' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from forget" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from forget" -l seen -d 'Those that were only marked as seen, and never delivered'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from forget" -l all -d 'All of them'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from forget" -s y -l yes -d 'Do not ask'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from move" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from move" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from export" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from release" -l destination -d 'Give up a configured destination too, of this name or a part of it, whose folder is gone' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from release" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from release" -s y -l yes -d 'Do not ask'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand cron" -l every -d 'Fetch this often' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand cron" -l only -d 'Print this part alone, for a file' -r -f -a "crontab\t''
service\t''
timer\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand cron" -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand cron" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand completions" -l install -d 'Put it where the shell looks for it; without SHELL, for each of the three that is on this machine'
complete -c popfetch -n "__fish_popfetch_using_subcommand completions" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand man" -l install -d 'Put all pages where man(1) finds them: ~/.local/share/man, or as root /usr/local/share/man'
complete -c popfetch -n "__fish_popfetch_using_subcommand man" -s h -l help -d 'Print help'
complete -c popfetch -n "__fish_popfetch_using_subcommand help" -s h -l help -d 'Print help'

# The names of the accounts of the configuration that the command line names.
function __fish_popfetch_accounts
    set -l words (commandline -opc)
    set -l at (contains -i -- --config $words)
    and set -l config --config $words[(math $at + 1)]
    popfetch accounts $config 2>/dev/null
end

# Whether no word before is a command: what comes is an account then.
function __fish_popfetch_no_command
    not __fish_seen_subcommand_from fetch init check list show delete import accounts history status mark-seen retry shell auth login logout server-info config state cron completions man help
end

complete -c popfetch -n "__fish_popfetch_using_subcommand completions" -a "bash zsh fish"
complete -c popfetch -n "__fish_popfetch_using_subcommand man" -a "popfetch popfetch.toml popfetch-json"
complete -c popfetch -n "__fish_popfetch_no_command" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand fetch" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand check" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand list" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand show" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand delete" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand history" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand status" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand mark-seen" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand retry" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand shell" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from login" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from logout" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from status" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand auth; and __fish_seen_subcommand_from token" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand server-info" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from show" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand config; and __fish_seen_subcommand_from check" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from verify" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from forget" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from move" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from export" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from release" -a "(__fish_popfetch_accounts)" -d 'Account'
complete -c popfetch -n "__fish_popfetch_using_subcommand cron" -a "(__fish_popfetch_accounts)" -d 'Account'
