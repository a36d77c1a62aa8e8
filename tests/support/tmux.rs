//! A terminal of a chosen size, by tmux: what a user sees of a command, and what is typed into it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::installed;
use super::sandbox::Sandbox;

/// A tmux of its own with one window, gone when this is dropped.
pub struct Tmux {
    program: PathBuf,
    socket: PathBuf,
}

impl Tmux {
    /// Starts `command`, a line for the shell in which `popfetch` is the program, in the sandbox's home.  `None` where there
    /// is no tmux.
    pub fn start(sandbox: &Sandbox, (columns, rows): (u16, u16), command: &str) -> Option<Self> {
        let program = installed("tmux")?;
        let home = sandbox.home();
        let program_path = sandbox.program();
        let bin = program_path.parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let line = format!(
            "trap : INT; cd '{0}'; export HOME='{0}' XDG_CONFIG_HOME='{0}/.config' XDG_STATE_HOME='{0}/.local/state' \
             PATH='{1}:{path}' TZ=UTC LANG=C.UTF-8 LC_ALL=C.UTF-8; {command}; echo \"[$?]\"; exec sleep 300",
            home.display(),
            bin.display()
        );
        // One that is being ended keeps its socket for a moment.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let socket = home.join(format!("tmux-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let tmux = Self { program, socket };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let begun = tmux.ask(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &rows,
            "sh",
            "-c",
            &line,
        ]);
        assert!(begun.status.success(), "tmux: {}", String::from_utf8_lossy(&begun.stderr));
        Some(tmux)
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.arg("-u").arg("-S").arg(&self.socket).args(arguments).env_remove("TMUX");
        command.env("LC_ALL", "C.UTF-8").output().unwrap()
    }

    /// What stands in the window now.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.ask(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// What stands in the window now, with the sequences that set its colours.
    pub fn screen_in_colour(&self) -> String {
        String::from_utf8_lossy(&self.ask(&["capture-pane", "-p", "-e"]).stdout).into_owned()
    }

    /// What stands in the window once it holds `text`.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// What stands in the window once it is as it should be.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no {what:?} in:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes the window so wide.
    pub fn resize(&self, columns: u16) {
        self.ask(&["resize-window", "-x", &columns.to_string()]);
    }

    /// Types these keys, by tmux's names.
    pub fn keys(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.ask(&["kill-server"]);
    }
}
