//! The form in which a memory was written until it became JSON: a line is a word and its fields.  It is only read,
//! and only for what guards something.  A ledger that has lost its end is found out, no weaker mechanism is used than
//! before, a refused login isn't tried again at once, and no failure is reported twice.  Which unique-ids prove
//! something is read too.  All else is learnt again in the next session.

use super::{Adds, Alert, Habits, Lasting, LedgerExtent, Memory, Pause, UniqueIds};
use crate::exit::ExitCode;
use crate::text;
use crate::types::{Time, parse_decimal};

pub(super) const HEADING: &[u8] = b"popfetch-memory 1\n";

/// Reads one; `None` when its end is missing.  A line that makes no sense is passed over.
pub(super) fn read(text: &[u8]) -> Option<Memory> {
    let lines = text.strip_prefix(HEADING)?;
    let mut memory = Memory::default();
    for line in
        lines.strip_suffix(b"\n").or(lines.is_empty().then_some(lines))?.split(|octet| *octet == b'\n')
    {
        let fields: Vec<&[u8]> = line.split(|octet| *octet == b' ').collect();
        // A line that isn't understood leaves everything as it was.
        let _ = add(&mut memory, &fields);
    }
    Some(memory)
}

fn add(memory: &mut Memory, fields: &[&[u8]]) -> Option<()> {
    match fields {
        [b"extent", generation, octets] => {
            let (generation, octets) = (parse_decimal(generation)?, parse_decimal(octets)?);
            memory.extent = Some(LedgerExtent { generation, octets });
        }
        [b"strongest", mechanism] => memory.strongest = Some(string(mechanism)?),
        [b"pause", refusals, refused, until, configuration] => {
            memory.pause = Some(Pause {
                refusals: number(refusals)?,
                refused: time(refused)?,
                until: time(until)?,
                configuration: string(configuration)?,
            });
        }
        [b"alert", kind, since, reported, rest @ ..] => {
            let lasting = match rest {
                [exit, messages, message, hint] => Some(Lasting {
                    exit: ExitCode::from_number(number(exit)?.try_into().ok()?)?,
                    messages: parse_decimal(messages)?,
                    message: string(message)?,
                    hint: hint.strip_prefix(b"=").and_then(string),
                    reason: None,
                    next: None,
                }),
                _ => None,
            };
            let alert = Alert { since: time(since)?, reported: time(reported), lasting };
            memory.alerts.insert(string(kind)?, alert);
        }
        [b"habits", adds, unique_ids, listed, complete, matched_gaps, folder_data, top] => {
            memory.habits = Habits {
                adds: match *adds {
                    b"front" => Adds::AtFront,
                    b"anywhere" => Adds::Anywhere,
                    _ => Adds::AtEnd,
                },
                unique_ids: match *unique_ids {
                    b"numbers" => UniqueIds::Numbers,
                    b"names" => UniqueIds::Names,
                    _ => UniqueIds::Unknown,
                },
                listed: number(listed)?,
                complete: *complete == b"complete",
                matched_gaps: number(matched_gaps)?,
                folder_data: *folder_data == b"folder-data",
                top: *top == b"top",
            };
        }
        _ => {}
    }
    Some(())
}

fn string(field: &[u8]) -> Option<String> {
    String::from_utf8(text::from_field(field)?).ok()
}

fn number(field: &[u8]) -> Option<u32> {
    parse_decimal(field)?.try_into().ok()
}

fn time(field: &[u8]) -> Option<Time> {
    std::str::from_utf8(field).ok()?.parse().ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::{Adds, Alert, HEADING, Habits, Lasting, LedgerExtent, Memory, Pause, UniqueIds, read};
    use crate::exit::ExitCode;
    use crate::types::Time;

    /// As version 1 wrote it.
    const TEXT: &[u8] = b"popfetch-memory 1\n\
        offer 995%20implicit before-login 5 TOP SASL%20PLAIN\n\
        pipelining in-step\n\
        names drop-listing 11\n\
        limit 40 -3\n\
        died a%20b\n\
        sizes 4\n\
        habits anywhere names 7 complete 2 folder-data top\n\
        extent 3 4096\n\
        behind 5\n\
        flight two 2\n\
        utf8 dropped 3\n\
        strongest SCRAM-SHA-256-PLUS\n\
        pause 3 7 8 a%20b\n\
        alert - 1 2 75 18446744073709551615 it%20=%20%22%C3%BCbel%22 =%\n\
        alert network 1 -\n\
        left 2 18446744073709551615 =- =a%20%FF= 9 grows =- -\n";

    #[test]
    fn what_guards_something_is_read() {
        let memory = read(TEXT).unwrap();
        assert_eq!(memory.extent, Some(LedgerExtent { generation: 3, octets: 4096 }));
        assert_eq!(memory.strongest.as_deref(), Some("SCRAM-SHA-256-PLUS"));
        let pause = Pause { refusals: 3, refused: Time(7), until: Time(8), configuration: "a b".into() };
        assert_eq!(memory.pause, Some(pause));
        let habits = Habits {
            adds: Adds::Anywhere,
            unique_ids: UniqueIds::Names,
            listed: 7,
            complete: true,
            matched_gaps: 2,
            folder_data: true,
            top: true,
        };
        assert_eq!(memory.habits, habits);
        let other = read(b"popfetch-memory 1\nhabits end names 7 part 2 - -\n").unwrap().habits;
        assert_eq!((other.complete, other.folder_data, other.top), (false, false, false));
        assert_eq!(memory.alerts["network"], Alert::since(Time(1)));
        let lasting = Lasting {
            exit: ExitCode::Later,
            messages: u64::MAX,
            message: "it = \"übel\"".into(),
            hint: Some(String::new()),
            reason: None,
            next: None,
        };
        assert_eq!(
            memory.alerts["-"],
            Alert { since: Time(1), reported: Some(Time(2)), lasting: Some(lasting) }
        );
        assert_eq!((memory.offers.len(), memory.quick), (0, None), "the server is asked again");
    }

    #[test]
    fn a_torn_one_holds_nothing_that_was_not_written() {
        let whole = read(TEXT).unwrap();
        assert_eq!(Memory::parse(TEXT).as_ref(), Some(&whole), "it is what a memory of that time is read by");
        for cut in HEADING.len()..TEXT.len() {
            if let Some(torn) = read(&TEXT[..cut]) {
                assert!(torn.extent.is_none_or(|extent| Some(extent) == whole.extent), "{cut}");
                assert!(torn.alerts.iter().all(|(kind, alert)| whole.alerts[kind] == *alert), "{cut}");
            }
        }
        assert_eq!(read(b"popfetch-memory 1\nextent x 1\nstrongest X\n").unwrap().strongest.unwrap(), "X");
    }
}
