//! The body of a ticket.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire::ticket(data));
