//! A sequence of inputs to a consumer's state machine.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::machine::machine(data));
