//! Runs the simulator over many seeds, or one and shows it.
//!
//! ```text
//! sim --seeds A..B [--nodes N] [--steps M] [--hostile]
//! sim --seed S --trace [--dot] [--nodes N] [--steps M] [--hostile]
//! sim --replay FILE [--trace] [--dot]
//! sim --exhaustive [--world NAME] [--states LIMIT]
//! ```
//!
//! `--trace` prints the routes after each step, as text; with `--dot` also as a graph in the language of
//! Graphviz, from `graph routes {` to the next line that is `}`: terminals are boxes, proxies circles,
//! decaying links dashed. `--replay` carries out a trace as a failing seed prints it, and lets things come to
//! rest after it in sixteen orders, or with `--trace` in one. `--world` explores the worlds whose names contain NAME.

use std::process::ExitCode;

use ipcz_tests::sim::explore::{Found, PLOTS, explore};
use ipcz_tests::sim::run::{Outcome, run_seed, shrink};
use ipcz_tests::sim::{Profile, Start, Trace, Violation, Wanted, run};

/// Failing seeds after which it is pointless to go on.
const ENOUGH: u64 = 10;

/// How many ways there are for a trace that is replayed to come to rest.
const ENDINGS: u64 = 16;

const USAGE: &str = "\
usage: sim --seeds A..B [--nodes N] [--steps M] [--hostile]
       sim --seed S --trace [--dot] [--nodes N] [--steps M] [--hostile]
       sim --replay FILE [--trace] [--dot]
       sim --exhaustive [--world NAME] [--states LIMIT]

--trace prints the routes after each step; with --dot as Graphviz graphs too.";

struct Options {
    seeds: std::ops::Range<u64>,
    trace: bool,
    dot: bool,
    world: String,
    replay: Option<String>,
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
    match (options.exhaustive, &options.replay, options.trace) {
        (true, ..) => exhaust(&options),
        (false, Some(file), _) => replay(file, &options),
        (false, None, true) => show_seed(&options),
        (false, None, false) => search(&options),
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        seeds: 0..1000,
        trace: false,
        dot: false,
        world: String::new(),
        replay: None,
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
            "--replay" => options.replay = Some(args.next().ok_or("--replay FILE")?),
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

fn start(seed: u64, options: &Options) -> Start {
    Profile::of_seed(seed, options.wanted).start(seed)
}

fn report(seed: u64, options: &Options, outcome: &Outcome) {
    let start = start(seed, options);
    let shrunk = shrink(&start.world(), outcome);
    for violation in [&outcome.violation, &shrunk.violation].into_iter().flatten() {
        println!("seed {seed}: {}: {}", violation.invariant, violation.detail);
    }
    println!("seed {seed}: {} steps, {} after shrinking:", outcome.trace.len(), shrunk.trace.len());
    print!("{}", Trace { start, steps: shrunk.trace });
}

fn show_seed(options: &Options) -> ExitCode {
    let seed = options.seeds.start;
    let outcome = run_seed(seed, options.wanted);
    show(&start(seed, options), &outcome, options);
    judge(&format!("seed {seed}"), outcome.violation)
}

/// Carries out a trace that was kept.
fn replay(file: &str, options: &Options) -> ExitCode {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let trace: Trace = match text.and_then(|text| text.parse()) {
        Ok(trace) => trace,
        Err(what) => {
            eprintln!("{file}: {what}");
            return ExitCode::from(2);
        }
    };
    if options.trace {
        let outcome = trace.replay(0);
        show(&trace.start, &outcome, options);
        return judge(file, outcome.violation);
    }
    judge(file, (0..ENDINGS).find_map(|ending| trace.replay(ending).violation))
}

/// Prints the routes after each step.
fn show(start: &Start, outcome: &Outcome, options: &Options) {
    let mut world = start.world();
    println!("{start}");
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
}

fn judge(what: &str, violation: Option<Violation>) -> ExitCode {
    match violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("{what}: {}: {}", violation.invariant, violation.detail);
            ExitCode::FAILURE
        }
    }
}
