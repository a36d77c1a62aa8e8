//! `popfetch show`: one message, decoded, for people; or as it is, for a pipe.
//!
//! With `--json` there is one object:
//!
//! `message`: the message.
//!
//! - `number`, `unique_id`: as of `listed`.
//! - `fields`: what people look at of its header, in order: objects of `name` and `value`, decoded.
//! - `text`: its text, decoded, an array of lines; made of HTML where there is no other.
//! - `parts`: what it consists of: `part`, its number for `--part`; `media_type`; `name`, or null; `octets`, decoded.
//! - `truncated`: whether it was too long to be read whole.

use std::io::{self, IsTerminal as _};

use clap::Args;
use serde::Serialize;

use crate::account::Account;
use crate::cli::setup::{Cli, ReadArgs};
use crate::exit::ExitCode;
use crate::message::reading::{self, DecodedMessage, DecodedPart};
use crate::report::plain::Level;
use crate::report::prose::wrapped;
use crate::report::{json, terminal};
use crate::retrieval::{Context, Options, ShownMessage, ShownPart, Taker, show};
use crate::text::{printable, readable, size};
use crate::types::{Selection, wide};

/// What is read into memory to be decoded.
const MOST: usize = 64 << 20;

/// Show one message.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The account, by name or as a POP URL.
    #[arg(value_name = "ACCOUNT|URL", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: String,

    /// The message: its number, its unique-id, last, or -3 for the third from the end.
    #[arg(value_name = "MESSAGE", allow_negative_numbers = true, value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) message: String,

    /// Show the whole header, and nothing else.
    #[arg(long, group = "what")]
    pub(in crate::cli) headers: bool,

    /// Write the message as it is.
    #[arg(long, group = "what", conflicts_with = "json")]
    pub(in crate::cli) raw: bool,

    /// Write the part of this number, decoded.
    #[arg(long, value_name = "NUMBER", group = "what", conflicts_with = "json", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) part: Option<u32>,

    #[command(flatten)]
    pub(in crate::cli) output: ReadArgs,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "message")]
struct ShowObject {
    number: u32,
    unique_id: Option<String>,
    fields: Vec<ShownField>,
    text: Vec<String>,
    parts: Vec<PartObject>,
    truncated: bool,
}

#[derive(Serialize)]
struct ShownField {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct PartObject {
    part: u32,
    media_type: String,
    name: Option<String>,
    octets: u64,
}

/// Shows the message, and gives the exit code: 66 when there is none.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &ShowArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let Some(selection) = Selection::of(std::slice::from_ref(&args.message)) else {
        cli.printer.complain("no message is named", None);
        return Ok(ExitCode::Usage);
    };
    let account = cli.account(&args.output.config, Some(&args.account))?;
    cli.run(cli.lines(Level::Normal, std::slice::from_ref(&account)), |context| {
        Showing { args, cli, account: &account, selection, context }.run()
    })
}

struct Showing<'a> {
    args: &'a ShowArgs,
    cli: &'a Cli,
    account: &'a Account,
    selection: Selection,
    context: &'a Context<'a>,
}

