//! What compiling may meet and take: functions that would take long are refused, and a process of its own is
//! ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compute::{
    Algorithm, Artifact, ArtifactMap, Cancel, Engine as _, EngineConfig, Error, Instance, Load,
    Profile,
};
use compute_wasm::{CompileLimits, Compiler, Settings, WasmEngine};
use wasm_encoder::{self as enc, BlockType, Instruction as I, ValType};

use crate::chain;

/// A module of so many copies of a function.
fn module(locals: u32, copies: u32, body: impl Fn(&mut enc::Function)) -> Artifact {
    let mut types = enc::TypeSection::new();
    types.ty().function([], []);
    let (mut functions, mut code) = (enc::FunctionSection::new(), enc::CodeSection::new());
    for _ in 0..copies {
        let mut function = enc::Function::new([(locals, ValType::I32)]);
        body(&mut function);
        function.instruction(&I::End);
        functions.function(0);
        code.function(&function);
    }
    let mut exports = enc::ExportSection::new();
    exports.export("_start", enc::ExportKind::Func, 0);
    let mut module = enc::Module::new();
    module.section(&types).section(&functions).section(&exports).section(&code);
    Artifact::new(Algorithm::Sha256, "wasm", module.finish())
}

fn repeat(function: &mut enc::Function, times: u32, instruction: &I<'_>) {
    for _ in 0..times {
        function.instruction(instruction);
    }
}

/// Loops in each other, all locals used in the innermost.
fn loops(function: &mut enc::Function, depth: u32, locals: u32) {
    repeat(function, depth, &I::Loop(BlockType::Empty));
    (0..locals).for_each(|local| add_one(function, local));
    for _ in 0..depth {
        function.instruction(&I::I32Const(0)).instruction(&I::BrIf(0)).instruction(&I::End);
    }
}

fn add_one(function: &mut enc::Function, local: u32) {
    let [get, set] = [I::LocalGet(local), I::LocalSet(local)];
    function
        .instruction(&get)
        .instruction(&I::I32Const(1))
        .instruction(&I::I32Add)
        .instruction(&set);
}

/// One condition after the other, each of which changes some locals.
fn conditions(function: &mut enc::Function, count: u32, locals: u32) {
    for at in 0..count {
        function.instruction(&I::LocalGet(at % locals)).instruction(&I::If(BlockType::Empty));
        (0..4).for_each(|local| add_one(function, (4 * at + local) % locals));
        function.instruction(&I::End);
    }
}

/// Tables of branches to all of many blocks.
fn tables(function: &mut enc::Function, blocks: u32, count: u32) {
    repeat(function, blocks, &I::Block(BlockType::Empty));
    for _ in 0..count {
        function.instruction(&I::Block(BlockType::Empty)).instruction(&I::LocalGet(0));
        function.instruction(&I::BrTable((1..=blocks).collect::<Vec<_>>().into(), 0));
        function.instruction(&I::End);
        add_one(function, 0);
    }
    repeat(function, blocks, &I::End);
}

fn engine(settings: Settings) -> WasmEngine {
    WasmEngine::open(&EngineConfig::from(settings)).unwrap()
}

fn load(engine: &WasmEngine, artifact: &Artifact) -> Result<Arc<dyn Instance>, Error> {
    let none = ArtifactMap::default();
    let mut load = Load::new(Profile::default(), &none);
    load.deadline = Some(Instant::now() + Duration::from_secs(60));
    engine.load(artifact, &load)
}

