//! A real terminal, made by tmux: popfetch runs in it, is typed to, and what it shows is looked at.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::installed;
use super::sandbox::Sandbox;

/// What is waited for comes within this time.
const PATIENCE: Duration = Duration::from_secs(40);

/// A terminal in which a shell runs one command; then it prints `ended CODE` and waits to be looked at.
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// A terminal of this many columns and lines.  In the command `popfetch` is the program, and `$POPFETCH` its path.
    /// `None`, with a message, where there is no tmux.
    pub fn start(sandbox: &Sandbox, (columns, rows): (u16, u16), command: &str) -> Option<Self> {
        installed("tmux")?;
        // One that is being ended keeps its socket for a moment.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("tmux-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { socket: sandbox.home().parent().unwrap().join(socket) };
        let program = sandbox.program();
        let home = sandbox.home();
        let script =
            sandbox.script("in-terminal", &format!("trap : INT\n{command}\necho \"ended $?\"\nsleep 100\n"));
        let path = std::env::var("PATH").unwrap_or_default();
        let home = home.display();
        let inside = format!(
            "exec env -i TERM=\"$TERM\" LC_ALL=C.UTF-8 TZ=UTC PATH='{}:{path}' HOME='{home}' XDG_CONFIG_HOME='{home}/.config' \
             XDG_STATE_HOME='{home}/.local/state' POPFETCH='{}' sh '{}'",
            program.parent().unwrap().display(),
            program.display(),
            script.display(),
        );
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &inside]);
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        // Its server keeps what it is given.
        command.arg("-u").arg("-S").arg(&self.socket).args(arguments).stdin(Stdio::null()).env_remove("TMUX");
        let run = command.output().unwrap();
        assert!(run.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// What is on the screen, without blanks at the ends of lines.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The screen as soon as it is as it should be.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "never came: {what}\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The screen as soon as this text is on it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Types keys, by tmux's names for them or as they are.
    pub fn types(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    pub fn resize(&self, columns: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string()]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}
