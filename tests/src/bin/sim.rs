//! Runs the simulator over many seeds, or one and shows it.
//!
//! ```text
//! sim --seeds A..B [--nodes N] [--steps M] [--hostile]
//! sim --seed S --trace [--dot] [--nodes N] [--steps M] [--hostile]
//! sim --exhaustive [--world NAME] [--states LIMIT]
//! ```
//!
//! `--trace` prints the routes after each step, as text; with `--dot` also as a graph in the language of
//! Graphviz, from `graph routes {` to the next line that is `}`: terminals are boxes, proxies circles,
//! decaying links dashed. `--world` explores the worlds whose names contain NAME.

use std::process::ExitCode;

use ipcz_tests::sim::explore::{Found, PLOTS, explore};
use ipcz_tests::sim::run::{Outcome, run_seed, shrink};
use ipcz_tests::sim::schedule::{Profile, Wanted};
use ipcz_tests::sim::{World, run};

/// Failing seeds after which it is pointless to go on.
const ENOUGH: u64 = 10;

const USAGE: &str = "\
usage: sim --seeds A..B [--nodes N] [--steps M] [--hostile]
       sim --seed S --trace [--dot] [--nodes N] [--steps M] [--hostile]
       sim --exhaustive [--world NAME] [--states LIMIT]

--trace prints the routes after each step; with --dot as Graphviz graphs too.";

struct Options {
    seeds: std::ops::Range<u64>,
    trace: bool,
    dot: bool,
    world: String,
    exhaustive: bool,
    states: usize,
    wanted: Wanted,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    match (options.exhaustive, options.trace) {
        (true, _) => exhaust(&options),
        (false, true) => show(&options),
        (false, false) => search(&options),
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        seeds: 0..1000,
        trace: false,
        dot: false,
        world: String::new(),
        exhaustive: false,
        states: 2_000_000,
        wanted: Wanted::default(),
    };
    fn number<T: std::str::FromStr>(text: Option<String>) -> Result<T, String> {
        let text = text.ok_or("a number is missing")?;
        text.parse().map_err(|_| format!("{text} is not a number"))
    }
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seeds" => {
                let range = args.next().ok_or("--seeds A..B")?;
                let (from, to) = range.split_once("..").ok_or("--seeds A..B")?;
                options.seeds = number(Some(from.into()))?..number(Some(to.into()))?;
            }
            "--seed" => {
                let seed = number(args.next())?;
                options.seeds = seed..seed + 1;
            }
            "--nodes" => options.wanted.nodes = Some(number::<u8>(args.next())?.clamp(1, 64)),
            "--steps" => options.wanted.steps = Some(number(args.next())?),
            "--hostile" => options.wanted.hostile = true,
            "--trace" => options.trace = true,
            "--dot" => options.dot = true,
            "--world" => options.world = args.next().ok_or("--world NAME")?,
            "--exhaustive" => options.exhaustive = true,
            "--states" => options.states = number(args.next())?,
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(options)
}

/// Explores the named worlds, and prints what each holds.
fn exhaust(options: &Options) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for plot in PLOTS.iter().filter(|plot| plot.name.contains(&options.world)) {
        for opened_at in [0, 1] {
            let Found { states, ends, depth, cut_short, violation } =
                explore(plot, opened_at, 0, options.states);
            let more = if cut_short { ", cut short" } else { "" };
            println!(
                "{}, opened at {opened_at}: {states} states, {ends} ends, depth {depth}{more}",
                plot.name
            );
            if let Some(violation) = violation {
                println!("    {}: {}", violation.invariant, violation.detail);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn search(options: &Options) -> ExitCode {
    let (mut seeds, mut steps, mut violations) = (0, 0, 0);
    let begun = std::time::Instant::now();
    for seed in options.seeds.clone() {
        let outcome = run_seed(seed, options.wanted);
        seeds += 1;
        steps += outcome.trace.len();
        if outcome.violation.is_some() {
            violations += 1;
            report(seed, options, &outcome);
        }
        if violations >= ENOUGH {
            break;
        }
    }
    let rate = steps as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} steps a second");
    println!("{seeds} seeds, {steps} steps, {violations} violations");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(seed: u64, options: &Options) -> World {
    Profile::of_seed(seed, options.wanted).world(seed)
}

fn report(seed: u64, options: &Options, outcome: &Outcome) {
    let shrunk = shrink(&start(seed, options), outcome);
    for violation in [&outcome.violation, &shrunk.violation].into_iter().flatten() {
        println!("seed {seed}: {}: {}", violation.invariant, violation.detail);
    }
    println!("seed {seed}: {} steps, {} after shrinking:", outcome.trace.len(), shrunk.trace.len());
    for step in &shrunk.trace {
        println!("    {step}");
    }
}

/// Replays one seed and prints the routes after each step.
fn show(options: &Options) -> ExitCode {
    let seed = options.seeds.start;
    let outcome = run_seed(seed, options.wanted);
    let mut world = start(seed, options);
    for (index, step) in outcome.trace.iter().enumerate() {
        println!("{index:5} {step}");
        let applied = run::caught(|| world.apply(step).map(|_| ()));
        print!("{}", world.routes());
        if options.dot {
            print!("{}", world.dot());
        }
        if applied.is_some() {
            break;
        }
    }
    match &outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("seed {seed}: {}: {}", violation.invariant, violation.detail);
            ExitCode::FAILURE
        }
    }
}
