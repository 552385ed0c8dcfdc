//! `swath-count`: instructions per packet of the main cases, by callgrind, against the limits that are kept with the code. They are the same on a
//! machine that is busy with something else.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use swath_micro::callgrind::{self, Counts};
use swath_micro::cases::Case;
use swath_micro::limits::{Limits, TOLERANCE, Verdict};
use swath_micro::rig::Rig;

const USAGE: &str = "swath-count [--update] [--limits FILE] [CASE...]: instructions per packet, against those that FILE says";

/// Cases that have limits: seconds each.
const CASES: [&str; 11] = [
    "ip4-1",
    "ip4-1-exceptions",
    "l2-cross-connect",
    "acl-router-1",
    "acl-router-100",
    "acl-router-1000",
    "acl-reflect-10k",
    "nat-1",
    "nat-10k",
    "nodes-300-1",
    "nodes-300",
];

/// Kernels that valgrind can run on each machine that this is built for.
const KERNELS: &str = "avx2";

#[derive(Debug, Default)]
struct Arguments {
    update: bool,
    limits: PathBuf,
    /// Those to count; or if `vectors` is given, the one to run.
    cases: Vec<String>,
    vectors: Option<usize>,
}

impl Arguments {
    fn parse(mut from: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let limits = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
        let mut arguments = Arguments { limits, ..Arguments::default() };
        while let Some(word) = from.next() {
            let mut value = || from.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--update" => arguments.update = true,
                "--limits" => arguments.limits = value()?.into(),
                "--case" => arguments.cases.push(value()?),
                "--vectors" => arguments.vectors = Some(value()?.parse().map_err(|_| "--vectors wants a number")?),
                other if other.starts_with('-') => return Err(USAGE.into()),
                _ => arguments.cases.push(word),
            }
        }
        Ok(arguments)
    }
}

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("swath-count: {error}");
            ExitCode::FAILURE
        }
    }
}

fn find(name: &str) -> Result<Case, String> {
    Case::all().into_iter().find(|case| case.name == name).ok_or_else(|| format!("there is no case '{name}'"))
}

/// Returns whether all is as it should be.
fn run(arguments: &Arguments) -> Result<bool, String> {
    if let Some(vectors) = arguments.vectors {
        let name = arguments.cases.first().ok_or(USAGE)?;
        Rig::new(&find(name)?).run(vectors);
        return Ok(true);
    }
    let names: Vec<&str> = match arguments.cases.as_slice() {
        [] => CASES.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    let has_valgrind = std::process::Command::new("valgrind").arg("--version").output().is_ok();
    if !has_valgrind && std::env::var("CI").as_deref() != Ok("true") {
        println!("instructions are not counted: there is no valgrind");
        return Ok(true);
    }
    let cases = names.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
    let counts = count(&cases)?;
    if arguments.update {
        let counts: Vec<(&str, f64)> = cases.iter().zip(&counts).map(|(case, counts)| (case.name, counts.total)).collect();
        std::fs::write(&arguments.limits, Limits::write(&counts))
            .map_err(|error| format!("{}: {error}", arguments.limits.display()))?;
    }
    let text = std::fs::read_to_string(&arguments.limits).map_err(|error| format!("{}: {error}", arguments.limits.display()))?;
    Ok(judge(&cases, &counts, &Limits::parse(&text)?))
}

/// Counts cases, as many at once as there are cores.
fn count(cases: &[Case]) -> Result<Vec<Counts>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![Ok(Counts::default()); cases.len()]));
    let work = || {
        while let Some((at, case)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?))) {
            let counted = callgrind::count(&program, case, KERNELS);
            if let Ok(mut done) = done.lock() {
                done[at] = counted;
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).for_each(|_| drop(scope.spawn(work)));
    });
    done.into_inner().map_err(|_| "a thread has died")?.into_iter().collect()
}

/// Prints a row of each. Returns whether none is worse.
fn judge(cases: &[Case], counts: &[Counts], limits: &Limits) -> bool {
    let mut is_good = true;
    println!("| case | instructions per packet | limit | |\n|---|---|---|---|");
    for (case, Counts { total, functions }) in cases.iter().zip(counts) {
        let verdict = limits.judge(case.name, *total);
        let limit = limits.of(case.name).map_or_else(|| "-".into(), |limit| format!("{limit:.1}"));
        let word = match verdict {
            Verdict::Kept => "",
            Verdict::Worse => "**more**",
            Verdict::Better => "less: `make count-update`",
            Verdict::New => "**new**: `make count-update`",
        };
        println!("| {} | {total:.1} | {limit} | {word} |", case.name);
        if verdict == Verdict::Worse {
            is_good = false;
            for (name, each) in functions.iter().take(5) {
                println!("    {each:7.1}  {}", callgrind::short(name));
            }
        }
        is_good &= verdict != Verdict::New;
    }
    if !is_good {
        println!(
            "\nA case takes more than {:.0} % above what bench/micro/instructions.txt says. If there is a reason for it, `make count-update` \
             writes that anew; say in the commit why.",
            TOLERANCE * 100.0
        );
    }
    is_good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_with_a_limit_is_there_and_is_quick() {
        for name in CASES {
            assert!(callgrind::is_countable(&find(name).unwrap()), "{name}");
        }
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")).unwrap();
        let limits = Limits::parse(&text).unwrap();
        assert!(CASES.iter().all(|name| limits.of(name).is_some()), "make count-update");
    }

    #[test]
    fn more_is_told_and_new_too() {
        let (case, other) = (find("ip4-1").unwrap(), find("nat-1").unwrap());
        let limits = Limits::parse("ip4-1 100").unwrap();
        let counts = |total| vec![Counts { total, functions: Vec::new() }];
        let judged = [95.0, 100.0, 103.0].map(|total| judge(&[case], &counts(total), &limits));
        assert_eq!(judged, [true, true, false]);
        assert!(!judge(&[other], &counts(1.0), &limits));
    }

    #[test]
    fn arguments_are_read() {
        let parse = |words: &str| Arguments::parse(words.split(' ').map(String::from));
        let arguments = parse("--case ip4-1 --vectors 20").unwrap();
        assert_eq!((arguments.cases, arguments.vectors), (vec!["ip4-1".to_string()], Some(20)));
        assert!(parse("--limits").is_err() && parse("--vectors x").is_err() && parse("--what").is_err());
        assert!(parse("--update --limits a").is_ok_and(|arguments| arguments.update && arguments.limits == Path::new("a")));
    }
}
