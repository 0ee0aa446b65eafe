//! What jobs cost the database, by how many nodes there are: the plot in `docs/`, drawn from the simulation.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::{Event, Told, UNKIND, World};

/// For how long is counted, in milliseconds.
const TIME: i64 = 10_000;
const NODES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// How many jobs are submitted in a second.
const RATES: [i64; 3] = [0, 10, 100];
const COLOURS: [&str; 3] = ["#3465a4", "#4e9a06", "#cc0000"];

/// How often the queue is asked in a second, of so many nodes to which so many jobs come in one.
fn asked(nodes: usize, rate: i64) -> f64 {
    let mut world = World::of(fastrand::Rng::with_seed(11), nodes);
    world.takes = Some(5);
    // Nothing goes wrong.
    world.clock.store(1_700_000_000_000 + UNKIND, Ordering::Relaxed);
    for node in 0..nodes {
        world.at(UNKIND, node, Event::Told(Told::Woken));
    }
    for number in 0..rate * TIME / 1000 {
        let node = world.random.usize(0..nodes);
        world.at(UNKIND + number * 1000 / rate, node, Event::Submit);
    }
    world.run(UNKIND + TIME);
    world.asked as f64 * 1000.0 / TIME as f64
}

/// Where a number is on an axis of so many pixels, whose ends are these: each power of two is as far from the next.
fn place(number: f64, (least, most): (f64, f64), pixels: f64) -> f64 {
    (number / least).log2() / (most / least).log2() * pixels
}

fn plot() -> String {
    let (left, top, width, height) = (60.0, 20.0, 480.0, 260.0);
    let (x, y) = ((1.0, 64.0), (0.25, 512.0));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" height=\"340\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"680\" height=\"340\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"330\" text-anchor=\"middle\">nodes</text>\n\
         <text x=\"14\" y=\"150\" text-anchor=\"middle\" transform=\"rotate(-90 14 150)\">transactions a second</text>\n",
        left + width / 2.0
    );
    let mut draw = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(svg, "{text}");
    };
    for power in -2..=9 {
        let number = 2_f64.powi(power);
        let at = top + height - place(number, y, height);
        draw(format_args!(
            r##"<path d="M{left} {at:.1}h{width}" stroke="#ddd"/><text x="{}" y="{:.1}" text-anchor="end">{number}</text>"##,
            left - 6.0,
            at + 4.0
        ));
    }
    for nodes in NODES {
        let at = left + place(nodes as f64, x, width);
        draw(format_args!(
            r##"<path d="M{at:.1} {top}v{height}" stroke="#ddd"/><text x="{at:.1}" y="{}" text-anchor="middle">{nodes}</text>"##,
            top + height + 18.0
        ));
    }
    for (rate, colour) in RATES.into_iter().zip(COLOURS) {
        let points: Vec<_> = NODES
            .into_iter()
            .map(|nodes| {
                let across = left + place(nodes as f64, x, width);
                (across, top + height - place(asked(nodes, rate), y, height))
            })
            .collect();
        let line: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (x, y) = points.last().copied().unwrap_or_default();
        draw(format_args!(
            r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#,
            line.join(" ")
        ));
        draw(format_args!(
            r#"<text x="{:.1}" y="{:.1}" fill="{colour}">{rate} jobs a second</text>"#,
            x + 6.0,
            y + 4.0
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The plot that the documentation has is the one that the workers of this version give. `COMPUTE_BLESS=1` draws it anew.
#[test]
fn the_plot_is_that_of_the_simulation() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fleet-cost.svg");
    let plot = plot();
    if std::env::var_os("COMPUTE_BLESS").is_some() {
        std::fs::write(&file, &plot).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(kept, plot, "COMPUTE_BLESS=1 draws it anew");
}
