//! The recording that README.md shows, docs/first-mail.svg: what popfetch prints at a terminal, made of the real program
//! against the demo's server.  `POPFETCH_BLESS=1 cargo test --test main recording` writes it.
//!
//! Each command runs in a terminal of its own (tmux), whose screen at the end, with its colours, becomes lines of the
//! picture.  They appear one after the other by CSS alone; where that isn't played, all of them are there.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::certificates::{Authority, Leaf};
use crate::support::demo;
use crate::support::namespace::{Dns, Net, Reply, SRV, inside, srv};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Options, Server, Tls};
use crate::support::tmux::Tmux;

const ADDRESS: &str = "ada@example.com";

/// What is typed: a command, and answers to the questions that it asks.
const COMMANDS: &[(&str, &[(&str, &str)])] = &[
    (
        "popfetch init ada@example.com",
        &[
            ("Password for", demo::PASSWORD),
            ("Retrieve all of them", ""),
            ("Leave mail on the server?", "14"),
            ("Where does mail go?", ""),
            ("Keep it in", ""),
        ],
    ),
    ("popfetch", &[]),
    ("popfetch list", &[]),
    ("popfetch status", &[]),
];

const COLUMNS: u16 = 110;
/// The size of a character, in the picture's units.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 19.0;
const MARGIN: f64 = 18.0;
/// Seconds for a typed character, before a command is typed, and for what it printed to be read.
const TYPING: f64 = 0.055;
const PAUSE: f64 = 0.7;
const READING: f64 = 0.35;

/// Where the program is in the recording, and is while it is made.
const PROGRAM: &str = "/usr/local/bin/popfetch";

#[test]
fn the_recording_is_current() {
    if !inside("recording::the_recording_is_current") {
        return;
    }
    // Nothing of this is seen outside of the namespace.
    let folder = Path::new(PROGRAM).parent().unwrap();
    assert!(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(folder).status().unwrap().success());
    symlink(env!("CARGO_BIN_EXE_popfetch"), PROGRAM).unwrap();
    let sandbox = Sandbox::of(vec![PROGRAM.into()]);
    let (net, authority) = (Net::of(&[("pop.example.com", 2)]), Authority::new());
    let trust = net.trust(&authority.pem());
    let _dns =
        Dns::start(&[("_pop3s._tcp.example.com", SRV, Reply::Records(vec![srv(0, 995, "pop.example.com")]))]);
    let options = Options {
        tls: Tls::Implicit(authority.issue(&Leaf::named(&["pop.example.com"]))),
        ..Options::with(ADDRESS, demo::PASSWORD, demo::messages())
    };
    let _server = Server::start_at(([127, 0, 0, 2], 995).into(), options);
    let mut lines = Vec::new();
    for (command, answers) in COMMANDS {
        // Without the other programs of this machine, by which init could keep a password.
        let line = format!("SSL_CERT_FILE='{}' PATH={} {command}", trust.display(), folder.display());
        let Some(terminal) = Tmux::start(&sandbox, (COLUMNS, 40), &line) else { return };
        for (question, answer) in *answers {
            terminal.wait_for(question);
            terminal.keys(&["-l", answer]);
            terminal.keys(&["Enter"]);
        }
        terminal.wait_for("\n[0]");
        let screen = terminal.screen_in_colour();
        let (printed, _) = screen.split_once("\n[0]").unwrap_or(("", &screen));
        lines.push(Line::Typed((*command).to_owned()));
        lines.extend(printed.lines().map(|line| Line::Printed(parts(&steady(line)))));
    }
    let svg = picture(&lines);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/first-mail.svg");
    if std::env::vars_os().any(|(name, value)| name == "POPFETCH_BLESS" && value == "1") {
        fs::write(&file, &svg).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == svg,
        "docs/first-mail.svg is not current: POPFETCH_BLESS=1 cargo test --test main recording\n{svg}"
    );
}

#[test]
fn colours_become_parts_of_a_line() {
    let found = parts("\u{1b}[1mhome\u{1b}[0m  \u{1b}[32m2 new\u{1b}[39m <&");
    let shown: Vec<(usize, &str, &str)> =
        found.iter().map(|part| (part.column, part.class.as_str(), part.text.as_str())).collect();
    assert_eq!(shown, [(0, "bold", "home"), (4, "", "  "), (6, "green", "2 new"), (11, "", " <&")]);
    assert_eq!(steady("today 17:03 UTC (2)"), "today 09:12 UTC (2)");
    assert!(picture(&[Line::Printed(found)]).contains("&lt;&amp;</tspan>"));
}

enum Line {
    Typed(String),
    Printed(Vec<Part>),
}

/// A stretch of a line in one colour.
struct Part {
    column: usize,
    class: String,
    text: String,
}

