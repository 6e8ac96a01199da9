//! Checks per second, compared with an empty handler of the same framework with as many workers.

use actix_web::{App, HttpResponse, HttpServer, web};

use super::bench_fleet::BenchFleet;
use super::process::processor_time;
use super::setting;
use super::wrk::{self, CONNECTIONS, Case, Measurement};

const ROUNDS: usize = 3;

/// The best of the rounds, because other processes only ever slow a round down.
#[derive(Clone, Copy)]
struct BestRound {
    measurement: Measurement,
    /// Microseconds of CPU time per request.
    cpu: f64,
    /// Commands to the store per request.
    store_commands: f64,
}

pub async fn measure(bench: &BenchFleet) {
    let seconds = setting("BENCH_SECONDS", 4);
    let port = start_empty_handler();
    let empty = Case { name: "an empty handler", port, target: "/", headers: Vec::new(), is_allowed: true };
    let (cases, dialects) = (bench.cases().await, bench.dialects().await);
    for case in cases.iter().chain(&dialects) {
        wrk::run(case, 1);
    }
    // Access logging reads the requests, and the log is discarded.
    let with_headers = Case { name: "an empty handler, headers of a check", headers: cases[0].headers.clone(), ..empty.clone() };
    let (mut baseline, mut headers_baseline) = (None, None);
    let mut best: Vec<Option<BestRound>> = vec![None; cases.len() + dialects.len()];
    for _ in 0..ROUNDS {
        baseline = best_of(baseline, measure_empty_handler(&empty, seconds));
        headers_baseline = best_of(headers_baseline, measure_empty_handler(&with_headers, seconds));
        for (best, case) in best.iter_mut().zip(cases.iter().chain(&dialects)) {
            *best = best_of(*best, measure_pod(bench, case, seconds).await);
        }
    }
    let baseline = baseline.expect("there is a round");
    println!("Checks: one worker, {CONNECTIONS} connections, {seconds} s each, best of {ROUNDS} rounds\n");
    println!(
        "{:38} {:>10} {:>6} {:>8} {:>8} {:>8} {:>16}",
        "credential", "per second", "ratio", "p50 ms", "p99 ms", "CPU µs", "store commands"
    );
    print(&empty, &baseline, &baseline);
    print(&with_headers, &headers_baseline.expect("there is a round"), &baseline);
    let best: Vec<BestRound> = best.into_iter().map(|best| best.expect("there is a round")).collect();
    let (of_cases, of_dialects) = best.split_at(cases.len());
    for (case, best) in cases.iter().zip(of_cases) {
        print(case, best, &baseline);
    }
    println!("\nDialects: the check with a session; ratios to that of nginx\n");
    for (case, best) in dialects.iter().zip(of_dialects) {
        print(case, best, &of_dialects[0]);
    }
}

fn print(case: &Case, BestRound { measurement, cpu, store_commands }: &BestRound, baseline: &BestRound) {
    let ratio = measurement.rate / baseline.measurement.rate;
    let Measurement { rate, p50, p99 } = measurement;
    println!("{:38} {rate:>10.0} {ratio:>6.2} {p50:>8.2} {p99:>8.2} {cpu:>8.1} {store_commands:>16.5}", case.name);
}

/// This process serves the handler and does nothing else meanwhile.
fn measure_empty_handler(empty: &Case, seconds: usize) -> BestRound {
    let before = processor_time(std::process::id());
    let measurement = wrk::run(empty, seconds);
    let cpu_time = processor_time(std::process::id()) - before;
    BestRound { measurement, cpu: cpu_time.as_secs_f64() * 1e6 / (measurement.rate * seconds as f64), store_commands: 0.0 }
}

async fn measure_pod(bench: &BenchFleet, case: &Case, seconds: usize) -> BestRound {
    let checks = async || bench.pod().metric("vestibule_checks_total", &[]).await;
    let (before, commands_before, checks_before) =
        (processor_time(bench.pod().pid()), bench.pod().store_commands().await, checks().await);
    let measurement = wrk::run(case, seconds);
    let count = checks().await - checks_before;
    let cpu_time = processor_time(bench.pod().pid()) - before;
    BestRound {
        measurement,
        cpu: cpu_time.as_secs_f64() * 1e6 / count,
        store_commands: (bench.pod().store_commands().await - commands_before) / count,
    }
}

fn best_of(best: Option<BestRound>, new: BestRound) -> Option<BestRound> {
    best.filter(|best| best.measurement.rate >= new.measurement.rate).or(Some(new))
}

/// Starts a server that responds with 200 and no body.
fn start_empty_handler() -> u16 {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let server = HttpServer::new(|| App::new().default_service(web::to(async || HttpResponse::Ok().finish())));
            let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a free port");
            sender.send(server.addrs()[0].port()).expect("the receiver exists");
            server.run().await
        })
    });
    receiver.recv().expect("the server is bound")
}
