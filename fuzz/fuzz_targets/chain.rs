#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| clerk_sync_fuzz::chain(data));
