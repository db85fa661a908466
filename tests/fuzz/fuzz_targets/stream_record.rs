//! A record of the outbox's stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::aws::stream_record(data));
