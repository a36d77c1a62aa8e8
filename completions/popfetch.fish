complete -c popfetch -f
complete -c popfetch -l config -d 'Read this configuration instead of ~/.config/popfetch/config.toml' -r -F
complete -c popfetch -l jobs -d 'Serve so many accounts at once' -r -f
complete -c popfetch -l wait -d 'Wait for another popfetch to leave the mailbox, at most for the duration if one is given' -r -f
complete -c popfetch -l color -d 'Use colours: auto does on a terminal unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -l server -d 'The server\'s name or address' -r -f -a "(__fish_print_hostnames)"
complete -c popfetch -l port -d 'Its TCP port, if not 995 with implicit TLS, else 110' -r -f
complete -c popfetch -l tls -d 'How the line is protected: by TLS from the start, by STLS, or not at all' -r -f -a "implicit\t''
starttls\t''
none\t''"
complete -c popfetch -l ca-file -d 'Trust these certificate authorities besides the system\'s' -r -F
complete -c popfetch -l tls-fingerprint -d 'Trust the certificate with this SHA-256 fingerprint, and no other' -r -f
complete -c popfetch -l tls-client-certificate -d 'Show this certificate chain to the server' -r -F
complete -c popfetch -l tls-client-key -d 'The key that belongs to it' -r -F
complete -c popfetch -l user -d 'The user\'s name at the server' -r -f
complete -c popfetch -l auth -d 'How to log in: auto is the strongest way offered that keeps a password safe' -r -f -a "auto\t''
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
complete -c popfetch -l password-command -d 'The first line that this command prints is the password' -r -f -a "(__fish_complete_command)"
complete -c popfetch -l password-file -d 'The first line of this file is the password' -r -F
complete -c popfetch -l netrc -d 'Look the password up in this file, or in ~/.netrc' -r -F
complete -c popfetch -l credential -d 'The password is in this systemd credential' -r -f
complete -c popfetch -l maildir -d 'Deliver to this Maildir' -r -f -a "(__fish_complete_directories)"
complete -c popfetch -l mbox -d 'Deliver to this mbox file' -r -F
complete -c popfetch -l pipe -d 'Hand each message to this command, which runs in a shell' -r -f -a "(__fish_complete_command)"
complete -c popfetch -l time-limit -d 'Stop the command when it takes longer than this' -r -f
complete -c popfetch -l parallel -d 'Run so many of these commands at once' -r -f
complete -c popfetch -l owner -d 'Deliver as this user, when run as root' -r -f
complete -c popfetch -l received-header -d 'Put a Received line on top of each message' -r -f
complete -c popfetch -l leave-on-server -d 'Leave everything, or nothing, or what limits such as days=14,newest=100 don\'t name' -r -f
complete -c popfetch -l max-message-size -d 'Leave messages that are larger than this' -r -f
complete -c popfetch -l max-messages -d 'Retrieve so many messages at most' -r -f
complete -c popfetch -l max-bytes -d 'Retrieve so much at most' -r -f
complete -c popfetch -l timeout -d 'Give up when the server is silent for so long' -r -f
complete -c popfetch -l alert-after -d 'Let --quiet tell of failures that have lasted so long' -r -f
complete -c popfetch -l pipelining -d 'Send commands without waiting for the answers before' -r -f -a "auto\t''
on\t''
off\t''"
complete -c popfetch -l listing -d 'Whether every poll takes a full listing' -r -f -a "auto\t''
full\t''"
complete -c popfetch -l full-listing-every -d 'Take a full listing at least so often' -r -f
complete -c popfetch -l sync -d 'How messages are brought to the disk' -r -f -a "auto\t''
each\t''
off\t''"
complete -c popfetch -s q -l quiet -d 'Say nothing unless something needs a person'
complete -c popfetch -s v -l verbose -d 'Say what is done and why; twice, show the dialogue with the server as well'
complete -c popfetch -l json -d 'Print one JSON object per line, for programs'
complete -c popfetch -l keep -d 'Leave everything on the server in this run'
complete -c popfetch -l delete -d 'Delete from the server in this run whatever is durably delivered'
complete -c popfetch -l all -d 'Retrieve again what was retrieved before'
complete -c popfetch -l dry-run -d 'Show what would be done with each message and why, and change nothing'
complete -c popfetch -l stdout -d 'Write messages to standard output, as an mbox stream'
complete -c popfetch -s h -l help -d 'Print help'
complete -c popfetch -s V -l version -d 'Print version'
