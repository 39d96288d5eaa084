//! Who takes what it is sent, and who does not, in time that stands still until it is waited for.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};

use super::{Impatient, TAKEN_WITHIN};

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_a_minute_has_gone() {
    let (_client, server) = duplex(1024);
    let mut stream = Impatient::new(server);
    let began = Instant::now();
    stream.write_all(&[b'x'; 1024]).await.unwrap();
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let took = began.elapsed();
    assert!(
        took >= TAKEN_WITHIN && took < TAKEN_WITHIN + Duration::from_secs(1),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_little_at_a_time_is_waited_for() {
    let (mut client, server) = duplex(1024);
    let mut stream = Impatient::new(server);
    let began = Instant::now();
    let all = [b'x'; 8 * 1024];
    let slow = async {
        let mut piece = [0; 512];
        let mut read = 0;
        while read < all.len() {
            sleep(TAKEN_WITHIN / 2).await;
            read += client.read(&mut piece).await.unwrap();
        }
    };
    let (written, ()) = tokio::join!(stream.write_all(&all), slow);
    written.unwrap();
    assert!(began.elapsed() > 5 * TAKEN_WITHIN);
    // It had to wait before; it may be silent for as long as nothing is sent.
    sleep(2 * TAKEN_WITHIN).await;
    stream.write_all(b"x").await.unwrap();
}
