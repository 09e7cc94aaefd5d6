// name: r2d2
// kind: barges
// package: librust-r2d2-dev cargo rustc
// crates: r2d2
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

static SINK: AtomicU64 = AtomicU64::new(0);

struct Stub;
impl r2d2::ManageConnection for Stub {
    type Connection = u64;
    type Error = std::fmt::Error;
    fn connect(&self) -> Result<u64, Self::Error> {
        Ok(0)
    }
    fn is_valid(&self, _: &mut u64) -> Result<(), Self::Error> {
        Ok(())
    }
    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

extern "C" {
    fn clock_gettime(which: i32, now: *mut [i64; 2]) -> i32;
}
fn processor() -> f64 {
    let mut now = [0i64; 2];
    unsafe { clock_gettime(2, &mut now) };
    now[0] as f64 + now[1] as f64 / 1e9
}

fn main() {
    for line in std::io::stdin().lock().lines().flatten() {
        let words: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let (threads, slots, held) = (words[0] as usize, words[1] as u32, words[2] as usize);
        let (steps, sleep, seconds) = (words[3] as u64, words[4] as u64, words[5]);
        let holds = steps > 0 || sleep > 0;
        let pool = r2d2::Pool::builder().max_size(slots).build(Stub).unwrap();
        let holders: Vec<_> = (0..held).map(|_| pool.get().unwrap()).collect();
        let (over, ready) = (AtomicBool::new(false), Barrier::new(threads + 1));
        let (mut begun, mut used) = (Instant::now(), 0.0);
        let told: Vec<(u64, Vec<u128>, Instant)> = std::thread::scope(|scope| {
            let one = || {
                let (mut count, mut waits) = (0u64, Vec::new());
                ready.wait();
                while !over.load(Ordering::Relaxed) {
                    let asked = if holds || count % 1024 == 0 { Some(Instant::now()) } else { None };
                    let _connection = pool.get().unwrap();
                    if let Some(asked) = asked {
                        waits.push(asked.elapsed().as_nanos());
                    }
                    let mut value = steps | 1;
                    for _ in 0..steps {
                        value = value.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        unsafe { std::arch::asm!("/* {0} */", inout(reg) value) }; // each of them
                    }
                    SINK.store(value, Ordering::Relaxed);
                    if sleep > 0 {
                        std::thread::sleep(Duration::from_micros(sleep));
                    }
                    count += 1;
                }
                (count, waits, Instant::now())
            };
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
            ready.wait();
            (begun, used) = (Instant::now(), processor());
            std::thread::sleep(Duration::from_secs_f64(seconds));
            over.store(true, Ordering::Relaxed);
            all.into_iter().map(|each| each.join().unwrap()).collect()
        });
        used = processor() - used;
        drop(holders);
        let last = told.iter().map(|each| each.2).max().unwrap();
        let cycles: Vec<u64> = told.iter().map(|each| each.0).collect();
        let waits: Vec<u128> = told.iter().flat_map(|each| each.1.clone()).collect();
        println!("{{\"seconds\": {}, \"processor\": {used}, \"cycles\": {cycles:?}, \"waits\": {waits:?}}}", (last - begun).as_secs_f64());
    }
}
