//! Rules of purging.

use std::time::{Duration, Instant};

use super::*;
use crate::cache::stamps::{Purged, Stamps};
use crate::clock::Clock;

const URL: &str = "/a/b/c?x=1";

fn epoch() -> Instant {
    Clock::new().now().monotonic
}

fn stamped(purges: &Purges, tags: &[&str]) -> Stamps {
    let tags: Vec<Box<str>> = tags.iter().map(|tag| (*tag).into()).collect();
    purges.fence("www.test", URL).stamps_with(&tags, &[])
}

fn host() -> Selector {
    Selector::Host("www.test".into())
}

fn directory(path: &str) -> Selector {
    Selector::Directory { host: "www.test".into(), path: path.into() }
}

fn tag(tag: &str) -> Selector {
    Selector::Tag(tag.into())
}

fn url(path_and_query: &str) -> Selector {
    Selector::Url { host: "www.test".into(), path_and_query: path_and_query.into() }
}

#[test]
fn what_a_selector_covers() {
    check("everything", Selector::Everything, true);
    check("its host", host(), true);
    check("another host", Selector::Host("other.test".into()), false);
    check("its directory", directory("/a/b/"), true);
    check("a directory above", directory("/a/"), true);
    check("a directory below", directory("/a/b/c/"), false);
    check("a directory beside", directory("/a/bb/"), false);
    check("the directory on another host", Selector::Directory { host: "o.test".into(), path: "/a/".into() }, false);
    check("its tag", tag("red"), true);
    check("its other tag", tag("blue"), true);
    check("a tag that only begins like one of its own", tag("re"), false);
    check("a tag that reads like its host", tag("www.test"), false);
    check("its URL", url(URL), true);
    check("its URL with another query", url("/a/b/c?x=2"), false);
    check("its URL without the query", url("/a/b/c"), false);
}

#[track_caller]
fn check(case: &str, selector: Selector, covered: bool) {
    let now = epoch();
    for mode in [PurgeMode::Hard, PurgeMode::Soft] {
        let purges = Purges::new(now);
        let stamps = stamped(&purges, &["red", "blue"]);
        assert_eq!(stamps.purged(now), Purged::No, "{case}");
        let receipt = purges.purge(std::slice::from_ref(&selector), mode, now + Duration::from_secs(1));
        assert_eq!(receipt, Receipt { sequence: 1, responses: u64::from(covered) }, "{case}");
        let expected = match (covered, mode) {
            (false, _) => Purged::No,
            (true, PurgeMode::Hard) => Purged::Gone,
            (true, PurgeMode::Soft) => Purged::Stale { past: Duration::from_secs(2) },
        };
        assert_eq!(stamps.purged(now + Duration::from_secs(3)), expected, "{case}");
        assert_eq!(stamps.is_outdated(), covered, "{case}");
    }
}

#[test]
fn a_purge_covers_what_was_asked_for_before_it_and_nothing_after() {
    let now = epoch();
    let purges = Purges::new(now);
    let before = purges.fence("www.test", URL);
    purges.purge(&[tag("red")], PurgeMode::Hard, now);
    let after = purges.fence("www.test", URL);
    assert!(before.stamps_with(&["red".into()], &[]).is_gone());
    assert!(!before.stamps_with(&["blue".into()], &[]).is_gone());
    assert!(!after.stamps_with(&["red".into()], &[]).is_gone());
}

#[test]
fn a_fill_is_outdated_by_its_place_before_its_tags_are_known() {
    let now = epoch();
    let purges = Purges::new(now);
    let fence = purges.fence("www.test", URL);
    purges.purge(&[directory("/a/")], PurgeMode::Soft, now);
    assert!(fence.stamps().is_outdated());
    assert!(!purges.fence("www.test", URL).stamps().is_outdated());
}

#[test]
fn hard_wins_over_soft_and_the_first_soft_purge_that_was_seen_counts() {
    let now = epoch();
    let later = |seconds| now + Duration::from_secs(seconds);
    let purges = Purges::new(now);
    let stamps = stamped(&purges, &["red"]);
    purges.purge(&[tag("red")], PurgeMode::Soft, later(10));
    assert_eq!(stamps.purged(later(15)), Purged::Stale { past: Duration::from_secs(5) });
    purges.purge(&[host()], PurgeMode::Soft, later(20));
    assert_eq!(stamps.purged(later(25)), Purged::Stale { past: Duration::from_secs(15) });
    purges.purge(&[url(URL)], PurgeMode::Hard, later(30));
    assert_eq!(stamps.purged(later(35)), Purged::Gone);
}

