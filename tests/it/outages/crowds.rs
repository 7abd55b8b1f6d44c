//! Crowds that ask for one thing at the same moment, well or ill.

use std::time::Duration;

use super::content::PAGE_TIME;
use super::gathering::Tally;
use super::limits::within;
use super::origin::Conduct;
use super::scene::Play;

#[test]
fn a_crowd_at_an_expired_url_is_answered_at_once_and_costs_one_fetch() {
    let tally = Play::of("500 clients, an expired URL, 1 s to fetch").gathers(async |scene| {
        scene.asks(LAPSING).await;
        scene.time_passes(EXPIRY).await;
        scene.crowd(500, LAPSING).await
    });
    let Some(tally) = tally else { return };
    all_are_served(&tally);
    assert_eq!(tally.fetches.iter().sum::<usize>(), 1, "{tally:?}");
    // Whoever waits for the origin waits for a second.
    assert!(tally.whole < within(Duration::from_millis(250)), "{tally:?}");
}

#[test]
fn a_crowd_at_an_unknown_url_reads_it_as_it_comes_and_costs_one_fetch() {
    let tally = Play::of("500 clients, an unknown URL, 1 s within its body")
        .gathers(async |scene| scene.crowd(500, STREAMING).await);
    let Some(tally) = tally else { return };
    all_are_served(&tally);
    assert_eq!(tally.fetches.iter().sum::<usize>(), 1, "{tally:?}");
    assert!(tally.first_byte < PAGE_TIME, "somebody waited for the whole: {tally:?}");
    assert!(tally.whole <= within(Duration::from_millis(1500)), "{tally:?}");
}

#[test]
fn a_crowd_that_nobody_can_answer_costs_each_rank_a_few_fetches() {
    let tally = Play::of("100 clients, every origin answers 500 after 1 s").gathers(async |scene| {
        scene.all_become(Conduct::FailsLate).await;
        scene.crowd(100, "/new/x").await
    });
    let Some(tally) = tally else { return };
    assert_eq!((tally.served, tally.wrong), (0, 0), "{tally:?}");
    assert!(tally.fetches.iter().all(|fetches| *fetches <= 3), "{tally:?}");
    assert!(tally.whole <= within(Duration::from_secs(3)), "{tally:?}");
}

#[test]
fn a_crowd_at_an_uncacheable_url_is_not_served_one_by_one() {
    let tally =
        Play::of("50 clients, an uncacheable URL, 1 s to fetch").gathers(async |scene| scene.crowd(50, PRIVATE).await);
    let Some(tally) = tally else { return };
    all_are_served(&tally);
    // One after another only until the first look: twice the origin's time.
    assert!(tally.whole <= within(2 * PAGE_TIME + DELIVERY), "{tally:?}");
}

#[test]
fn a_client_that_leaves_takes_nobody_along() {
    let tally = Play::of("20 clients, the first one leaves halfway").gathers(async |scene| {
        let began = scene.now();
        let others = async {
            scene.time_passes(PAGE_TIME / 10).await;
            scene.crowd(20, STREAMING).await
        };
        let ((), tally) = tokio::join!(scene.leaves(STREAMING, PAGE_TIME / 2), others);
        // Stored as well: nobody has to ask an origin again.
        scene.crowd(20, STREAMING).await;
        Tally { fetches: scene.fetches_since(began, STREAMING), ..tally }
    });
    let Some(tally) = tally else { return };
    all_are_served(&tally);
    assert_eq!(tally.fetches.iter().sum::<usize>(), 1, "{tally:?}");
    assert!(tally.whole <= within(Duration::from_millis(1500)), "{tally:?}");
}

#[test]
fn a_slow_client_slows_nobody() {
    let tally = Play::of("10 clients beside one that does not read, 3 MiB").gathers(async |scene| {
        let began = scene.now();
        let slow = scene.lingers(HUGE).await;
        let tally = scene.crowd(10, HUGE).await;
        drop(slow);
        Tally { fetches: scene.fetches_since(began, HUGE), ..tally }
    });
    let Some(tally) = tally else { return };
    all_are_served(&tally);
    assert_eq!(tally.fetches.iter().sum::<usize>(), 1, "{tally:?}");
    assert!(tally.whole <= within(Duration::from_secs(1)), "{tally:?}");
}

#[test]
fn what_must_be_revalidated_is_not_served_stale_in_an_outage() {
    let tally = Play::of("100 clients, must-revalidate, all origins refuse").gathers(async |scene| {
        scene.asks(OBEYED).await;
        scene.time_passes(EXPIRY).await;
        scene.all_become(Conduct::Refuses).await;
        scene.crowd(100, OBEYED).await
    });
    let Some(tally) = tally else { return };
    assert_eq!((tally.served, tally.wrong), (0, 0), "{tally:?}");
    assert!(tally.whole <= within(Duration::from_secs(2)), "{tally:?}");
}

#[track_caller]
fn all_are_served(tally: &Tally) {
    assert_eq!((tally.served, tally.wrong), (tally.clients, 0), "{tally:?}");
}

/// What the origin's network and fifty answers take.
const DELIVERY: Duration = Duration::from_millis(100);

/// A minute of it may be stale while it is fetched.
const LAPSING: &str = "/lapsing/x";

/// Its second half comes a second after the first.
const STREAMING: &str = "/streaming/x";

/// For nobody but the client that asks.
const PRIVATE: &str = "/private/x";

/// More than sockets hold.
const HUGE: &str = "/huge/x";

/// Never to be used after it has expired.
const OBEYED: &str = "/obeyed/x";

/// Until something has expired that is fresh for a second.
const EXPIRY: Duration = Duration::from_millis(2100);
