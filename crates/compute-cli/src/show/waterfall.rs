//! A trace as a person reads it: what ran when, beside what, and for how long.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use compute::Printable;
use compute_flow::{EventKind, Step, Trace};
use serde_json::Value;

use super::terminal::printable;

/// How many characters wide the bars are.
const WIDTH: u64 = 24;
/// How many characters of a payload are shown.
const PAYLOAD: usize = 2000;

/// A trace as text; with all that it holds if asked.
pub(crate) fn show(trace: &Trace, verbose: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, trace, verbose);
    out
}

/// A line that tells of a trace.
pub(crate) fn line(trace: &Trace) -> String {
    format!(
        "{}  {}  {:<24} {:<18} {:>9}  {}",
        trace.id,
        trace.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        trace.stage.to_string(),
        trace.status,
        time(trace.wall_ns),
        steps(trace)
    )
}

fn steps(trace: &Trace) -> String {
    super::output::count(trace.steps.len(), "step")
}

fn write(out: &mut String, trace: &Trace, verbose: bool) -> std::fmt::Result {
    let bold = Style::new().bold();
    writeln!(out, "{bold}trace {}{bold:#}", trace.id)?;
    writeln!(
        out,
        "{}  {}  {}  {}, {} units of work",
        trace.stage,
        colored(&trace.status),
        time(trace.wall_ns),
        steps(trace),
        trace.work
    )?;
    writeln!(out, "now {}, seed {}", trace.now, trace.seed)?;
    let versions: Vec<_> =
        trace.numbers.iter().map(|(stack, number)| format!("{stack}@{number}")).collect();
    if !versions.is_empty() {
        writeln!(out, "{}", versions.join(", "))?;
    }
    if let Some(error) = &trace.error {
        writeln!(out, "{}", printable(error))?;
    }
    payload(out, verbose, "request", trace.request.as_ref())?;
    let mut steps = trace.steps.iter().peekable();
    let mut entry = 0;
    for event in &trace.events {
        match &event.kind {
            EventKind::StageEnter { stage } => {
                entry += 1;
                writeln!(out, "{bold}{stage}{bold:#}")?;
                while let Some(step) = steps.next_if(|step| step.entry == entry) {
                    self::step(out, step, trace.wall_ns, verbose)?;
                }
            }
            EventKind::Delete { paths } => writeln!(out, "  deleted {}", paths.join(", "))?,
            EventKind::Jump { to, .. } => writeln!(out, "  jumped to {to}")?,
            EventKind::Halt { .. } => writeln!(out, "  halted")?,
            EventKind::Warning { op, message } => writeln!(out, "  {op}: {}", printable(message))?,
            _ => {}
        }
    }
    payload(out, verbose, "response", trace.response.as_ref())?;
    if trace.dropped > 0 {
        writeln!(out, "{} events, steps or logs are left out: there were too many", trace.dropped)?;
    }
    Ok(())
}

fn step(out: &mut String, step: &Step, total: u64, verbose: bool) -> std::fmt::Result {
    let name = step.op.rsplit('/').next().unwrap_or_default();
    let at = |ns: u64| (ns.saturating_mul(WIDTH) / total.max(1)).min(WIDTH);
    let (start, end) = (at(step.at_ns), at(step.at_ns + step.wall_ns));
    let bar = if step.reference.is_some() {
        let length = (end - start).max(1) as usize;
        format!("{}{}", " ".repeat((start as usize).min(23)), "█".repeat(length))
    } else {
        String::new()
    };
    let size = |bytes: u64| ByteSize::b(bytes).display().iec().to_string();
    let took = step.reference.as_ref().map(|_| {
        format!(
            "{:>9}  {} → {}",
            time(step.wall_ns),
            size(step.input_bytes),
            size(step.output_bytes)
        )
    });
    let line = format!(
        "  {name:<20} {bar:<24} {:<14} {}",
        colored(&step.status),
        took.unwrap_or_default()
    );
    writeln!(out, "{}", line.trim_end())?;
    if let Some(error) = &step.error {
        writeln!(out, "    {}", printable(error))?;
    }
    if !verbose {
        return Ok(());
    }
    if let Some(reference) = &step.reference {
        writeln!(out, "    runs {reference}")?;
    }
    if let Some(metrics) = &step.metrics {
        let fuel = metrics.fuel.map_or(String::new(), |fuel| format!(", {fuel} of fuel"));
        let (guest, load) = (time(metrics.guest_ns), time(metrics.load_ns));
        let memory = size(metrics.peak_memory);
        writeln!(out, "    in the sandbox {guest}, loading {load}, {memory} of memory{fuel}")?;
    }
    payload(out, true, "  input", step.input.as_ref())?;
    payload(out, true, "  output", step.output.as_ref())?;
    for line in &step.log {
        writeln!(out, "    {} {}", line.level, printable(&line.text))?;
    }
    for line in step.stderr.lines() {
        writeln!(out, "    stderr {}", printable(line))?;
    }
    for event in &step.events {
        writeln!(out, "    event {} {}", printable(&event.name), printable(event.data.get()))?;
    }
    Ok(())
}

fn payload(out: &mut String, shown: bool, name: &str, value: Option<&Value>) -> std::fmt::Result {
    let Some(value) = value.filter(|_| shown) else { return Ok(()) };
    let text = value.to_string();
    let cut: String = text.chars().take(PAYLOAD).collect();
    let rest = if cut.len() < text.len() { " … (--json shows all)" } else { "" };
    writeln!(out, "  {name} {}{rest}", Printable::line(&cut))
}

fn colored(status: &str) -> String {
    let color = if status == "ok" { AnsiColor::Green } else { AnsiColor::Red };
    let style = Style::new().fg_color(Some(color.into()));
    format!("{style}{status}{style:#}")
}

fn time(nanos: u64) -> String {
    format!("{:.2?}", Duration::from_nanos(nanos))
}