/// A line without what differs from run to run: the time of day.
fn steady(line: &str) -> String {
    let is_time = |text: &[u8]| matches!(text, [a, b, b':', c, d] if [a, b, c, d].iter().all(|octet| octet.is_ascii_digit()));
    let mut octets = line.as_bytes().to_vec();
    for at in 0..octets.len().saturating_sub(4) {
        if is_time(&octets[at..at + 5]) {
            octets[at..at + 5].copy_from_slice(b"09:12");
        }
    }
    String::from_utf8(octets).unwrap()
}

/// The parts of a line that tmux has captured.
fn parts(line: &str) -> Vec<Part> {
    let (mut parts, mut column): (Vec<Part>, usize) = (Vec::new(), 0);
    let (mut bold, mut dim, mut colour) = (false, false, "");
    for (number, piece) in line.split('\u{1b}').enumerate() {
        let text = match piece.strip_prefix('[').and_then(|rest| rest.split_once('m')) {
            Some((codes, text)) if number > 0 => {
                for code in codes.split(';') {
                    match code {
                        "" | "0" => (bold, dim, colour) = (false, false, ""),
                        "1" => bold = true,
                        "2" => dim = true,
                        "22" => (bold, dim) = (false, false),
                        "31" | "91" => colour = "red",
                        "32" | "92" => colour = "green",
                        "33" | "93" => colour = "yellow",
                        "34" | "94" | "36" | "96" => colour = "blue",
                        "39" => colour = "",
                        _ => {}
                    }
                }
                text
            }
            _ => piece,
        };
        if !text.is_empty() {
            let classes = [if bold { "bold" } else { "" }, if dim { "dim" } else { "" }, colour];
            let classes: Vec<&str> = classes.into_iter().filter(|class| !class.is_empty()).collect();
            parts.push(Part { column, class: classes.join(" "), text: text.to_owned() });
            column += text.chars().count();
        }
    }
    parts
}

fn picture(lines: &[Line]) -> String {
    let (width, height) =
        (f64::from(COLUMNS) * WIDTH + 2.0 * MARGIN, (lines.len() + 1) as f64 * HEIGHT + 2.0 * MARGIN);
    let (mut body, mut time) = (String::new(), 0.0);
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + (number as f64 + 0.8) * HEIGHT;
        match line {
            Line::Typed(command) => {
                let length = command.chars().count();
                time += if number == 0 { 0.0 } else { PAUSE };
                writeln!(
                    body,
                    "<g style=\"animation-delay:{time:.2}s\">{}",
                    text(
                        y,
                        &[
                            Part { column: 0, class: "green".to_owned(), text: "$ ".to_owned() },
                            Part { column: 2, class: "bold".to_owned(), text: command.clone() },
                        ]
                    )
                )
                .unwrap();
                // What covers the command, and moves away a character at a time.
                writeln!(
                    body,
                    "<rect class=\"typed\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" \
                     style=\"animation-duration:{:.2}s;animation-delay:{:.2}s;animation-timing-function:steps({length});--from:-{:.1}px\"/></g>",
                    MARGIN + (2 + length) as f64 * WIDTH,
                    y - 0.8 * HEIGHT,
                    length as f64 * TYPING,
                    time + PAUSE / 2.0,
                    length as f64 * WIDTH,
                )
                .unwrap();
                time += PAUSE + length as f64 * TYPING;
            }
            Line::Printed(parts) => {
                writeln!(body, "<g style=\"animation-delay:{time:.2}s\">{}</g>", text(y, parts)).unwrap();
                time += READING;
            }
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>popfetch at a terminal: an account is set up, its mail fetched, listed, and its state shown</title>\n\
         <!-- Made by tests/recording.rs: change it there. -->\n\
         <style>\n\
         text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace; fill: #d6deeb; white-space: pre; }}\n\
         .bold {{ font-weight: bold; }} .dim {{ fill: #8796a5; }} .red {{ fill: #ff7b72; }} .green {{ fill: #7ee787; }} \
         .yellow {{ fill: #e3b341; }} .blue {{ fill: #79c0ff; }} rect {{ fill: #10151c; }}\n\
         @media (prefers-reduced-motion: no-preference) {{\n\
         g {{ animation: appear 10ms backwards; }} @keyframes appear {{ from {{ opacity: 0; }} }}\n\
         .typed {{ animation-name: type; animation-fill-mode: backwards; }} @keyframes type {{ from {{ transform: translateX(var(--from)); }} }}\n\
         }}\n\
         </style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\"/>\n{body}</svg>\n"
    )
}

/// A line of text, each part at its column, so that the picture is the same in every font.
fn text(y: f64, parts: &[Part]) -> String {
    let mut text = format!("<text y=\"{y:.1}\" xml:space=\"preserve\">");
    for part in parts.iter().filter(|part| !part.text.trim().is_empty()) {
        let escaped = part.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let class = if part.class.is_empty() { String::new() } else { format!(" class=\"{}\"", part.class) };
        write!(
            text,
            "<tspan x=\"{:.1}\" textLength=\"{:.1}\"{class}>{escaped}</tspan>",
            MARGIN + part.column as f64 * WIDTH,
            part.text.chars().count() as f64 * WIDTH
        )
        .unwrap();
    }
    text + "</text>"
}
