//! Checks per second beside an empty handler of the same framework with as many workers.

use actix_web::{App, HttpResponse, HttpServer, web};

use super::process::processor_time;
use super::setting;
use super::site::BenchFleet;
use super::wrk::{CONNECTIONS, Case, Measured, ask};

const ROUNDS: usize = 3;

/// The best of the rounds, since others only ever slow them down.
#[derive(Clone, Copy)]
struct Best {
    measured: Measured,
    /// Microseconds of processor time per request.
    processor: f64,
    /// Commands to the store per request.
    stored: f64,
}

pub async fn measure(bench: &BenchFleet) {
    let seconds = setting("BENCH_SECONDS", 4);
    let empty = Case { name: "an empty handler", port: empty_handler(), headers: Vec::new(), passes: true };
    let cases = bench.cases().await;
    for case in &cases {
        ask(case, 1);
    }
    // Its requests are read, too, and nobody looks at what they say.
    let laden = Case { name: "an empty handler, asked as a session", headers: cases[0].headers.clone(), ..empty.clone() };
    let (mut baseline, mut with_headers) = (None, None);
    let mut best: Vec<Option<Best>> = vec![None; cases.len()];
    for _ in 0..ROUNDS {
        baseline = better(baseline, ask_empty(&empty, seconds));
        with_headers = better(with_headers, ask_empty(&laden, seconds));
        for (best, case) in best.iter_mut().zip(&cases) {
            *best = better(*best, ask_pod(bench, case, seconds).await);
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

fn print(case: &Case, Best { measured, processor, stored }: &Best, baseline: &Best) {
    let ratio = measured.rate / baseline.measured.rate;
    let Measured { rate, p50, p99 } = measured;
    println!("{:38} {rate:>10.0} {ratio:>6.2} {p50:>8.2} {p99:>8.2} {processor:>8.1} {stored:>16.5}", case.name);
}

/// This process serves it, and does nothing else meanwhile.
fn ask_empty(empty: &Case, seconds: usize) -> Best {
    let before = processor_time(std::process::id());
    let measured = ask(empty, seconds);
    let took = processor_time(std::process::id()) - before;
    Best { measured, processor: took.as_secs_f64() * 1e6 / (measured.rate * seconds as f64), stored: 0.0 }
}

async fn ask_pod(bench: &BenchFleet, case: &Case, seconds: usize) -> Best {
    let checks = async || bench.pod().metric("vestibule_checks_total", &[]).await;
    let (before, stored, asked) = (processor_time(bench.pod().pid()), bench.pod().store_commands().await, checks().await);
    let measured = ask(case, seconds);
    let asked = checks().await - asked;
    let took = processor_time(bench.pod().pid()) - before;
    Best { measured, processor: took.as_secs_f64() * 1e6 / asked, stored: (bench.pod().store_commands().await - stored) / asked }
}

fn better(known: Option<Best>, new: Best) -> Option<Best> {
    known.filter(|known| known.measured.rate >= new.measured.rate).or(Some(new))
}

/// 200, and nothing else.
fn empty_handler() -> u16 {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async {
            let server = HttpServer::new(|| App::new().default_service(web::to(async || HttpResponse::Ok().finish())));
            let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a free port");
            tell.send(server.addrs()[0].port()).expect("somebody waits for it");
            server.run().await
        })
    });
    told.recv().expect("the server is bound")
}
