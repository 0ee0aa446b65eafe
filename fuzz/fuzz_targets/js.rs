//! A random program in JavaScript, run twice: by engines that are set up otherwise, on other threads. Both give the same output,
//! status, fuel, memory, log and events.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use arbitrary::{Result, Unstructured};
use compute::{
    ArtifactMap, EngineConfig, Limits, Manager, OpCall, Outcome, Ref, RunOptions, Runner as _, Seed,
    Status,
};
use compute_fuzz::{artifact, plugin_of, seeds};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::json;

/// How deep programs go, and how many statements a block has.
const DEPTH: u32 = 4;
const STATEMENTS: usize = 6;

const LIMITS: Limits = Limits {
    memory: Some(32 << 20),
    wall: Some(Duration::from_secs(20)),
    fuel: Some(400_000_000),
    output: Some(64 << 10),
    log: Some(16 << 10),
    now: Some(SystemTime::UNIX_EPOCH),
    ..Limits::DEFAULT
};

struct Setup {
    managers: [Manager; 2],
    reference: Ref,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let folder = seeds().expect("`cargo xtask fuzz` says where they are");
    let op = std::fs::read(folder.join("evaluate.wasm")).expect("it was built");
    let artifacts = Arc::new(ArtifactMap::default());
    artifacts.insert(plugin_of(&op));
    let op = artifact(op);
    let reference = op.reference().clone();
    artifacts.insert(op);
    let manager = |sandboxes| {
        let settings = compute_wasm::Settings { sandboxes, ..Default::default() };
        Manager::builder()
            .shared_resolver(Arc::clone(&artifacts) as Arc<dyn compute::Resolver>)
            .engine("wasm", EngineConfig::from(settings))
            .build()
    };
    Setup { managers: [manager(4), manager(1)], reference }
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut input = Unstructured::new(input);
    let Ok(seed) = input.arbitrary::<[u8; 32]>() else { return Corpus::Reject };
    let mut program = Program { input, text: String::new(), names: 0 };
    if program.block(0).is_err() && program.text.is_empty() {
        return Corpus::Reject;
    }
    let source = program.text;
    let [first, second] = &SETUP.managers;
    let first = run(first, &source, seed);
    let second = std::thread::scope(|scope| {
        scope.spawn(|| run(second, &source, seed)).join().expect("it ends as an outcome")
    });
    // Only the wall limit depends on the machine.
    if [&first, &second].iter().all(|one| one.status() != Status::WallLimit) {
        assert_eq!(told(&first), told(&second), "{source}");
        assert_eq!(first.log, second.log, "{source}");
        assert_eq!(first.events, second.events, "{source}");
        assert_eq!(first.metrics.peak_memory, second.metrics.peak_memory, "{source}");
        assert_eq!(first.metrics.fuel, second.metrics.fuel, "{source}");
        assert_eq!(first.pure, second.pure, "{source}");
    }
    Corpus::Keep
});

fn run(manager: &Manager, source: &str, seed: [u8; 32]) -> Outcome {
    let limits = Limits { seed: Some(Seed::new(seed)), ..LIMITS };
    let options = RunOptions { limits, op: Some(OpCall::default()), ..RunOptions::default() };
    let input = json!({ "source": source }).to_string();
    manager
        .run_blocking(&SETUP.reference, input.as_bytes(), &options)
        .unwrap_or_else(|error| panic!("{}", compute::with_causes(&error)))
}

fn told(outcome: &Outcome) -> std::result::Result<String, String> {
    let text = |output: &Vec<u8>| String::from_utf8_lossy(output).into_owned();
    match &outcome.result {
        Ok(output) => Ok(text(output)),
        Err(failure) => Err(format!("{failure} {:?}", failure.stack)),
    }
}

/// A program as it is made.
struct Program<'a> {
    input: Unstructured<'a>,
    text: String,
    /// How many variables there are.
    names: u32,
}