#[test]
fn several_selectors_are_one_purge() {
    let now = epoch();
    let purges = Purges::new(now);
    let (red, blue) = (stamped(&purges, &["red"]), stamped(&purges, &["blue"]));
    let receipt = purges.purge(&[tag("red"), tag("blue"), tag("green")], PurgeMode::Hard, now);
    assert_eq!(receipt, Receipt { sequence: 1, responses: 2 });
    assert_eq!(purges.latest(), 1);
    assert!(red.is_gone() && blue.is_gone());
}

#[test]
fn cells_go_with_the_last_response_that_falls_under_them() {
    let purges = Purges::new(epoch());
    let one = stamped(&purges, &["red"]);
    // Everything, the host, the URL, two directories, the tag.
    assert_eq!(purges.cells(), 6);
    let two = purges.fence("www.test", "/a/other").stamps_with(&["red".into()], &[]);
    assert_eq!(purges.cells(), 7);
    drop(one);
    assert_eq!(purges.cells(), 5);
    drop(two);
    assert_eq!(purges.cells(), 0);
}

#[test]
fn purges_of_nothing_leave_nothing_behind() {
    let now = epoch();
    let purges = Purges::new(now);
    for number in 0..100_000 {
        purges.purge(&[tag(&number.to_string())], PurgeMode::Hard, now);
    }
    assert!(purges.cells() <= 1025, "{}", purges.cells());
}

#[test]
fn a_long_fill_makes_no_purge_forgotten_and_memory_stays_bounded() {
    let now = epoch();
    let purges = Purges::new(now);
    let fence = purges.fence("www.test", URL);
    purges.purge(&[tag("red")], PurgeMode::Hard, now);
    for number in 0..200_000 {
        purges.purge(&[tag(&number.to_string())], PurgeMode::Hard, now);
    }
    assert!(purges.cells() < 70_000, "{}", purges.cells());
    assert!(fence.stamps_with(&["red".into()], &[]).is_gone());
    assert!(!fence.stamps().is_gone(), "what has no tags is told by its place");
    assert!(!stamped(&purges, &["red"]).is_gone());
}

#[test]
fn what_came_in_a_term_is_suspect_once_that_is_taken_back() {
    let now = epoch();
    let later = |seconds| now + Duration::from_secs(seconds);
    let purges = Purges::new(now);
    let in_terms = |terms: &[u64]| purges.fence("www.test", URL).stamps_with(&["red".into()], terms);
    let (one, both, other, none) = (in_terms(&[1]), in_terms(&[1, 2]), in_terms(&[2]), in_terms(&[]));
    assert_eq!(purges.take_back(1, later(10)), Receipt { sequence: 1, responses: 2 });
    for stamps in [&one, &both] {
        assert_eq!(stamps.purged(later(15)), Purged::Suspect { past: Duration::from_secs(5) });
        assert!(stamps.is_suspect() && stamps.is_outdated() && !stamps.is_gone());
    }
    for stamps in [&other, &none] {
        assert_eq!(stamps.purged(later(15)), Purged::No);
    }
    purges.purge(&[tag("red")], PurgeMode::Soft, later(20));
    assert_eq!(one.purged(later(25)), Purged::Suspect { past: Duration::from_secs(15) }, "less than stale");
    assert_eq!(other.purged(later(25)), Purged::Stale { past: Duration::from_secs(5) });
    purges.purge(&[host()], PurgeMode::Hard, later(30));
    assert_eq!(one.purged(later(30)), Purged::Gone);
}

#[test]
fn taking_back_covers_what_was_asked_for_before_it_and_nothing_after() {
    let now = epoch();
    let purges = Purges::new(now);
    let before = purges.fence("www.test", URL);
    assert_eq!(purges.take_back(1, now).responses, 0, "what is under way has no term yet");
    let after = purges.fence("www.test", URL);
    assert!(before.stamps_with(&[], &[1]).is_suspect());
    assert!(!before.stamps_with(&[], &[2]).is_suspect());
    assert!(!after.stamps_with(&[], &[1]).is_suspect());
    purges.take_back(1, now);
    assert!(after.stamps_with(&[], &[1]).is_suspect(), "and again with every further failure");
}

