//! A forecast as a person reads it: a line a size, a bar a limit.

use std::time::Duration;

use bytesize::ByteSize;
use compute::Status;

use super::{Forecast, MAX_INPUT, MAX_RUNS, MAX_TIME, Point, Reached, Stopped};
use crate::failure::Failure;
use crate::show::print_line;

/// How many characters wide a limit's bar is.
const WIDTH: u64 = 10;

/// Prints a line for each size, and what came of it.
pub(super) fn print(forecast: &Forecast) -> Result<(), Failure> {
    let limits = &forecast.limits;
    let mut head = format!("{:>13} {:>10}", forecast.unit, "input");
    head += &heading("wall", &time(limits.wall_ns));
    head += &heading("memory", &size(limits.memory));
    head += &heading("output", &size(limits.output));
    if let Some(fuel) = limits.fuel {
        head += &heading("fuel", &grouped(fuel));
    }
    print_line(head.trim_end())?;
    for point in &forecast.points {
        print_line(line(forecast, point).trim_end())?;
    }
    print_line("")?;
    print_line(verdict(forecast))
}

fn heading(name: &str, limit: &str) -> String {
    format!("  {:<23}", format!("{name} of {limit}"))
}

fn line(forecast: &Forecast, point: &Point) -> String {
    let limits = &forecast.limits;
    let mut line = format!("{:>13} {:>10}", grouped(point.size), size(point.input_bytes));
    line += &bar(point.wall_ns, limits.wall_ns, &time(point.wall_ns));
    line += &bar(point.peak_memory, limits.memory, &size(point.peak_memory));
    if point.is_ok() {
        line += &bar(point.output_bytes, limits.output, &size(point.output_bytes));
    } else {
        line += &bar(0, limits.output, "none");
    }
    if let (Some(used), Some(limit)) = (point.fuel, limits.fuel) {
        line += &bar(used, limit, &grouped(used));
    }
    if !point.is_ok() {
        line = format!("{}  {}", line.trim_end(), point.status);
    }
    line
}

/// How much of a limit is used.
fn bar(used: u64, limit: u64, shown: &str) -> String {
    let full = u128::from(used) * u128::from(WIDTH) / u128::from(limit.max(1));
    let full = usize::try_from(full).unwrap_or(usize::MAX).min(WIDTH as usize);
    format!("  {}{} {shown:<12}", "█".repeat(full), "·".repeat(WIDTH as usize - full))
}

/// What is to be expected, in words.
fn verdict(forecast: &Forecast) -> String {
    let unit = forecast.unit;
    if let Some(reached) = &forecast.reached {
        return reached_in_words(reached, unit);
    }
    let last = forecast.points.last();
    let (largest, input) = last.map_or((0, 0), |last| (last.size, last.input_bytes));
    let why = match forecast.stopped {
        Stopped::Input => format!("a larger input has more than {}", size(MAX_INPUT)),
        Stopped::Number => "larger numbers are not exact".to_owned(),
        Stopped::Runs => format!("these are {MAX_RUNS} runs"),
        Stopped::Time | Stopped::Limit => format!("a larger one has no time left of {MAX_TIME:?}"),
    };
    format!("no limit is reached up to {} ({} of input); {why}", sized(largest, unit), size(input))
}

fn reached_in_words(reached: &Reached, unit: &str) -> String {
    let Reached { works, fails, input_bytes, message, .. } = reached;
    let limit = [
        (Status::MemoryLimit, "the memory limit is reached"),
        (Status::WallLimit, "the wall limit is reached"),
        (Status::FuelLimit, "the fuel limit is reached"),
        (Status::OutputLimit, "the output limit is reached"),
    ];
    let found = limit.iter().find(|(status, _)| status.name() == reached.status);
    let what = found.map_or("the op fails by itself", |(_, what)| what);
    format!(
        "{what} at {} ({} of input); the largest that works is {}\n{message}",
        sized(*fails, unit),
        size(*input_bytes),
        grouped(*works)
    )
}

fn sized(number: u64, unit: &str) -> String {
    if unit == "value" {
        format!("the value {}", grouped(number))
    } else {
        format!("{} {unit}", grouped(number))
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

fn time(nanos: u64) -> String {
    format!("{:.1?}", Duration::from_nanos(nanos))
}
