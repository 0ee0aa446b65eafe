//! JSON from an attacker, as a document, as an op's environment and in what is masked: it is read as others
//! read it, within its account; what is masked stays JSON and keeps no secret; and a document goes through
//! rules to the same answer each time.
//!
//! The input is three texts with NULs between: JSON, an environment, and secrets, one a line.

#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use compute::{
    Account, BoxFuture, Env, Error, JsonError, Limits, Log, LogLine, MAX_JSON_DEPTH, Mask, Meta,
    Metrics, OpCall, Outcome, Ref, RunOptions, Runner, Secrets, Seed, json_size, parse_json,
};
use compute_flow::{Detail, Processor, ProcessorSettings, Reason, Request, Snapshot, Stack};
use compute_state::File;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

/// What an account of little memory has.
const LITTLE: u64 = 4 << 10;
/// What is masked when the input says nothing of it.
const SECRET: &str = "hunter2";

/// How many secrets of the input are taken.
const SECRETS: usize = 3;

/// The rules that documents go through, by stack, scope and name.
const RULES: &[(&str, &str, &str)] = &[
    (
        "s",
        "10/echo",
        "WHEN .kind == \"order\" EXEC \"compute://test/echo\" EMIT .seen = &array(.x, .y)",
    ),
    ("s", "10/keys", "EMIT .copy = .b, .name = &concat(.a, \"-\", .b.c)"),
    ("s", "20/some", "SELECT .a, .l DEFAULT [1], .b.c AS .d EXEC \"compute://test/echo\""),
    (
        "s",
        "30/hide",
        "WITH secrets = \"KEY\", redact = \"customer.email\", omit = \"card\" SELECT * SET .more = &add(.n, 1) EXEC \"compute://test/echo\"",
    ),
    ("s", "40/go", "WHEN .to != null EMIT @goto = .to, .to = \"\""),
    ("s", "50/less", "WHEN .drop != null EMIT @delete = .drop"),
    ("t", "1/end", "EMIT .ended = true, @web.res.status = .status, @halt = true"),
];

static PROCESSOR: LazyLock<(Processor, Snapshot)> = LazyLock::new(|| {
    let mut stacks: BTreeMap<&str, Vec<File>> = BTreeMap::new();
    for (stack, path, text) in RULES {
        stacks.entry(stack).or_default().push(File::new(format!("{path}.txcl"), *text));
    }
    let snapshot = stacks.into_iter().map(|(name, files)| {
        Stack::compile(name.parse().expect("a name"), &files)
            .unwrap_or_else(|wrong| panic!("{}", wrong[0]))
    });
    let settings =
        ProcessorSettings { document: 1 << 20, entries: 20, parallel: 1, ..Default::default() };
    (Processor::with_settings(Arc::new(Echo), settings), snapshot.collect())
});

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (json, env, secrets) = (part(), part(), part());
    let secrets = String::from_utf8_lossy(secrets);
    let secrets: Vec<&str> =
        secrets.lines().take(SECRETS).chain([SECRET]).filter(|one| is_secret(one)).collect();

    reads(json);
    wraps(json, env, &secrets);
    if let Ok(text) = std::str::from_utf8(json) {
        masks(text, &secrets);
    }
    processes(json, secrets[0]);
});