impl Program<'_> {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn pick(&mut self, most: u32) -> Result<u32> {
        if self.input.is_empty() {
            return Err(arbitrary::Error::NotEnoughData);
        }
        self.input.int_in_range(0..=most)
    }

    fn block(&mut self, depth: u32) -> Result<()> {
        for _ in 0..=self.input.int_in_range(0..=STATEMENTS)? {
            self.statement(depth)?;
        }
        Ok(())
    }

    fn braced(&mut self, depth: u32) -> Result<()> {
        self.put("{ ");
        let made = self.block(depth);
        self.put("} ");
        made
    }

    fn statement(&mut self, depth: u32) -> Result<()> {
        // Past the depth, only those without others in them.
        let kind = self.pick(if depth < DEPTH { 13 } else { 5 })?;
        match kind {
            0 | 1 => {
                let name = self.names;
                self.put(&format!("var v{name} = "));
                // What is cut off here is still a program.
                let value = self.expression(depth);
                self.put("0; ");
                self.names += 1;
                value
            }
            2 => self.around("show(", depth, "0); "),
            3 => self.around("log.info(", depth, "0); "),
            4 => self.around("emit(\"e\", String(", depth, "0)); "),
            5 => {
                self.name();
                self.around(" = ", depth, "0; ")
            }
            6 => {
                self.around("if (", depth, "0) ")?;
                self.braced(depth + 1)
            }
            7 => {
                let times = self.pick(50)?;
                self.put(&format!("for (let i{depth} = 0; i{depth} < {times}; i{depth}++) "));
                self.braced(depth + 1)
            }
            8 => {
                self.put("try ");
                let made = self.braced(depth + 1);
                self.put("catch (error) { show(error.message); } ");
                made
            }
            9 => self.around("throw new TypeError(", depth, "0); "),
            10 => self.around("await new Promise((done) => setTimeout(done, ", depth, "0)); "),
            11 => {
                self.around("for (const item of Object.entries(Object(", depth, "0)).slice(0, 20)) ")?;
                self.braced(depth + 1)
            }
            12 => {
                let name = self.names;
                self.names += 1;
                self.put(&format!("function v{name}(a, b) "));
                let made = self.braced(depth + 1);
                self.put(&format!("show(v{name}(1, 2)); "));
                made
            }
            _ => {
                self.put("await Promise.all([1, 2, 3].map(async (n) => ");
                let made = self.braced(depth + 1);
                self.put(")); ");
                made
            }
        }
    }

    /// An expression between two texts. What comes after stands there, however the expression ended.
    fn around(&mut self, before: &str, depth: u32, after: &str) -> Result<()> {
        self.put(before);
        let made = self.expression(depth);
        self.put(after);
        made
    }

    fn name(&mut self) {
        let name = self.input.int_in_range(0..=self.names.max(1) - 1).unwrap_or_default();
        let name = if self.names == 0 { "globalThis.v".to_owned() } else { format!("v{name}") };
        self.put(&name);
    }

    /// An expression with an operator at its end, so that what follows is its last operand.
    fn expression(&mut self, depth: u32) -> Result<()> {
        const LEAVES: [&str; 24] = [
            "1", "-0", "0.1", "1e21", "NaN", "Infinity", "12345678901234567890", "7n", "\"text\"",
            "\"\\ud83d\"", "null", "undefined", "true", "[]", "({})", "[3, 1, 2]", "/a(b)*/g",
            "Math.random()", "Date.now()", "performance.now()", "new Date(0)", "Symbol.iterator",
            "crypto.randomUUID()", "new Error(\"made\").stack",
        ];
        const CALLS: [&str; 26] = [
            "String(", "Number(", "JSON.stringify(", "Object.keys(Object(", "Math.sin(", "Math.pow(2, ",
            "Array.from(Object(", "[5, 2, 9, 1].sort(() => ", "structuredClone(", "parseFloat(", "new Map([[1, ",
            "new Set([1, ", "encodeURIComponent(", "\"abcabc\".replace(/b/g, () => ", "[1, 2, 3].map((n) => n * ",
            "new Intl.NumberFormat(\"de\").format(", "new Uint8Array(Math.min(64, Math.abs(",
            "Object.getOwnPropertyNames(Object(", "typeof (", "isNaN(", "BigInt.asUintN(64, 5n) + (", "(() => ",
            "\"x\".repeat(Math.min(99, Math.abs(", "new Date(", "Object.freeze(Object(", "(async () => ",
        ];
        const OPERATORS: [&str; 16] = [
            " + ", " - ", " * ", " / ", " % ", " ** 1 + ", " === ", " < ", " && ", " || ", " ?? ", ", ",
            " instanceof Object + ", " << ", " >>> ", " == ",
        ];
        match self.pick(7)? {
            0..=2 => {
                let leaf = *self.input.choose(&LEAVES)?;
                self.put(&format!("({leaf})"));
            }
            3 | 4 => self.name(),
            5 if depth < DEPTH => {
                let call = *self.input.choose(&CALLS)?;
                self.put("(");
                self.put(call);
                let made = self.expression(depth + 1);
                let open = |text: &str, one| text.matches(one).count();
                let (squares, rounds) = (
                    open(call, '[').saturating_sub(open(call, ']')),
                    open(call, '(').saturating_sub(open(call, ')')),
                );
                self.put("0");
                self.put(&"]".repeat(squares));
                self.put(&")".repeat(rounds));
                self.put(")");
                made?;
            }
            _ => {
                let number: i32 = self.input.arbitrary()?;
                self.put(&format!("({number})"));
            }
        }
        let operator = *self.input.choose(&OPERATORS)?;
        self.put(operator);
        Ok(())
    }
}
