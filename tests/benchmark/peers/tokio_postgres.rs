// tokio-postgres with what its user writes where there is no pool: a semaphore and a list. deadpool is not packaged.
// name: tokio-postgres
// kind: fair
// does: statements coroutines
// package: librust-tokio-postgres-dev cargo rustc
// crates: tokio:"rt-multi-thread","sync","net","time" tokio-postgres:"runtime"
use std::io::BufRead;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls, Statement};

extern "C" {
    fn clock_gettime(which: i32, now: *mut [i64; 2]) -> i32;
}
fn processor() -> f64 {
    let mut now = [0i64; 2];
    unsafe { clock_gettime(2, &mut now) };
    now[0] as f64 + now[1] as f64 / 1e9
}

struct Pool {
    free: tokio::sync::Semaphore,
    idle: Mutex<Vec<(Client, Statement)>>,
}

async fn play(url: &str, tasks: usize, slots: usize, seconds: f64) -> String {
    if std::env::var("BENCHMARK_COLD").is_ok() {
        return "{}".to_string(); // it has no pool that could be cold
    }
    let sql = std::env::var("BENCHMARK_STATEMENT").unwrap_or("select 1".to_string());
    let mut idle = Vec::new();
    for _ in 0..slots {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let statement = client.prepare(&sql).await.unwrap();
        idle.push((client, statement));
    }
    let pool = Arc::new(Pool { free: tokio::sync::Semaphore::new(slots), idle: Mutex::new(idle) });
    let (begun, used) = (Instant::now(), processor());
    let ends = begun + Duration::from_secs_f64(seconds);
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let (mut count, mut waits) = (0u64, Vec::new());
                while Instant::now() < ends {
                    let asked = Instant::now();
                    let _permit = pool.free.acquire().await.unwrap();
                    let one = pool.idle.lock().unwrap().pop().unwrap();
                    waits.push(asked.elapsed().as_nanos());
                    let _: i32 = one.0.query_one(&one.1, &[]).await.unwrap().get(0);
                    pool.idle.lock().unwrap().push(one);
                    count += 1;
                }
                (count, waits, begun.elapsed().as_secs_f64())
            })
        })
        .collect();
    let (mut cycles, mut waits, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for each in all {
        let (count, mine, after) = each.await.unwrap();
        ended.push(after);
        cycles.push(count);
        waits.extend(mine);
    }
    let (lasted, used) = (begun.elapsed().as_secs_f64(), processor() - used);
    format!("{{\"seconds\": {lasted}, \"processor\": {used}, \"ended\": {ended:?}, \"cycles\": {cycles:?}, \"waits\": {waits:?}}}")
}

fn main() {
    let url = std::env::args().nth(1).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for line in std::io::stdin().lock().lines().flatten() {
        let words: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        println!("{}", runtime.block_on(play(&url, words[0] as usize, words[1] as usize, words[5])));
    }
}