impl Showing<'_> {
    fn run(&self) -> ExitCode {
        if self.args.raw {
            return self.raw();
        }
        let (mut message, mut truncated) = (Vec::new(), false);
        let extent = if self.args.headers { ShownPart::Header } else { ShownPart::Whole };
        let chosen = self.take(extent, &mut |text| {
            let room = MOST.saturating_sub(message.len());
            truncated |= room < text.len();
            message.extend_from_slice(text.get(..room.min(text.len())).unwrap_or_default());
            !truncated
        });
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(code) => return code,
        };
        match (self.args.part, self.args.headers) {
            (Some(number), _) => return self.part(&message, number, truncated),
            (None, true) => {
                let fields = reading::header(&message);
                let reading = DecodedMessage::default();
                self.print(&chosen, fields, &reading, truncated);
            }
            (None, false) => {
                let reading = reading::read(&message);
                let fields = reading.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
                self.print(&chosen, fields.collect(), &reading, truncated);
            }
        }
        ExitCode::Done
    }

    /// Has the message brought; reports what went wrong, and what the user should know.
    fn take(&self, extent: ShownPart, taker: Taker<'_>) -> Result<ShownMessage, ExitCode> {
        // The account was named.
        let options = Options { insist: true, ..Options::default() };
        let found = show(self.account, &options, self.context, &self.selection, extent, taker);
        let chosen = found.map_err(|failure| self.cli.failed(self.account, &failure))?;
        if let Some(was) = &chosen.was {
            let now = chosen.unique_id.as_deref().unwrap_or("none");
            self.cli.printer.warn(&format!(
                "message {} isn't the one that \"list\" showed: its unique-id was {was}, and is {now}",
                chosen.number
            ));
        }
        Ok(chosen)
    }

    /// The octets as they come; on a terminal nothing that steers it.
    fn raw(&self) -> ExitCode {
        let is_terminal = io::stdout().is_terminal();
        let mut line = Vec::new();
        let printer = &self.cli.printer;
        let taken = self.take(ShownPart::Whole, &mut |text| {
            if !is_terminal {
                return printer.octets(text);
            }
            for piece in text.split_inclusive(|octet| *octet == b'\n') {
                line.extend_from_slice(piece);
                if line.ends_with(b"\n") || line.len() > LONGEST_LINE {
                    printer.out(&for_terminal(&std::mem::take(&mut line)));
                }
            }
            true
        });
        printer.out(&for_terminal(&line));
        taken.map_or_else(|code| code, |_| ExitCode::Done)
    }

    fn part(&self, message: &[u8], number: u32, truncated: bool) -> ExitCode {
        let Self { cli, args, .. } = self;
        if truncated {
            let what = format!("the message is larger than {}", size(wide(MOST)));
            cli.printer.complain(&what, Some("--raw writes all of it, for another program to take apart"));
            return ExitCode::Later;
        }
        let Some((part, octets)) = reading::part(message, number) else {
            let what = format!("the message has no part {number}");
            cli.printer.complain(&what, Some("without --part its parts are shown, with their numbers"));
            return ExitCode::NoInput;
        };
        if !io::stdout().is_terminal() {
            cli.printer.octets(&octets);
            return ExitCode::Done;
        }
        if !part.is_for_people() {
            let what = format!("part {number} is {}, not text for a terminal", readable(&part.media_type));
            let name = format!("popfetch show {} {} --part {number} > FILE", args.account, args.message);
            cli.printer.complain(&what, Some(&readable(&name)));
            return ExitCode::Usage;
        }
        cli.show(&for_terminal(&octets), &args.output);
        ExitCode::Done
    }

    fn print(
        &self,
        chosen: &ShownMessage,
        fields: Vec<(String, String)>,
        reading: &DecodedMessage,
        truncated: bool,
    ) {
        if self.args.output.json {
            let object = object(chosen, &fields, reading, truncated);
            return self.cli.show(&json::line(&self.account.name, &object), &self.args.output);
        }
        let mut text = header(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if !self.args.headers {
            text.push_str(&body(reading));
            if truncated {
                let most = size(wide(MOST));
                text.push_str(&format!("[only the first {most}: --raw writes all of it]\n"));
            }
        }
        self.cli.show(&text, &self.args.output);
    }
}

/// A message as `show` prints it, its parts named.
pub(super) fn decoded(message: &[u8]) -> String {
    let reading = reading::read(message);
    header(reading.fields.iter().map(|(name, value)| (*name, value.as_str()))) + &body(&reading)
}

fn header<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let field = |(name, value): (&str, &str)| {
        let line = format!("{}: {}\n", readable(name), readable(value));
        wrapped(&line, terminal::output_width(), "    ")
    };
    fields.map(field).collect()
}

/// The blank line, the text, and what else there is.
fn body(reading: &DecodedMessage) -> String {
    let attachments: String = reading.parts.iter().filter(|part| !part.is_text).map(attachment).collect();
    let text = wrapped(&for_terminal(reading.text.as_bytes()), terminal::output_width(), "");
    format!("\n{text}{attachments}")
}

/// A longer line is printed in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// Lines as a terminal may get them.
fn for_terminal(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        out.push_str(&readable(line.strip_suffix('\r').unwrap_or(line)));
        out.push_str(end);
    }
    out
}

/// `[image.png, 2.0 MiB: --part 2]`
fn attachment(part: &DecodedPart) -> String {
    let name = part.name.as_deref().unwrap_or(&part.media_type);
    format!("[{}, {}: --part {}]\n", readable(name), size(part.octets), part.number)
}

fn object(
    chosen: &ShownMessage,
    fields: &[(String, String)],
    reading: &DecodedMessage,
    truncated: bool,
) -> ShowObject {
    let text = |text: &str| printable(text.as_bytes());
    ShowObject {
        number: chosen.number.get(),
        unique_id: chosen.unique_id.clone(),
        fields: fields
            .iter()
            .map(|(name, value)| ShownField { name: text(name), value: text(value) })
            .collect(),
        text: reading.text.lines().map(text).collect(),
        parts: reading
            .parts
            .iter()
            .map(|part| PartObject {
                part: part.number,
                media_type: text(&part.media_type),
                name: part.name.as_deref().map(text),
                octets: part.octets,
            })
            .collect(),
        truncated,
    }
}
