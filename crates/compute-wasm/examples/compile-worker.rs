//! A program that compiles for an engine in another process: all that [`compute_wasm::Compiler::Process`] needs.

fn main() -> std::process::ExitCode {
    compute_wasm::compile_worker()
}
