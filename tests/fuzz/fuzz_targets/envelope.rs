//! The body of an event's message.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire::envelope(data));