/// Read with a charge, it is what serde_json reads; the charge is what it takes.
fn reads(json: &[u8]) {
    let plain = serde_json::from_slice::<Value>(json);
    let account = Account::unlimited();
    let mut charge = account.empty();
    match (parse_json(json, &mut charge), &plain) {
        (Ok(read), Ok(plain)) => {
            assert_eq!(read, *plain);
            let (size, charged) =
                (json_size(&read, MAX_JSON_DEPTH).expect("within the depth"), charge.bytes());
            assert!(
                charged as usize + size_of::<Value>() >= size,
                "{charged} are charged for {size}"
            );
        }
        (Ok(read), Err(error)) => panic!("{read} was read, and {error}"),
        (Err(JsonError::TooDeep(_) | JsonError::Syntax(_)), Err(_)) => {}
        (Err(JsonError::TooDeep(most)), Ok(plain)) => assert_eq!(json_size(plain, most), None),
        (Err(error), plain) => panic!("{error}, and it is {plain:?}"),
    }
    drop(charge);
    assert_eq!(account.used(), 0);

    let little = Account::new("little", LITTLE);
    let mut charge = little.empty();
    match (parse_json(json, &mut charge), &plain) {
        (Ok(read), Ok(plain)) => assert_eq!(read, *plain),
        (Err(JsonError::OverLimit(over)), _) => assert_eq!(over.limit, LITTLE),
        (read, _) => assert!(read.is_err()),
    }
    assert!(charge.bytes() <= little.used() && little.used() <= LITTLE);
}

/// The envelope is JSON with the input, the environment and the secrets in it, if the input is JSON.
fn wraps(json: &[u8], env: &[u8], secrets: &[&str]) {
    let env = serde_json::from_slice::<Box<RawValue>>(env)
        .ok()
        .and_then(|env| Env::new(env).ok())
        .unwrap_or_default();
    let named = secrets.iter().enumerate().map(|(n, one)| (n.to_string(), (*one).to_owned()));
    let op = OpCall {
        meta: Meta { rid: secrets.concat(), ..Meta::default() },
        env: env.clone(),
        secrets: named.collect::<Secrets>(),
        always: true,
    };
    let is_json = json.is_empty() || serde_json::from_slice::<&RawValue>(json).is_ok();
    let envelope = match op.envelope(json) {
        Ok(envelope) => envelope,
        Err(Error::InvalidInput { .. }) => return assert!(!is_json),
        Err(error) => panic!("{error}"),
    };
    assert!(is_json);
    let raw: BTreeMap<&str, &RawValue> = serde_json::from_slice(&envelope).expect("it is JSON");
    assert_eq!(raw.keys().copied().collect::<Vec<_>>(), ["env", "input", "meta", "secrets"]);
    let input = if json.is_empty() {
        "{}"
    } else {
        std::str::from_utf8(json).expect("JSON is text").trim_ascii()
    };
    assert_eq!(raw["input"].get(), input);
    assert_eq!(raw["env"].get(), env.get());
    let given: BTreeMap<&str, Value> =
        serde_json::from_str(raw["secrets"].get()).expect("they are texts");
    assert!(secrets.iter().enumerate().all(|(n, one)| given[&*n.to_string()] == *one));
}

/// Masked, JSON is JSON, and none of its texts, keys and numbers has a secret.
fn masks(text: &str, secrets: &[&str]) {
    let mask = Mask::new(secrets.iter().copied());
    let free = |text: &str| secrets.iter().all(|secret| !text.contains(secret));
    assert!(free(&mask.text(text)), "{}", mask.text(text));
    assert!(free(&mask.cut_text(text)), "{}", mask.cut_text(text));
    let masked = mask.json(text);
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return;
    }
    assert!(serde_json::from_str::<&RawValue>(&masked).is_ok(), "{text} is masked as {masked}");
    for token in tokens(&masked) {
        assert!(free(&token), "{text} is masked as {masked}");
    }
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        mask.value(&mut value);
        for token in tokens(&value.to_string()) {
            assert!(free(&token), "{text} is masked as {value}");
        }
    }
}

/// The texts, the keys and the numbers of JSON, as a lenient reader reads them.
fn tokens(json: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        let mut token = String::new();
        match char {
            '"' => {
                while let Some(char) = chars.next().filter(|char| *char != '"') {
                    token.push(if char == '\\' { escaped(&mut chars) } else { char });
                }
            }
            '-' | '0'..='9' => {
                token.push(char);
                let number = |char: &char| matches!(char, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
                while let Some(char) = chars.next_if(number) {
                    token.push(char);
                }
            }
            _ => continue,
        }
        tokens.push(token);
    }
    tokens
}

