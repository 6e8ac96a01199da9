//! Checks per second, compared with an empty handler of the same framework with as many workers.

use actix_web::{App, HttpResponse, HttpServer, web};

use super::process::processor_time;
use super::setting;
use super::site::BenchFleet;
use super::wrk::{CONNECTIONS, Case, Measured, ask};

const ROUNDS: usize = 3;

/// The best of the rounds, because other processes only ever slow a round down.
#[derive(Clone, Copy)]
struct BestRound {
    measured: Measured,
    /// Microseconds of processor time per request.
    processor: f64,
    /// Commands to the store per request.
    stored: f64,
}

pub async fn measure(bench: &BenchFleet) {
    let seconds = setting("BENCH_SECONDS", 4);
    let empty = Case { name: "an empty handler", port: start_empty_handler(), headers: Vec::new(), passes: true };
    let cases = bench.cases().await;
    for case in &cases {
        ask(case, 1);
    }
    // Access logging reads the requests, and the log is discarded.
    let laden = Case { name: "an empty handler, asked as a session", headers: cases[0].headers.clone(), ..empty.clone() };
    let (mut baseline, mut with_headers) = (None, None);
    let mut best: Vec<Option<BestRound>> = vec![None; cases.len()];
    for _ in 0..ROUNDS {
        baseline = best_of(baseline, measure_empty_handler(&empty, seconds));
        with_headers = best_of(with_headers, measure_empty_handler(&laden, seconds));
        for (best, case) in best.iter_mut().zip(&cases) {
            *best = best_of(*best, measure_pod(bench, case, seconds).await);
        }
    }
    let baseline = baseline.expect("there is a round");
    println!("Checks: one worker, {CONNECTIONS} connections, {seconds} s each, the best of {ROUNDS} rounds\n");
    println!(
        "{:38} {:>10} {:>6} {:>8} {:>8} {:>8} {:>16}",
        "", "per second", "ratio", "p50 ms", "p99 ms", "CPU µs", "store per check"
    );
    print(&empty, &baseline, &baseline);
    print(&laden, &with_headers.expect("there is a round"), &baseline);
    for (case, best) in cases.iter().zip(best) {
        print(case, &best.expect("there is a round"), &baseline);
    }
}

fn print(case: &Case, BestRound { measured, processor, stored }: &BestRound, baseline: &BestRound) {
    let ratio = measured.rate / baseline.measured.rate;
    let Measured { rate, p50, p99 } = measured;
    println!("{:38} {rate:>10.0} {ratio:>6.2} {p50:>8.2} {p99:>8.2} {processor:>8.1} {stored:>16.5}", case.name);
}

/// Served by this process, which does nothing else meanwhile.
fn measure_empty_handler(empty: &Case, seconds: usize) -> BestRound {
    let before = processor_time(std::process::id());
    let measured = ask(empty, seconds);
    let took = processor_time(std::process::id()) - before;
    BestRound { measured, processor: took.as_secs_f64() * 1e6 / (measured.rate * seconds as f64), stored: 0.0 }
}

async fn measure_pod(bench: &BenchFleet, case: &Case, seconds: usize) -> BestRound {
    let checks = async || bench.pod().metric("vestibule_checks_total", &[]).await;
    let (before, stored, asked) = (processor_time(bench.pod().pid()), bench.pod().store_commands().await, checks().await);
    let measured = ask(case, seconds);
    let asked = checks().await - asked;
    let took = processor_time(bench.pod().pid()) - before;
    BestRound {
        measured,
        processor: took.as_secs_f64() * 1e6 / asked,
        stored: (bench.pod().store_commands().await - stored) / asked,
    }
}

fn best_of(known: Option<BestRound>, new: BestRound) -> Option<BestRound> {
    known.filter(|known| known.measured.rate >= new.measured.rate).or(Some(new))
}

/// Answers 200 without a body.
fn start_empty_handler() -> u16 {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let server = HttpServer::new(|| App::new().default_service(web::to(async || HttpResponse::Ok().finish())));
            let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a free port");
            tell.send(server.addrs()[0].port()).expect("the receiver exists");
            server.run().await
        })
    });
    told.recv().expect("the server is bound")
}
