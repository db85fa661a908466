//! Writes schemas/ from the shop's types and runs the contract tests: `make catalogue`.

fn main() -> std::process::ExitCode {
    towpath_catalogue::run(&catalogue::catalogue(), std::env::args().skip(1))
}
