//! What a person types behind an option of the CLI.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::cli::words(data));
