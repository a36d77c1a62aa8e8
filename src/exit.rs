//! Exit codes (sysexits.h) and how those of several accounts become one.

/// What the process ends with.  The man page's table is generated from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done, also when nothing was new.
    Done,
    /// 1: the answer to the question is no (`check`: nothing is new; `status`: something needs you).
    No,
    /// 64: bad arguments, or an account that is not in the configuration.
    Usage,
    /// 65: a file that cannot be understood.
    Data,
    /// 66: no such message.
    NoInput,
    /// 69: the server reports a permanent error (`[SYS/PERM]`, RFC 3206 §4): its administrator must act.
    Unavailable,
    /// 70: a bug in popfetch.
    Bug,
    /// 73: a file, directory or name cannot be created (open, mkdir, rename), whatever the errno.
    CannotCreate,
    /// 74: reading, writing or syncing locally failed.
    LocalIo,
    /// 75: temporary; a later run may succeed.
    Later,
    /// 76: not POP3, over a limit, an injection, STLS refused or missing, a failed handshake.
    Protocol,
    /// 77: credentials or certificate refused, no acceptable mechanism, no password available.
    Refused,
    /// 78: the configuration, a file of secrets, or a missing MDA.
    Configuration,
}

impl ExitCode {
    /// The number the process exits with.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Bug => 70,
            Self::CannotCreate => 73,
            Self::LocalIo => 74,
            Self::Later => 75,
            Self::Protocol => 76,
            Self::Refused => 77,
            Self::Configuration => 78,
        }
    }

    /// Its name in sysexits.h, if it is from there.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Done => "EX_OK",
            Self::No => return None,
            Self::Usage => "EX_USAGE",
            Self::Data => "EX_DATAERR",
            Self::NoInput => "EX_NOINPUT",
            Self::Unavailable => "EX_UNAVAILABLE",
            Self::Bug => "EX_SOFTWARE",
            Self::CannotCreate => "EX_CANTCREAT",
            Self::LocalIo => "EX_IOERR",
            Self::Later => "EX_TEMPFAIL",
            Self::Protocol => "EX_PROTOCOL",
            Self::Refused => "EX_NOPERM",
            Self::Configuration => "EX_CONFIG",
        })
    }

    /// The code with that number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// What the code means, for the man page.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Done, also when nothing was new.",
            Self::No => "popfetch check: nothing is new.  popfetch status: something needs you.",
            Self::Usage => "Bad arguments, or an account that is not in the configuration.",
            Self::Data => "A file that was to be read in cannot be understood, or is damaged.",
            Self::NoInput => "There is no such message.",
            Self::Unavailable => {
                "The server reports a permanent error ([SYS/PERM]): its administrator must act.  popfetch init: no server was \
                 found."
            }
            Self::Bug => "A bug in popfetch.",
            Self::CannotCreate => "Something could not be created: a file, a directory, a name.",
            Self::LocalIo => "Reading, writing or syncing locally failed.",
            Self::Later => {
                "Temporary: the network, time-outs, locks, a busy maildrop, sessions that end too early, or a message \
                 that failed and is tried again."
            }
            Self::Protocol => {
                "The server does not speak POP3, broke a limit, refused STLS, or the TLS handshake failed."
            }
            Self::Refused => {
                "Credentials or certificate refused, no acceptable mechanism, or no password available."
            }
            Self::Configuration => {
                "The configuration, a file of secrets that is missing or open to others, or a missing MDA."
            }
        }
    }

    /// Every code, in the order of the man page.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::No,
        Self::Usage,
        Self::Data,
        Self::NoInput,
        Self::Unavailable,
        Self::Bug,
        Self::CannotCreate,
        Self::LocalIo,
        Self::Later,
        Self::Protocol,
        Self::Refused,
        Self::Configuration,
    ];

    /// The code of a run over several accounts: what needs the user outranks what is temporary.
    /// 64, then 70, 78, 65, 66, 77, 74, 73, 76, 69, 75, 1, 0.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if self.rank() >= other.rank() { self } else { other }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Later => 2,
            Self::Unavailable => 3,
            Self::Protocol => 4,
            Self::CannotCreate => 5,
            Self::LocalIo => 6,
            Self::Refused => 7,
            Self::NoInput => 8,
            Self::Data => 9,
            Self::Configuration => 10,
            Self::Bug => 11,
            Self::Usage => 12,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ExitCode;

    /// What outranks what, by the manual.
    const ORDER: [u8; 13] = [64, 70, 78, 65, 66, 77, 74, 73, 76, 69, 75, 1, 0];

    #[test]
    fn every_code_has_its_place_in_the_order() {
        assert_eq!(ExitCode::ALL.len(), ORDER.len());
        for code in ExitCode::ALL {
            assert!(ORDER.contains(&code.number()), "{code:?}");
            assert_eq!(ExitCode::from_number(code.number()), Some(code));
        }
        assert_eq!(ExitCode::from_number(2), None);
    }

    proptest! {
        /// The run's code is the accounts' code that comes first in the order, however they are grouped; without accounts
        /// it is 0.
        #[test]
        fn what_needs_a_human_outranks_what_passes(
            codes in prop::collection::vec(prop::sample::select(ExitCode::ALL.to_vec()), 0..8),
            cut in 0_usize..8,
        ) {
            let merge = |codes: &[ExitCode]| codes.iter().copied().fold(ExitCode::Done, ExitCode::merge);
            let place = |code: &ExitCode| ORDER.iter().position(|number| *number == code.number());
            let expected = codes.iter().copied().min_by_key(place).unwrap_or(ExitCode::Done);
            prop_assert_eq!(merge(&codes), expected);
            let reversed: Vec<ExitCode> = codes.iter().rev().copied().collect();
            prop_assert_eq!(merge(&reversed), expected);
            let (some, others) = codes.split_at(cut.min(codes.len()));
            prop_assert_eq!(merge(some).merge(merge(others)), expected);
        }
    }
}
