//! The trait of all errors that reach the user: what happened, what to do next, and the exit code.

use std::borrow::Cow;

use crate::exit::ExitCode;

#[cfg(test)]
mod tests;

/// An error that the user sees.  What happened is its `Display`: one sentence, safe to print, with nothing in it of what
/// to do next.
pub trait Problem: std::error::Error + Send + Sync {
    /// What to do next, where there is something: one sentence, safe to print.
    fn hint(&self) -> Option<Cow<'_, str>>;

    /// The exit code of a run that ends with it.
    fn exit_code(&self) -> ExitCode;

    /// Whether it may pass on its own: then the next run tries again.
    fn is_transient(&self) -> bool {
        self.exit_code() == ExitCode::Later
    }

    /// The whole of it: what happened, and the hint.
    #[cfg(test)]
    fn shown(&self) -> String {
        self.hint().map_or_else(|| self.to_string(), |hint| format!("{self}\n\nhint: {hint}"))
    }
}

/// The hint of a failure that passes on its own.
pub(crate) const TRY_AGAIN: &str = "nothing is lost: the next run tries again";

/// The hint of a failure that only a mistake in popfetch explains.
pub(crate) const REPORT_BUG: &str = "please report it; nothing is lost, the next run recovers";