#[test]
fn a_validation_vouches_for_no_byte() {
    let now = epoch();
    let purges = Purges::new(now);
    let first = purges.fence("www.test", URL).stamps_with(&[], &[1]);
    let again = purges.fence("www.test", URL).stamps_again(&first, &["red".into()], &[2]);
    drop(first);
    assert!(!again.is_suspect());
    purges.take_back(1, now);
    assert!(again.is_suspect());
}

#[test]
fn of_many_validations_the_last_terms_are_kept() {
    let now = epoch();
    let purges = Purges::new(now);
    let mut stamps = purges.fence("www.test", URL).stamps_with(&[], &[0]);
    let size = stamps.size();
    for term in 1..100 {
        stamps = purges.fence("www.test", URL).stamps_again(&stamps, &[], &[term, term]);
    }
    assert!(stamps.size() < 3 * size, "{} {size}", stamps.size());
    purges.take_back(91, now);
    assert!(!stamps.is_suspect());
    purges.take_back(92, now);
    assert!(stamps.is_suspect());
}

#[test]
fn a_hundred_thousand_responses_are_taken_back_in_one_step() {
    let now = epoch();
    let purges = Purges::new(now);
    let stored: Vec<_> = (0..100_000)
        .map(|number| purges.fence("www.test", &format!("/{number}")).stamps_with(&[], &[number % 2]))
        .collect();
    assert_eq!(purges.take_back(1, now), Receipt { sequence: 1, responses: 50_000 });
    assert_eq!(purges.latest(), 1);
    let suspect = stored.iter().filter(|stamps| stamps.is_suspect()).count();
    assert_eq!(suspect, 50_000);
}

#[test]
fn a_directory_is_one_that_holds_the_path() {
    for (path, expected) in [
        ("/", &[][..]),
        ("/a", &[]),
        ("/a/", &["/a/"]),
        ("/a/b", &["/a/"]),
        ("/a/b/c", &["/a/", "/a/b/"]),
        ("/a//b", &["/a/", "/a//"]),
    ] {
        assert_eq!(directories(path).collect::<Vec<_>>(), expected, "{path}");
    }
    assert_eq!(directories(&"/a".repeat(40)).count(), DIRECTORIES_MAX);
}

#[test]
fn threads_that_store_and_purge_at_once_lose_no_purge_and_no_cell() {
    let now = epoch();
    let purges = Purges::new(now);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..3000 {
                    let fence = purges.fence("www.test", URL);
                    purges.purge(&[tag("red"), url(URL)], PurgeMode::Hard, now);
                    assert!(fence.stamps_with(&["red".into()], &[]).is_gone());
                    assert!(fence.stamps().is_gone());
                }
            });
        }
    });
    purges.purge(&[tag("x")], PurgeMode::Hard, now);
    assert!(purges.cells() <= 1025, "{}", purges.cells());
}

#[test]
fn one_url_invalidated_over_and_over_costs_no_tagged_fill_its_place() {
    let now = epoch();
    let purges = Purges::new(now);
    let fence = purges.fence("www.test", URL);
    // What any client can do with POST; nothing that it names is stored or on its way.
    for _ in 0..70_000 {
        purges.purge(&[url("/form")], PurgeMode::Hard, now);
    }
    assert!(!fence.stamps_with(&["red".into()], &[]).is_gone());
}

#[test]
fn what_has_cells_of_its_own_pays_for_them() {
    let purges = Purges::new(epoch());
    let tags: Vec<Box<str>> = (0..200).map(|number| format!("t{number}").into()).collect();
    let stamps = purges.fence("www.test", "/r1/r2/r3/r4/r5/r6/r7/r8/x").stamps_with(&tags, &[]);
    assert!(
        stamps.size() > purges.cells() * crate::cache::cells::CELL_BYTES / 2,
        "{} {}",
        stamps.size(),
        purges.cells()
    );
}
