//! An SQS event, up to what a consumer does with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::aws::queue_event(data));
