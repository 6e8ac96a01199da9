//! The most expensive check: searches for the worst API key and path, with the largest path patterns that a key may have.
//!
//! `cargo bench --bench worst_check`. `BENCH_ROUNDS` sets the length of the search. The limit is asserted.

use std::time::Duration;

use vestibule::access::{AccessRules, CheckRequest, PathInterpretations};
use vestibule::api_keys::{CombinedRestrictions, MAX_PATTERN_BYTES, MAX_PATTERNS, Restrictions};
use vestibule::role_map::RoleMap;

/// A key may take this long with any path.
const LIMIT: Duration = Duration::from_millis(50);
/// Each key of a chain may use the whole budget.
const KEYS: usize = 5;
/// The maximum length of a head that the listeners read.
const MAX_HEAD: usize = 128 << 10;

fn main() {
    // `cargo test --benches` also runs this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let map = role_map(1_000);
    let access = map.access().expect("the map has access rules");
    println!("The most expensive checks, in CPU time, found by a search of {rounds} rounds each\n");
    let mut worst = Duration::ZERO;
    for (name, keys, rules) in [
        ("a path alone", 0, None),
        ("a path and 1,000 access rules", 0, Some(access)),
        ("a key", 1, None),
        ("a derived key, five keys in its chain", KEYS, None),
        ("the same with 1,000 access rules", KEYS, Some(access)),
    ] {
        let found = Search::new(keys, rules).run(rounds);
        println!("{name:40} {:>8.2} ms   {}", found.time.as_secs_f64() * 1000.0, found.case);
        worst = worst.max(found.time);
    }
    usual_checks(access);
    assert!(worst < LIMIT, "a check takes {worst:?}");
}

/// The times of checks as programs send them, for comparison.
fn usual_checks(access: &AccessRules) {
    let restrictions = [Restrictions { paths: ["/v1/**", "/health"].map(str::to_owned).into(), ..Restrictions::default() }];
    let key = CombinedRestrictions::of(&restrictions);
    for (name, rules) in [("usual, a key with two patterns", None), ("usual, 1,000 access rules", Some(access))] {
        let case =
            Case { units: Vec::new(), path: PathShape { unit: "/v1/chat/completions", length: 20, ..PathShape::default() } };
        const TIMES: u32 = 100_000;
        let (path, start) = (case.path.text(), processor_time());
        for _ in 0..TIMES {
            std::hint::black_box(evaluate(std::hint::black_box(&path), &key, rules));
        }
        println!("{name:40} {:>8.5} ms", (processor_time() - start).as_secs_f64() * 1000.0 / f64::from(TIMES));
    }
}

/// The part of a check that depends on the path. Returns whether it is allowed.
fn evaluate(path: &str, key: &CombinedRestrictions, rules: Option<&AccessRules>) -> bool {
    let request = CheckRequest { method: "GET", scheme: "https", host: "llm.example.com", path, query: None };
    let paths = PathInterpretations::of(path);
    let matched = match (&paths, rules) {
        (Ok(paths), Some(rules)) => rules.match_interpretations(&request, paths).is_ok(),
        _ => true,
    };
    key.can_access_path(&paths) && matched
}

/// Rules of a large company: mostly prefixes, and wildcards in all positions.
fn role_map(rules: usize) -> RoleMap {
    let rule = |number: usize| match number % 10 {
        0 => format!("  - {{paths: [/teams/*/app-{number}/**, /**/secret-{number}/*], allow: signed_in}}\n"),
        1 => format!("  - {{paths: [/**/a/**/item-{number}], hosts: [other-{number}.example.com]}}\n"),
        2 => format!("  - {{paths: [/v{number}*/chat, /*-{number}/x?/**], methods: [POST, PUT], allow: signed_in}}\n"),
        3 => format!("  - {{paths: [/**/x{number}-*/**/z], allow: nobody}}\n"),
        _ => format!("  - {{paths: [/service-{number}/**, /V1/Models/{number}], allow: signed_in}}\n"),
    };
    let access: String = (0..rules).map(rule).collect();
    let document = format!("version: 1\naccess:\n{access}  - {{paths: [/**], allow: signed_in}}\n");
    RoleMap::parse(&document).expect("the rules are valid")
}

