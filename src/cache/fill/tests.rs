//! Rules of collapsed forwarding.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::cache::chunks::CHUNK_BYTES;
use crate::cache::purge::Purges;
use crate::cache::store::{Lookup, Store, StoreCounters};
use crate::cache::stored::Arrival;
use crate::semantics::key::cache_key;
use crate::semantics::target::Target;

fn head() -> Arc<StoredHead> {
    Arc::new(StoredHead::of(Arrival::plain(&key().key, fence().stamps_with(&[], &[]), clock_free_instant())))
}

#[expect(clippy::disallowed_methods, reason = "any instant will do; these rules do not depend on time")]
fn clock_free_instant() -> Instant {
    Instant::now()
}

fn fence() -> Fence {
    Purges::new(clock_free_instant()).fence("a", "/x")
}

fn key() -> FillKey {
    let target = Target::new("https", "a", None, "/x");
    FillKey { key: cache_key(&target), accept_encoding: "", nominated: None, has_fallback: false }
}

fn leader(fills: &Fills<&'static str>) -> Leader<&'static str> {
    match fills.join(key(), clock_free_instant(), fence) {
        Joined::Leader(leader) => leader,
        Joined::Follower(_) => panic!("somebody leads already"),
    }
}

fn follower(fills: &Fills<&'static str>) -> FillReader<&'static str> {
    match fills.join(key(), clock_free_instant(), fence) {
        Joined::Follower(reader) => reader,
        Joined::Leader(_) => panic!("nobody leads"),
    }
}

async fn read(reader: &mut FillReader<&'static str>) -> Option<Result<Bytes, BodyBroken>> {
    poll_fn(|context| reader.poll_read(context)).await
}

#[tokio::test]
async fn followers_read_while_the_body_grows_and_it_is_stored_once() {
    let (fills, store) =
        (Fills::new(HELD_BYTES_MAX), Store::new(1 << 20, StoreCounters::default(), clock_free_instant()));
    let mut leader = leader(&fills);
    let (mut first, second) = (leader.reader(), follower(&fills));
    let reservation = store.reserve(6).expect("fits");
    leader.head(head(), Some(6), reservation);
    assert!(matches!(second.stage().await, Stage::Head(_)));
    let mut second = second.at(3);
    leader.append(b"abc", &store, 100).await.expect("kept whole");
    assert_eq!(read(&mut first).await, Some(Ok(Bytes::from("abc"))));
    let late = tokio::spawn(async move { (read(&mut second).await, read(&mut second).await) });
    leader.append(b"def", &store, 100).await.expect("kept whole");
    leader.complete(&store, store.reserve(100));
    assert_eq!(late.await.expect("no panic"), (Some(Ok(Bytes::from("def"))), None));
    assert_eq!(read(&mut first).await, Some(Ok(Bytes::from("def"))));
    assert_eq!(read(&mut first).await, None);
    assert!(matches!(store.lookup(&key().key, &HeaderMap::new()), Lookup::Found(_)));
    assert_eq!(fills.count(), 0);
}

#[tokio::test]
async fn a_leader_that_goes_away_releases_everybody_and_stores_nothing() {
    let (fills, store) =
        (Fills::new(HELD_BYTES_MAX), Store::new(1 << 20, StoreCounters::default(), clock_free_instant()));
    let mut first = leader(&fills);
    let mut reader = follower(&fills);
    first.head(head(), Some(6), store.reserve(6).expect("fits"));
    first.append(b"abc", &store, 100).await.expect("kept whole");
    drop(first);
    assert_eq!(read(&mut reader).await, Some(Ok(Bytes::from("abc"))));
    assert_eq!(read(&mut reader).await, Some(Err(BodyBroken::Off)));
    assert!(matches!(store.lookup(&key().key, &HeaderMap::new()), Lookup::Absent));

    drop(reader);

    let second = leader(&fills);
    let reader = follower(&fills);
    drop(second);
    assert!(matches!(reader.stage().await, Stage::Abandoned));
    assert_eq!(store.ledger().used(), 0);
}

#[tokio::test]
async fn a_report_reaches_every_follower() {
    let fills = Fills::new(HELD_BYTES_MAX);
    let leader = leader(&fills);
    let (one, two) = (follower(&fills), follower(&fills));
    leader.fail("refused", None);
    for reader in [one, two] {
        assert!(matches!(reader.stage().await, Stage::Failed(report) if *report == "refused"));
    }
}

#[tokio::test]
async fn a_body_without_room_streams_through_and_a_laggard_learns_where_it_was_left() {
    let (fills, store) =
        (Fills::new(HELD_BYTES_MAX), Store::new(256 * 1024, StoreCounters::default(), clock_free_instant()));
    let mut leader = leader(&fills);
    let (mut fast, mut slow) = (leader.reader(), follower(&fills));
    leader.head(head(), None, store.reserve(0).expect("fits"));
    let pump = tokio::spawn(async move {
        let mut received = 0;
        while let Some(Ok(bytes)) = read(&mut fast).await {
            received += bytes.len();
            tokio::task::yield_now().await;
        }
        received
    });
    let piece = vec![7; CHUNK_BYTES];
    let pieces = 20;
    for _ in 0..pieces {
        leader.append(&piece, &store, u64::MAX).await.expect("read by one");
        assert!(store.ledger().used() <= store.ledger().bound());
    }
    assert_eq!(read(&mut slow).await, Some(Err(BodyBroken::Behind { offset: 0 })));
    leader.complete(&store, store.reserve(100));
    assert_eq!(pump.await.expect("no panic"), pieces * CHUNK_BYTES);
    assert!(matches!(store.lookup(&key().key, &HeaderMap::new()), Lookup::Absent));
}

#[tokio::test]
async fn a_body_without_room_ends_when_nobody_reads_it() {
    let (fills, store) = (Fills::new(HELD_BYTES_MAX), Store::new(1024, StoreCounters::default(), clock_free_instant()));
    let mut leader = leader(&fills);
    leader.head(head(), None, store.reserve(0).expect("fits"));
    assert_eq!(leader.append(&[0; 4096], &store, u64::MAX).await, Err(NoReaders));
}

#[tokio::test]
async fn a_body_without_room_waits_for_a_client_that_has_not_read_yet() {
    let (fills, store) = (Fills::new(HELD_BYTES_MAX), Store::new(1024, StoreCounters::default(), clock_free_instant()));
    let mut leader = leader(&fills);
    let mut reader = leader.reader();
    leader.head(head(), None, store.reserve(0).expect("fits"));
    assert_eq!(leader.append(&[7; 4096], &store, u64::MAX).await, Ok(()));
    leader.complete(&store, None);
    assert_eq!(read(&mut reader).await, Some(Ok(Bytes::from_static(&[7; 4096]))));
    assert_eq!(read(&mut reader).await, None);
}

#[tokio::test]
async fn nobody_joins_a_body_of_which_the_beginning_is_gone() {
    let (fills, store) = (Fills::new(HELD_BYTES_MAX), Store::new(1024, StoreCounters::default(), clock_free_instant()));
    let mut first = leader(&fills);
    let _reader = first.reader();
    first.head(head(), None, store.reserve(0).expect("fits"));
    first.append(&[7; 4096], &store, u64::MAX).await.expect("read by one");
    assert!(matches!(fills.join(key(), clock_free_instant(), fence), Joined::Leader(_)));
}

#[tokio::test]
async fn a_failure_is_joined_while_it_is_held() {
    let (fills, store) =
        (Fills::new(HELD_BYTES_MAX), Store::new(1 << 20, StoreCounters::default(), clock_free_instant()));
    let now = clock_free_instant();
    let until = now + Duration::from_secs(1);
    let hold = || Some(Hold { until, paid: store.reserve(500).expect("fits") });
    leader(&fills).fail("refused", hold());
    assert_eq!(fills.count(), 0, "nothing is under way");
    let Joined::Follower(reader) = fills.join(key(), now, fence) else { panic!("it is held") };
    assert!(matches!(reader.stage().await, Stage::Failed(report) if *report == "refused"));
    assert_eq!((reader.is_failure(), reader.held_until()), (true, Some(until)));
    drop(reader);
    let Joined::Leader(mut anew) = fills.join_anew(key(), fence) else { panic!("it is to be passed over") };
    assert_eq!(follower(&fills).held_until(), None, "what is under way is the newer one");

    anew.brings_a_failure();
    anew.head(head(), None, store.reserve(WINDOW_BYTES).expect("fits"));
    anew.append(b"broken", &store, 100).await.expect("kept whole");
    anew.complete_failure(hold());
    assert_eq!(store.ledger().used(), 506, "one of a key, and no more of its body than there is");
    let Joined::Follower(mut reader) = fills.join(key(), now, fence) else { panic!("it is held") };
    assert!(matches!(reader.stage().await, Stage::Head(_)));
    assert_eq!(read(&mut reader).await, Some(Ok(Bytes::from("broken"))));
    assert_eq!(read(&mut reader).await, None);
    drop(reader);
    assert!(matches!(fills.join(key(), until, fence), Joined::Leader(_)), "it has had its time");
    fills.let_go(until);
    assert_eq!(store.ledger().used(), 0);
}

#[tokio::test]
async fn a_purge_ends_a_hold() {
    let (fills, store) =
        (Fills::new(HELD_BYTES_MAX), Store::new(1 << 20, StoreCounters::default(), clock_free_instant()));
    let now = clock_free_instant();
    let fence = || store.fence("a", "/x");
    let Joined::Leader(leader) = fills.join(key(), now, fence) else { panic!("nobody leads") };
    leader.fail("refused", Some(Hold { until: now + Duration::from_secs(1), paid: store.reserve(500).expect("fits") }));
    assert!(matches!(fills.join(key(), now, fence), Joined::Follower(_)));
    store.invalidate("a", "/x", now);
    assert!(matches!(fills.join(key(), now, fence), Joined::Leader(_)));
}

#[test]
fn there_is_a_bound_on_what_is_held() {
    let (fills, store) = (Fills::new(1000), Store::new(1 << 20, StoreCounters::default(), clock_free_instant()));
    let now = clock_free_instant();
    for number in 0..100 {
        let target = Target::new("https", "a", None, &format!("/{number}"));
        let key = FillKey { key: cache_key(&target), accept_encoding: "", nominated: None, has_fallback: false };
        let Joined::Leader(leader) = fills.join(key, now, fence) else { panic!("nobody leads") };
        let paid = store.reserve(300).expect("fits");
        leader.fail("refused", Some(Hold { until: now + Duration::from_secs(60), paid }));
    }
    assert_eq!(store.ledger().used(), 900);
}

const HELD_BYTES_MAX: u64 = 10_000;
