#!/bin/sh
# Compiles one crate of this workspace so that libFuzzer sees which branches an input takes, and so that an overflow
# panics. cargo calls it as RUSTC_WORKSPACE_WRAPPER, that is for our own crates only: what they depend on is not
# compiled again. All of these flags are known to a stable compiler; they are those of `cargo fuzz --sanitizer none`.
exec "$@" \
    -C overflow-checks=on -C debug-assertions=on -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
