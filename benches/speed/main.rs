//! What popfetch costs, beside the bare client and whichever of mpop, fdm, fetchmail (with procmail) and getmail are
//! installed: `cargo bench`, or `cargo bench --bench speed -- [ROW…] [--runs N] [--programs NAME,…] [--against BINARY]
//! [--list]`.  `--against` names another build of popfetch that runs beside this one.
//!
//! Every program does the same job against the same server, in turns, each time in an empty home (or, where nothing
//! is new, the same one).  What it delivered is compared by digest with what was sent.  Medians are shown; a program
//! that takes many seconds runs fewer times, and the table shows it.
//!
//! `BENCH_DIR` is where mail is delivered (else the folder for temporary files).  Durability costs what the file
//! system makes of it, so name a journalled one on a real disk, or a loop device:
//! `truncate -s 6G ext4.img; mkfs.ext4 ext4.img; mount -o loop ext4.img /mnt`.
//!
//! On a machine that has other work to do, short rows need `chrt -f 20` before the command: two equal programs differ by a
//! third without it, and by 2 % with it.  How much of the start-up is the time that the system takes to map the pages of the
//! program depends on what else its memory holds: it's the ratio of one run that counts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::type_complexity,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "a program for developers: it fails loudly, and prints"
)]

mod bare;
mod check;
mod measure;
mod programs;
mod rows;
#[path = "../../tests/support/mod.rs"]
mod support;

use programs::Program;
use rows::{Bench, ROWS};

fn main() {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == measure::HELPER).is_some() {
        return measure::helper(args).unwrap();
    }
    if args.next_if(|arg| arg == programs::BARE).is_some() {
        return bare::main(args.map(|arg| arg.into_string().unwrap())).unwrap();
    }
    let mut rows = Vec::new();
    let mut programs: Vec<Program> = Program::ALL.into_iter().filter(|program| program.installed()).collect();
    let mut runs = 5;
    let mut args = args.map(|arg| arg.into_string().unwrap());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // cargo passes it.
            "--bench" => {}
            "--runs" => runs = args.next().and_then(|runs| runs.parse().ok()).expect("--runs N"),
            "--programs" => {
                let wanted = args.next().expect("--programs NAME,…");
                programs.retain(|program| {
                    *program == Program::Earlier
                        || wanted.split(',').any(|name| program.name().starts_with(name))
                });
            }
            "--against" => {
                programs::EARLIER.set(args.next().expect("--against BINARY").into()).unwrap();
                programs.insert(programs.len().min(2), Program::Earlier);
            }
            "--list" => {
                for (name, _, what) in ROWS {
                    println!("{name:12} {what}");
                }
                return;
            }
            row => rows.push(row.to_owned()),
        }
    }
    let unknown = rows.iter().find(|row| !ROWS.iter().any(|(name, ..)| name == row));
    assert!(unknown.is_none(), "no row {unknown:?}: see --list");
    // With it each write is made in two halves.
    if cfg!(feature = "crash-points") {
        eprintln!("the feature crash-points is for tests: measure a build without it");
        std::process::exit(64);
    }
    let bench = Bench::new(runs, programs);
    for (name, row, what) in ROWS {
        if rows.is_empty() || rows.iter().any(|row| row == name) {
            println!("\n{name}: {what}");
            row(&bench);
        }
    }
}