#[test]
fn functions_that_compile_for_long_are_refused_with_the_number() {
    let cases = [
        (
            module(100, 1, |f| loops(f, 101, 100)),
            "101 levels of nested loops in function 0; the cap is 100",
        ),
        (
            module(101, 1, |f| loops(f, 100, 101)),
            "10100 locals times levels of nested loops in function 0; the cap is 10000",
        ),
        (
            module(100, 51, |f| loops(f, 100, 100)),
            "510000 locals times levels of nested loops in all functions; the cap is 500000",
        ),
        (
            module(1000, 1, |f| conditions(f, 5000, 1000)),
            "5000000 locals times blocks and branches in function 0; the cap is 2000000",
        ),
        (
            module(1000, 21, |f| conditions(f, 2000, 1000)),
            "42000000 locals times blocks and branches in all functions",
        ),
        (
            module(1, 1, |f| tables(f, 2000, 100)),
            "202100 blocks and branches in function 0; the cap is 50000",
        ),
        (
            module(1, 42, |f| tables(f, 2000, 23)),
            "2016966 blocks and branches in all functions; the cap is 2000000",
        ),
        (
            module(1, 1, |f| {
                repeat(f, 10_001, &I::Block(BlockType::Empty));
                repeat(f, 10_001, &I::End);
            }),
            "10001 levels of nested blocks in function 0; the cap is 10000",
        ),
    ];
    let engine = engine(Settings::default());
    for (artifact, told) in cases {
        let begun = Instant::now();
        let error = load(&engine, &artifact).err().unwrap();
        assert!(chain(&error).contains(told), "{}", chain(&error));
        assert!(begun.elapsed() < Duration::from_secs(5), "{told}: {:?}", begun.elapsed());
    }
}

#[test]
fn values_that_branches_carry_count_like_locals() {
    let carried = "i32 ".repeat(1000);
    let zeros = "(i32.const 0) ".repeat(1000);
    let drops = "drop ".repeat(1000);
    let targets = "0 ".repeat(3000);
    let text = format!(
        r#"(module (type $t (func (result {carried}))) (func (export "_start")
             (block (type $t) {zeros} (br_table {targets} (i32.const 0))) {drops}))"#
    );
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::wasm(&text));
    let error = load(&engine(Settings::default()), &artifact).err().unwrap();
    assert!(
        chain(&error).contains("locals times blocks and branches in function 0"),
        "{}",
        chain(&error)
    );
}

/// The compiler as a program of its own, which Cargo builds beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/compile-worker");
    assert!(program.is_file(), "{}: build the examples, too", program.display());
    program
}

fn in_process(limits: CompileLimits) -> Settings {
    let compiler = Compiler::Process { program: program(), arguments: Vec::new() };
    Settings { compiler, compile_limits: limits, ..Settings::default() }
}

#[test]
fn a_process_gives_the_same_code_for_every_profile() {
    let wasm = compute_guests::transform_wasm("c");
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", wasm);
    let engine = engine(in_process(CompileLimits::default()));
    let none = ArtifactMap::default();
    for profile in [(false, 1 << 20), (true, 1 << 20), (false, 1 << 16)] {
        let profile = Profile::new(profile.0, profile.1);
        let instance = engine.load(&artifact, &Load::new(profile, &none)).unwrap();
        let fuel = profile.metered().then_some(10_000_000);
        let stack = Some(profile.stack());
        let bounds = compute::Limits { fuel, stack, ..compute::Limits::COMMAND_LINE }.bounds();
        let call = compute::Call::new(&bounds, Instant::now());
        let outcome = instance.invoke(b"{}", &call).unwrap();
        assert_eq!(crate::output(&outcome), r#"{"computed":true,"keys":0,"depth":1,"bytes":2}"#);
    }
}

#[test]
fn what_is_invalid_is_refused_as_it_is_here() {
    let text = r#"(module (func (export "_start") (drop (i32.const 1)) (drop (i64.add (i32.const 1) (i32.const 1)))))"#;
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::wasm(text));
    let refusals = [Settings::default(), in_process(CompileLimits::default())]
        .map(|settings| chain(&load(&engine(settings), &artifact).err().unwrap()));
    assert_eq!(refusals[0], refusals[1]);
    assert!(refusals[0].contains("the module is not valid: "), "{}", refusals[0]);
}

