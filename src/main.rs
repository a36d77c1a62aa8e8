//! popfetch: parse, run, exit.

fn main() -> std::process::ExitCode {
    popfetch::cli::main()
}
