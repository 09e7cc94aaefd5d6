// name: tokio-postgres
// kind: peer
// does: bulk
// tasks: read stream copy_out copy_in pipeline
// package: librust-tokio-postgres-dev librust-futures-util-dev cargo rustc
// crates: tokio:"rt","net","time" tokio-postgres:"runtime" futures-util
use futures_util::{future::try_join_all, pin_mut, TryStreamExt};
use std::io::BufRead;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, NoTls, Row};

extern "C" {
    fn clock_gettime(which: i32, now: *mut [i64; 2]) -> i32;
}
fn processor() -> f64 {
    let mut now = [0i64; 2];
    unsafe { clock_gettime(2, &mut now) };
    now[0] as f64 + now[1] as f64 / 1e9
}

type Data = Vec<(i32, String, SystemTime, f64)>;
const TYPES: [Type; 4] = [Type::INT4, Type::TEXT, Type::TIMESTAMPTZ, Type::FLOAT8];

fn rows(count: usize) -> Data {
    let at = |i: usize| UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_000 + i as u64 * 1_234_567);
    (0..count).map(|i| (i as i32, format!("name {}", i % 1000), at(i), i as f64 / 8.0)).collect()
}

fn part(id: i32, name: &str, at: SystemTime, value: f64) -> f64 {
    let micros = at.duration_since(UNIX_EPOCH).unwrap().as_micros() % 1000;
    id as f64 + name.len() as f64 + micros as f64 + value
}
fn of(row: &Row) -> f64 {
    part(row.get(0), row.get(1), row.get(2), row.get(3))
}

async fn play(task: &str, client: &Client, data: &Data) -> Result<f64, Error> {
    let all = "select id, name, at, value from bulk";
    match task {
        "read" => return Ok(client.query(all, &[]).await?.iter().map(of).sum()),
        "stream" => {
            let found = client.query_raw(all, Vec::<i32>::new()).await?;
            return found.try_fold(0.0, |sum, row| async move { Ok(sum + of(&row)) }).await;
        }
        "copy_out" => {
            let found = BinaryCopyOutStream::new(client.copy_out("copy bulk to stdout binary").await?, &TYPES);
            let one = |sum, row: tokio_postgres::binary_copy::BinaryCopyOutRow| async move {
                Ok(sum + part(row.get(0), row.get(1), row.get(2), row.get(3)))
            };
            return found.try_fold(0.0, one).await;
        }
        "copy_in" => {
            let sink = client.copy_in("copy into_bulk from stdin binary").await?;
            let writer = BinaryCopyInWriter::new(sink, &TYPES);
            pin_mut!(writer);
            for (id, name, at, value) in data {
                writer.as_mut().write(&[id, name, at, value]).await?;
            }
            writer.finish().await?;
        }
        _ => {
            let insert = client.prepare("insert into into_bulk values ($1, $2, $3, $4)").await?;
            for batch in data.chunks(1000) {
                let bound: Vec<[&(dyn ToSql + Sync); 4]> =
                    batch.iter().map(|(id, name, at, value)| [id as _, name as _, at as _, value as _]).collect();
                try_join_all(bound.iter().map(|row| client.execute(&insert, row))).await?;
            }
        }
    }
    Ok(data.len() as f64)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&std::env::args().nth(1).unwrap(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut data = Data::new();
        for line in std::io::stdin().lock().lines().flatten() {
            let (task, count) = line.split_once(' ').unwrap();
            if data.len().to_string() != count {
                data = rows(count.parse().unwrap());
            }
            let used = processor();
            let outcome = play(task, &client, &data).await.unwrap();
            println!("{outcome:?} {}", processor() - used);
        }
    });
}
