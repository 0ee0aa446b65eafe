//! `compute forecast`: at which size of its input an op reaches which limit.

mod growth;
mod plot;

use std::time::{Duration, Instant};

use compute::{Bounds, Limits, Metrics, Ref, RunOptions, Runner as _, Status};
use serde::Serialize;

use crate::args::{Cli, ForecastArgs};
use crate::failure::Failure;
use crate::host::{self, Host};
use crate::show::{print_json, report};
use crate::work::fixtures::{self, Case, Suite};
use crate::work::target::{self, Target};
use growth::Growth;

/// The most runs.
const MAX_RUNS: usize = 64;
/// The largest input, in bytes.
const MAX_INPUT: u64 = 64 << 20;
/// How long all runs may take.
const MAX_TIME: Duration = Duration::from_secs(60);
/// How often the interval in which a limit is reached is halved.
const HALVINGS: usize = 4;

/// What one size took.
#[derive(Clone, Debug, Serialize)]
struct Point {
    /// How many elements or characters there are, or the number itself.
    size: u64,
    input_bytes: u64,
    status: &'static str,
    wall_ns: u64,
    peak_memory: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    output_bytes: u64,
}

impl Point {
    fn is_ok(&self) -> bool {
        self.status == Status::Ok.name()
    }
}

/// What runs may use.
#[derive(Clone, Copy, Debug, Serialize)]
struct Limit {
    wall_ns: u64,
    memory: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    output: u64,
}

impl Limit {
    fn of(bounds: &Bounds) -> Self {
        let Bounds { memory, fuel, output, .. } = *bounds;
        Self { wall_ns: nanos(bounds.wall), memory, fuel, output }
    }
}

/// Where it ended.
#[derive(Clone, Debug, Serialize)]
struct Reached {
    /// The status of the first run that failed: which limit it was, or that the op failed by itself.
    status: &'static str,
    /// The largest size that works, and the smallest that does not.
    works: u64,
    fails: u64,
    input_bytes: u64,
    message: String,
}

/// Why no larger input was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Stopped {
    Limit,
    Input,
    Number,
    Runs,
    Time,
}

/// What is found, as it is printed.
#[derive(Debug, Serialize)]
struct Forecast {
    #[serde(rename = "ref")]
    reference: Ref,
    fixture: String,
    grow: String,
    unit: &'static str,
    limits: Limit,
    /// In the order of their sizes.
    points: Vec<Point>,
    reached: Option<Reached>,
    stopped: Stopped,
}

pub(crate) fn forecast(cli: &Cli, args: &ForecastArgs) -> Result<(), Failure> {
    let (suite, case) = fixture(args)?;
    let growth = Growth::of(&case.input, &args.grow).map_err(|why| {
        Failure::usage(format!("{} > {}: {why}", suite.file.display(), case.name))
    })?;
    let host = Host::new(cli, host::memory(&args.limits), 1)?;
    let op = target::from_file(&host, &suite.op, compute_wasm::NAME)?;
    let options = case.call(&suite.op, host::limits(&args.limits))?;
    host.prepare(&op.artifact, options.limits)?;
    let limits = Limit::of(&options.limits.or(Limits::COMMAND_LINE).bounds());
    let probe = Probe { host: &host, op: &op, options, growth: &growth, started: Instant::now() };
    let (mut points, reached, stopped) = probe.find()?;
    points.sort_by_key(|point| point.size);
    let forecast = Forecast {
        reference: op.artifact.reference().clone(),
        fixture: case.name,
        grow: args.grow.clone(),
        unit: growth.unit(),
        limits,
        points,
        reached,
        stopped,
    };
    if args.json { print_json(&forecast) } else { plot::print(&forecast) }
}