const RESTARTS: usize = 6;

/// Parts of patterns that are repeated. Each is valid after a slash and after itself.
const PATTERN_UNITS: [&str; 26] = [
    "a",
    "*a",
    "a*",
    "?",
    "?*a",
    "*?",
    "a?",
    "*a?",
    "/a",
    "/**/a",
    "/*",
    "/*a",
    "/a*",
    "/**/*",
    "/**/?",
    "/**/*a*",
    "/?",
    "/?*a",
    "/**/a/*",
    "/**/a*/?",
    "ab",
    "*ab",
    "*aab",
    "\u{e9}",
    "*\u{e9}",
    "/**/\u{e9}*",
];
const PATTERN_ENDS: [&str; 8] = ["", "b", "*", "/**", "/b", "*b", "?b", "/*b*"];
/// Numbers of patterns in which a key spends its budget.
const PATTERN_COUNTS: [usize; 6] = [8, 9, 16, 32, 48, 64];

const PATH_UNITS: [&str; 24] = [
    "a",
    "/a",
    "/",
    "aa/",
    "/aa",
    "ab",
    "/ab",
    "/a/b",
    "%61",
    "/%61",
    "/A",
    "/%2e",
    "/./a",
    "/b/../a",
    "/a;x",
    "%2f",
    "/%2fa",
    "\u{e9}",
    "/secret-0/a",
    "/a/item-1",
    "/x3-a",
    "/z",
    "/..;",
    "\\",
];
const PATH_DECORATIONS: [&str; 22] = [
    "",
    "/",
    "//",
    "/a;x",
    ";",
    "%61",
    "%2f",
    "%2561",
    "%252f",
    "\\",
    "/./",
    "/x/../",
    "/%2e/",
    "%3f",
    "%23",
    "%20",
    "%3b",
    "/A",
    "//a",
    "/%2e%2e/a",
    "%5c",
    "%25252f",
];
const PATH_LENGTHS: [usize; 12] = [64, 200, 400, 700, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, MAX_HEAD - 200];

#[derive(Clone, Default)]
struct PathShape {
    start: [&'static str; 3],
    unit: &'static str,
    length: usize,
    end: [&'static str; 4],
}

impl PathShape {
    fn text(&self) -> String {
        let text = format!("{}{}{}", self.start.concat(), self.unit.repeat(self.length / self.unit.len()), self.end.concat());
        if text.starts_with('/') { text } else { format!("/{text}") }
    }
}

/// One key's patterns: the repeated unit, the end, and the number of patterns.
type PatternShape = (&'static str, &'static str, usize);

#[derive(Clone)]
struct Case {
    units: Vec<PatternShape>,
    path: PathShape,
}

impl Case {
    fn key(&self) -> CombinedRestrictions {
        let lists = self.units.iter().enumerate();
        let all: Vec<_> = lists.map(|(key, shape)| restrictions(key, *shape)).collect();
        let combined = CombinedRestrictions::of(&all);
        assert!(!combined.are_too_large());
        combined
    }
}

/// Restrictions that use up the budget of one key.
fn restrictions(key: usize, (unit, end, count): PatternShape) -> Restrictions {
    let pattern = |number: usize| {
        // Each pattern is different, so that no list is counted once for all.
        let own = format!("{}{}", "a".repeat(key + 1), "?".repeat(number % 3));
        let slash = if end.ends_with("**") || unit.starts_with('/') { "/" } else { "" };
        let first = if unit.starts_with('/') { "" } else { "/" };
        let room = (MAX_PATTERN_BYTES / count).min(512) - first.len() - end.len() - slash.len() - own.len();
        let filling = unit.repeat(room / unit.len());
        format!("{first}{filling}{end}{slash}{own}")
    };
    let fits = |text: &String| vestibule::access::PathPattern::parse(text).is_ok();
    let paths: Vec<String> = (0..count.min(MAX_PATTERNS)).map(pattern).filter(fits).collect();
    Restrictions { paths, ..Restrictions::default() }
}

struct SlowestCase {
    time: Duration,
    case: String,
}

/// A hill climb with restarts: changes one part of the case, and keeps the change if the check takes longer.
struct Search<'a> {
    keys: usize,
    rules: Option<&'a AccessRules>,
    random: u64,
}

impl<'a> Search<'a> {
    fn new(keys: usize, rules: Option<&'a AccessRules>) -> Self {
        Self { keys, rules, random: 0x9E37_79B9_7F4A_7C15 }
    }