#[test]
fn what_takes_too_much_is_refused_with_the_limit() {
    // Within the caps, and as slow and as large as that gets.
    let slow = module(100, 49, |f| loops(f, 100, 100));
    let large = module(200, 2, |f| conditions(f, 9000, 200));
    let small = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::transform_wasm("c"));
    let usual = CompileLimits::default();
    let cases = [
        (&slow, CompileLimits { seconds: 1, ..usual }, "its limit of 1 seconds of processor time"),
        (
            &large,
            CompileLimits { memory: 256 << 20, ..usual },
            "its limit of 268435456 bytes of address space",
        ),
        (
            &small,
            CompileLimits { code: 10 << 10, ..usual },
            "its limit of 10240 bytes of compiled code",
        ),
    ];
    for (artifact, limits, told) in cases {
        let error = load(&engine(in_process(limits)), artifact).err().unwrap();
        assert_eq!(error.kind(), compute::ErrorKind::Artifact, "{}", chain(&error));
        assert!(chain(&error).contains(told), "{}", chain(&error));
    }
}

#[test]
fn a_process_ends_when_nobody_waits() {
    let slow = module(100, 49, |f| loops(f, 100, 100));
    let engine = engine(in_process(CompileLimits::default()));
    let (none, cancel) = (ArtifactMap::default(), Cancel::new());
    let mut load = Load::new(Profile::default(), &none);
    load.cancel = Some(&cancel);
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| (engine.load(&slow, &load).err().unwrap(), Instant::now()));
        while children().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        cancel.cancel();
        let (error, ended) = loading.join().unwrap();
        assert_eq!(error.kind(), compute::ErrorKind::Unavailable);
        assert!(ended - begun < Duration::from_millis(500), "{:?}", ended - begun);
    });
}

#[test]
fn a_compiler_that_crashes_or_is_missing_takes_nobody_along() {
    let echo = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::echo(2));
    let with = |program: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let compiler = Compiler::Process { program: program.into(), arguments };
        let error =
            load(&engine(Settings { compiler, ..Settings::default() }), &echo).err().unwrap();
        (error.kind(), chain(&error))
    };
    let (kind, told) = with("/bin/sh", &["-c", "echo out of luck >&2; kill -SEGV $$"]);
    assert_eq!(kind, compute::ErrorKind::Artifact);
    assert!(
        told.contains("the compiler crashed on the module: ") && told.contains("out of luck"),
        "{told}"
    );
    let (kind, told) = with("/bin/sh", &["-c", "kill -KILL $$"]);
    assert_eq!(
        (kind, told.contains("the compiler was killed")),
        (compute::ErrorKind::Unavailable, true)
    );
    let (kind, told) = with("/nowhere/compiler", &[]);
    assert_eq!(
        (kind, told.contains("/nowhere/compiler cannot be started")),
        (compute::ErrorKind::Unavailable, true)
    );
    // Code that is none is not believed because a compiler gave it.
    let (kind, _) = with("/bin/sh", &["-c", "echo nothing"]);
    assert_eq!(kind, compute::ErrorKind::Unavailable);
}

#[test]
fn a_spare_is_kept_ready_and_goes_with_its_engine() {
    let engine = engine(in_process(CompileLimits::default()));
    let echo =
        |number| Artifact::new(Algorithm::Sha256, "wasm", compute_guests::numbered_echo(number));
    load(&engine, &echo(1)).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    load(&engine, &echo(2)).unwrap();
    load(&engine, &echo(3)).unwrap();
    drop(engine);
    // Other tests' compilers come and go; none that has ended is left.
    let begun = Instant::now();
    while children().iter().any(|(_, state)| *state == 'Z') {
        assert!(begun.elapsed() < Duration::from_secs(5), "a zombie is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The compilers that this process has started: their ids and states.
fn children() -> Vec<(u32, char)> {
    let own = std::process::id();
    let stat = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let mut rest = rest.split(' ');
        let (state, parent) = (rest.next()?.chars().next()?, rest.next()?.parse::<u32>().ok()?);
        (parent == own && name.contains("compile-worker")).then_some((id, state))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(stat).collect()
}
