#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| clearctx::fuzzing::run("framer", data));