    fn run(&mut self, rounds: usize) -> SlowestCase {
        let mut worst: Option<(Duration, Case)> = None;
        for start in 0..RESTARTS {
            let mut case = self.starting_case(start);
            let mut time = self.measure(&case);
            for _ in 0..rounds / RESTARTS {
                let changed = self.change(case.clone());
                let other = self.measure(&changed);
                if other > time {
                    (case, time) = (changed, other);
                }
            }
            if worst.as_ref().is_none_or(|(known, _)| time > *known) {
                worst = Some((time, case));
            }
        }
        let (_, case) = worst.expect("there are rounds");
        let mut times: Vec<_> = (0..9).map(|_| self.measure(&case)).collect();
        times.sort();
        let text = case.path.text();
        let interpretations = PathInterpretations::of(&text).map_or(0, |paths| paths.paths().count());
        let shapes: Vec<_> = case.units.iter().map(|(unit, end, count)| format!("{count} x {unit:?}…{end:?}")).collect();
        let path =
            format!("{:?} {:?}… {:?}, {} bytes", case.path.start.concat(), case.path.unit, case.path.end.concat(), text.len());
        SlowestCase { time: times[4], case: format!("{interpretations} interpretations of {path}; {}", shapes.join(", ")) }
    }

    /// The shorter of two runs, without the compilation of the key.
    fn measure(&self, case: &Case) -> Duration {
        let (key, path) = (case.key(), case.path.text());
        let time = || {
            let start = processor_time();
            std::hint::black_box(evaluate(std::hint::black_box(&path), &key, self.rules));
            processor_time() - start
        };
        time().min(time())
    }

    /// Long runs that keep all places active, then random cases.
    fn starting_case(&mut self, number: usize) -> Case {
        let Some((pattern, path)) = [(("/**/a", "", 8), "/a"), (("*a", "b", 8), "a")].get(number).copied() else {
            return self.random_case();
        };
        let path = PathShape { unit: path, length: 60_000, ..PathShape::default() };
        Case { units: vec![pattern; self.keys], path }
    }

    fn random_case(&mut self) -> Case {
        let mut case = Case { units: (0..self.keys).map(|_| self.pattern_shape()).collect(), path: PathShape::default() };
        case.path.unit = self.one(&PATH_UNITS);
        case.path.length = self.one(&PATH_LENGTHS);
        case
    }

    fn change(&mut self, mut case: Case) -> Case {
        match self.number(if self.keys == 0 { 4 } else { 7 }) {
            0 => case.path.unit = self.one(&PATH_UNITS),
            1 => case.path.length = self.one(&PATH_LENGTHS),
            2 => case.path.start[self.number(3)] = self.one(&PATH_DECORATIONS),
            3 => case.path.end[self.number(4)] = self.one(&PATH_DECORATIONS),
            4 => case.units = vec![self.pattern_shape(); self.keys],
            _ => {
                let key = self.number(self.keys);
                case.units[key] = self.pattern_shape();
            }
        }
        case
    }

    fn pattern_shape(&mut self) -> PatternShape {
        (self.one(&PATTERN_UNITS), self.one(&PATTERN_ENDS), self.one(&PATTERN_COUNTS))
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.number(all.len())]
    }

    /// A xorshift generator: the search is the same in each run.
    fn number(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below as u64) as usize
    }
}

/// The processor time of this thread, which other processes do not change.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `time`, which outlives it.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "the kernel has a clock for each thread");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
