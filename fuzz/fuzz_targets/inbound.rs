#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| clearctx_core::fuzzing::run("inbound", data));
