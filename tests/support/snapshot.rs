//! What popfetch printed, compared with a file in tests/snapshots.  `INSTA_UPDATE=always` writes the files; look at the
//! difference before you commit it.

use std::path::Path;

use insta::Settings;

use super::sandbox::Run;

/// What differs from run to run, and what stands for it.  Applied in this order.
const MASKS: &[(&str, &str)] = &[
    // Ports that the system chose; those that mean something are below 1024.
    (r"(127\.0\.0\.1|\[::1\]|localhost):\d{4,5}\b", "$1:PORT"),
    (r#"\b(port"?(?: =|:)) ?\d{4,5}\b"#, "$1 PORT"),
    // Durations: in the summary, in JSON, in sentences.
    (r#""elapsed":[0-9.e-]+"#, r#""elapsed":0.0"#),
    (r"\((?:\d+ min )?[0-9.]+ m?s\)", "(TIME)"),
    // Files of a Maildir.
    (r"\b1\d{9}\.[A-Za-z0-9_.]+(?:,[A-Za-z]=\d+)*", "UNIQUE"),
    // RFC 3339, and clocks.
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?", "DATE-TIME"),
    (r"\b[0-2]\d:[0-5]\d(?::[0-5]\d(?:\.\d+)?)?\b", "CLOCK"),
    // A little before midnight what is due is due on another day.
    (r"CLOCK on \d{1,2} [A-Z][a-z]{2}\b", "CLOCK"),
    // A little after midnight what lasts has lasted since another day.
    (r"since \d{1,2} [A-Z][a-z]{2}\b", "since CLOCK"),
    // Processes, and ports on loopback that a sentence names.
    (r"\bprocess \d+", "process PID"),
    // What is kept of a mailbox, whose port is part of its name.
    (r"state/popfetch/[0-9a-f]{16,}", "state/popfetch/MAILBOX"),
    // Digests of certificates.
    (r"\bsha256:[0-9a-f]{64}\b", "sha256:DIGEST"),
];

/// Asserts that `text` is what tests/snapshots/NAME.snap has, after [`MASKS`].
#[track_caller]
pub fn assert(name: &str, text: &str) {
    let mut settings = Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, mask) in MASKS {
        settings.add_filter(pattern, *mask);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

impl Run {
    /// Asserts that the command, its exit code and all that it printed are what tests/snapshots/NAME.snap has, after
    /// [`MASKS`].  The home folder is `~`.
    #[track_caller]
    pub fn looks_like(&self, name: &str) -> &Self {
        self.looks_like_masked(name, &[])
    }

    /// [`Run::looks_like`], with more that differs from run to run, each with what stands for it.
    #[track_caller]
    pub fn looks_like_masked(&self, name: &str, masks: &[(&str, &str)]) -> &Self {
        let program = self.command.split(' ').next().unwrap_or_default();
        let mut text = format!("$ {}\n", self.command.replacen(program, "popfetch", 1));
        match self.code() {
            Some(code) => text.push_str(&format!("exit code {code}\n")),
            None => text.push_str(&format!("{}\n", self.status)),
        }
        for (stream, output) in [("standard output", self.out()), ("standard error", self.err())] {
            if !output.is_empty() {
                text.push_str(&format!("---- {stream}\n{output}"));
            }
        }
        text = text.replace(self.home.to_str().unwrap(), "~");
        for (from, to) in masks {
            text = text.replace(from, to);
        }
        assert(name, &text);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::assert;

    #[test]
    fn what_differs_from_run_to_run_is_masked() {
        assert(
            "masks",
            "127.0.0.1:43211 localhost:4321 pop.example.com:995 port = 43211 \"port\":43211 \"port\":995\n\
             \"elapsed\":0.0123, 3 accounts (4.1 s) (12 ms) 1 min\n\
             ~/Mail/new/1795760000.M1P2Q3.host,S=296 :2,S\n\
             2026-11-27T06:12:01Z 2026-11-27 06:12 today 09:12 \
             sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        );
    }
}