/// The case that the command names, and whose it is.
fn fixture(args: &ForecastArgs) -> Result<(Suite, Case), Failure> {
    if args.op.is_dir() {
        return Err(Failure::usage(format!(
            "{} is a folder: name one op, such as total.ts",
            args.op.display()
        )));
    }
    let suites = fixtures::find(std::slice::from_ref(&args.op))?;
    let suite = suites.into_iter().next().ok_or_else(|| target::missing(&args.op))?;
    let wanted = args.fixture.as_deref();
    let case = suite.cases.iter().find(|case| wanted.is_none_or(|name| case.name == name));
    if let Some(case) = case.cloned() {
        return Ok((suite, case));
    }
    let file = suite.file.display();
    let names: Vec<_> = suite.cases.iter().map(|case| format!("`{}`", case.name)).collect();
    Err(Failure::usage(match wanted {
        Some(name) if !names.is_empty() => {
            format!("{file} has no fixture `{name}`; it has {}", names.join(", "))
        }
        _ => format!("{file} has no fixtures"),
    }))
}

/// Runs an op on inputs of any size.
struct Probe<'a> {
    host: &'a Host,
    op: &'a Target,
    options: RunOptions,
    growth: &'a Growth,
    started: Instant,
}

/// What came of a size.
enum Tried {
    Works,
    Fails(Point, String),
    Not(Stopped),
}

impl Probe<'_> {
    /// Doubles until a limit is reached, then halves the interval in which that was.
    fn find(&self) -> Result<(Vec<Point>, Option<Reached>, Stopped), Failure> {
        let mut points = Vec::new();
        let (mut works, mut times) = (0_u64, 1_u64);
        let (mut fails, mut point, mut message) = loop {
            match self.attempt(times, &mut points)? {
                Tried::Works => (works, times) = (times, times.saturating_mul(2)),
                Tried::Fails(point, message) => break (times, point, message),
                Tried::Not(stopped) => return Ok((points, None, stopped)),
            }
        };
        if works == 0 {
            return Err(Failure::Guest(format!("the fixture fails as it is: {message}")));
        }
        for _ in 0..HALVINGS {
            let between = works + (fails - works) / 2;
            if between == works {
                break;
            }
            match self.attempt(between, &mut points)? {
                Tried::Works => works = between,
                Tried::Fails(at, why) => (fails, point, message) = (between, at, why),
                Tried::Not(_) => break,
            }
        }
        let reached = Reached {
            status: point.status,
            works: self.growth.size(works).unwrap_or_default(),
            fails: point.size,
            input_bytes: point.input_bytes,
            message,
        };
        Ok((points, Some(reached), Stopped::Limit))
    }

    /// Runs the op on an input that is so many times the fixture's, if there is one and time for it.
    fn attempt(&self, times: u64, points: &mut Vec<Point>) -> Result<Tried, Failure> {
        if points.len() >= MAX_RUNS {
            return Ok(Tried::Not(Stopped::Runs));
        }
        let left = MAX_TIME.saturating_sub(self.started.elapsed());
        if left.is_zero() {
            return Ok(Tried::Not(Stopped::Time));
        }
        let Some(size) = self.growth.size(times) else {
            return Ok(Tried::Not(Stopped::Number));
        };
        // Before it is made: it may be larger than any memory.
        if self.growth.bytes(times).is_none_or(|bytes| bytes > MAX_INPUT) {
            return Ok(Tried::Not(Stopped::Input));
        }
        let Some(input) = self.growth.input(times) else {
            return Ok(Tried::Not(Stopped::Number));
        };
        let input = serde_json::to_vec(&input).map_err(|error| Failure::host(&error))?;
        let mut options = self.options.clone();
        let own = options.limits.wall;
        options.limits.wall = own.map(|wall| wall.min(left));
        let reference = self.op.artifact.reference();
        let outcome = self.host.manager.run_blocking(reference, &input, &options)?;
        let Metrics { status, wall, peak_memory, fuel, .. } = outcome.metrics;
        if status == Status::WallLimit && options.limits.wall != own {
            return Ok(Tried::Not(Stopped::Time));
        }
        let point = Point {
            size,
            input_bytes: input.len() as u64,
            status: status.name(),
            wall_ns: nanos(wall),
            peak_memory,
            fuel,
            output_bytes: outcome.result.as_ref().map_or(0, |output| output.len() as u64),
        };
        points.push(point.clone());
        Ok(match outcome.result {
            Ok(_) => Tried::Works,
            Err(failure) => {
                let map = self.op.source_map(self.host);
                Tried::Fails(point, report::failure(&failure, map.as_ref()))
            }
        })
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
