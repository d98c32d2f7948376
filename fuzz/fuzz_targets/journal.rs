#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| clearctx::fuzzing::run("journal", data));