/// What stands for a character behind a backslash. Half of a pair is not a character of its own.
fn escaped(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> char {
    let unit = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let digits: String = chars.take(4).collect();
        u16::from_str_radix(&digits, 16).unwrap_or(0xfffd)
    };
    match chars.next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('u') => {
            let first = unit(chars);
            let mut ahead = chars.clone();
            if (ahead.next(), ahead.next()) == (Some('\\'), Some('u'))
                && let second = unit(&mut ahead)
                && let Some(Ok(char)) = char::decode_utf16([first, second]).next()
                && char.len_utf16() == 2
            {
                *chars = ahead;
                return char;
            }
            char::decode_utf16([first]).next().and_then(Result::ok).unwrap_or('\u{fffd}')
        }
        Some(other) => other,
        None => '\u{fffd}',
    }
}

/// Whether a text is one that a mask looks for, and that is not in what stands for what is masked, or in what JSON
/// itself is written with: then it could be found though it is masked everywhere.
fn is_secret(text: &str) -> bool {
    text.len() >= 4
        && !text.contains(['[', ']'])
        && !["redacted", "true", "false", "null"].iter().any(|word| word.contains(text))
}

/// A document's way repeats, is never the host's failure, and its trace tells no secret.
fn processes(json: &[u8], secret: &str) {
    let (processor, snapshot) = &*PROCESSOR;
    let mut request = Request::new("s/0".parse().expect("a stage"), json.to_vec());
    request.now = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    request.seed = Seed::new([7; 32]);
    request.detail = Detail::Full;
    request.secrets = Arc::new([("KEY".to_owned(), secret.to_owned())].into());
    request.mask = Arc::new(Mask::new([secret]));
    let process = || processor.process(snapshot, &request);
    let (first, second) = (process(), process());
    match (&first.result, &second.result) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first, second);
            let keys = first.as_object().expect("a document is an object").keys();
            assert!(keys.into_iter().all(|key| !key.starts_with('_')), "{first}");
        }
        (Err(first), Err(second)) => {
            assert_eq!(first.to_string(), second.to_string());
            assert!(!matches!(first.reason, Reason::Host(_) | Reason::Deadline { .. }), "{first}");
        }
        (first, second) => panic!("{first:?}, and then {second:?}"),
    }
    assert_eq!((&first.web, &first.warnings), (&second.web, &second.warnings));
    let traces =
        (first.trace.expect("a trace").settled(), second.trace.expect("a trace").settled());
    assert_eq!(traces.0, traces.1);
    for step in &traces.0.steps {
        assert!(step.log.iter().all(|line| !line.text.contains(secret)), "{:?}", step.log);
    }
}

/// Gives back what it is given, and logs its secrets.
#[derive(Debug)]
struct Echo;

impl Runner for Echo {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(std::future::ready(self.run_blocking(reference, &input, &options)))
    }

    fn run_blocking(&self, _: &Ref, input: &[u8], options: &RunOptions) -> Result<Outcome, Error> {
        let op = options.op.as_ref().expect("rules call ops");
        let envelope = op.envelope(input)?;
        let parts: BTreeMap<&str, &RawValue> =
            serde_json::from_slice(&envelope).expect("it is JSON");
        let bounds = options.limits.or(Limits::DEFAULT).bounds();
        let output = parts["input"].get().as_bytes().to_vec();
        let mut outcome = Outcome::new(bounds, Ok(output), Metrics::default());
        let line = LogLine { level: compute::Level::Info, text: parts["secrets"].get().to_owned() };
        outcome.log = Log { lines: vec![line], ..Log::default() };
        // As a manager does for every run.
        outcome.mask(op.secrets.mask());
        Ok(outcome)
    }
}
