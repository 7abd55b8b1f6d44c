//! The lab of outages: what visitors notice when origins or name servers break, over real sockets.
//!
//! A node, three ranked origins and a name server live in network namespaces of their own. Visitors come at a fixed rate
//! and check every byte; latency counts from the moment that a request was due. `docs/outages.md` has the figures.

mod answer;
mod bodies;
mod content;
mod crowds;
mod figures;
mod gathering;
mod limits;
mod load;
mod origin;
mod peers;
mod report;
mod scene;
mod subject;
mod zone;

use hickory_resolver::proto::op::ResponseCode;

use crate::wires::Saying;
use figures::Figures;
use limits::{
    DRAGGED_MAX, RETURN, SLOW_MAX, WASTED_MAX, at_most, nobody_fails, nobody_notices, origins_are_spared,
    returns_within, slow, stored_responses_are_served, the_rest_is_refused_quickly,
};
use origin::Conduct;
use scene::Play;
use subject::NAMES;

#[test]
fn an_origin_that_refuses_connections_fails_nobody() {
    let Some(figures) = breaks("refused", HASTE, Conduct::Refuses) else { return };
    nobody_notices(&figures);
    returns_within(&figures, RETURN);
}

#[test]
fn an_origin_that_hangs_fails_nobody() {
    let Some(figures) = breaks("hangs: accepts, never answers", HASTE, Conduct::Hangs) else { return };
    nobody_fails(&figures);
    assert!(slow(&figures) <= at_most(DRAGGED_MAX), "{figures:?}");
    returns_within(&figures, RETURN);
}

#[test]
fn an_origin_that_answers_500_fails_nobody_and_is_hardly_asked() {
    let Some(figures) = breaks("answers 500, health page fine", DEFAULTS, Conduct::Fails) else { return };
    nobody_notices(&figures);
    assert!(figures.wasted <= at_most(WASTED_MAX), "{figures:?}");
}

#[test]
fn what_a_lying_origin_sent_is_taken_back() {
    let Some(figures) = breaks("answers 200 with garbage, health page ill", HASTE, Conduct::Lies) else { return };
    nobody_fails(&figures);
    assert_eq!(figures.still_wrong, 0, "{figures:?}");
}

#[test]
fn an_origin_that_is_slow_throughout_is_left() {
    let Some(figures) = breaks("1.5 s before every head, health page fine", DEFAULTS, Conduct::Drags) else { return };
    nobody_fails(&figures);
    assert!(slow(&figures) <= at_most(DRAGGED_MAX), "{figures:?}");
}

#[test]
fn a_blackholed_origin_fails_nobody_and_slows_few() {
    let figures = Play::of("blackholed").runs(async |scene| {
        let namespace = scene.first().namespace().clone();
        namespace.swallows(namespace.addresses[0]).await;
        scene.goes_on(3, 10).await;
        namespace.heals().await;
    });
    let Some(figures) = figures else { return };
    nobody_fails(&figures);
    assert!(slow(&figures) <= at_most(SLOW_MAX), "{figures:?}");
    returns_within(&figures, RETURN);
}

#[test]
fn a_new_address_is_followed_while_the_old_one_is_a_black_hole() {
    let figures = Play { peers: &[], ..Play::of("address changes, the old one blackholed") }.runs(async |scene| {
        let namespace = scene.first().namespace().clone();
        scene.zone.leads(NAMES[0], namespace.addresses[1]);
        namespace.swallows(namespace.addresses[0]).await;
        scene.goes_on(3, 10).await;
    });
    let Some(figures) = figures else { return };
    nobody_fails(&figures);
    assert!(slow(&figures) <= at_most(SLOW_MAX), "{figures:?}");
}

#[test]
fn a_name_server_that_only_fails_changes_nothing() {
    let sayings =
        [Saying::Code(ResponseCode::ServFail), Saying::Code(ResponseCode::Refused), Saying::Records(Vec::new())];
    name_server_says("name server answers SERVFAIL, then REFUSED, then nothing", &sayings);
}

#[test]
fn a_silent_name_server_changes_nothing() {
    name_server_says("name server silent", &[Saying::Silence]);
}

#[test]
fn a_name_server_that_denies_every_name_changes_nothing() {
    name_server_says("name server answers NXDOMAIN", &[Saying::Code(ResponseCode::NXDomain)]);
}

#[test]
fn a_node_that_starts_while_no_name_resolves_serves_at_once() {
    let figures = Play { peers: &[], ..Play::of("node restarts, name server silent") }.runs(async |scene| {
        scene.zone.says(Saying::Silence);
        scene.goes_on(1, 5).await;
        scene.pauses().await;
        scene.subject.node().restarts().await;
        scene.resumes();
        scene.goes_on(3, 15).await;
        scene.zone.answers();
    });
    let Some(figures) = figures else { return };
    nobody_notices(&figures);
    assert_eq!(figures.switches, 0, "{figures:?}");
}

#[test]
fn a_flapping_origin_does_not_take_the_site_along() {
    let figures =
        Play { settings: DEFAULTS, peers: &[], ..Play::of("flaps: 1 to 7 s down, 1 to 7 s up") }.runs(async |scene| {
            for (down, up) in [(1, 2), (3, 1), (2, 7), (7, 1), (1, 5), (5, 3), (1, 1), (4, 6), (6, 4)] {
                scene.first().becomes(Conduct::Refuses).await;
                scene.goes_on(1, down).await;
                scene.first().becomes(Conduct::Good).await;
                scene.goes_on(1, up).await;
            }
        });
    let Some(figures) = figures else { return };
    nobody_notices(&figures);
    // Away at the first fault, and at most one more switch for each 30 s after it.
    let seconds = figures.requests.iter().sum::<usize>() / scene::RATE;
    assert!(figures.switches <= 1 + seconds / 30, "{figures:?}");
}

#[test]
fn without_origins_what_is_stored_is_served_at_once_and_the_rest_refused_quickly() {
    let figures = Play::of("all origins refuse").runs(async |scene| {
        scene.all_become(Conduct::Refuses).await;
        scene.goes_on(4, 60).await;
        scene.all_become(Conduct::Good).await;
    });
    let Some(figures) = figures else { return };
    stored_responses_are_served(&figures);
    the_rest_is_refused_quickly(&figures);
    assert!(slow(&figures) <= at_most(SLOW_MAX), "{figures:?}");
}

#[test]
fn without_answers_from_anywhere_what_is_stored_is_served_at_once() {
    let figures = Play::of("all origins blackholed").runs(async |scene| {
        let namespaces: Vec<_> = scene.origins.iter().map(|origin| origin.namespace().clone()).collect();
        for namespace in &namespaces {
            namespace.swallows(namespace.addresses[0]).await;
        }
        scene.goes_on(4, 60).await;
        for namespace in &namespaces {
            namespace.heals().await;
        }
    });
    let Some(figures) = figures else { return };
    stored_responses_are_served(&figures);
    the_rest_is_refused_quickly(&figures);
}

#[test]
fn origins_that_refuse_all_work_are_not_given_more() {
    let figures = Play::of("all origins answer 503, health pages fine").runs(async |scene| {
        scene.all_become(Conduct::IsOverloaded).await;
        scene.goes_on(4, 15).await;
        scene.all_become(Conduct::Good).await;
    });
    let Some(figures) = figures else { return };
    stored_responses_are_served(&figures);
    origins_are_spared(&figures);
}

/// The first origin takes to this conduct for a while.
fn breaks(title: &str, settings: &str, conduct: Conduct) -> Option<Figures> {
    Play { settings, ..Play::of(title) }.runs(async |scene| {
        scene.first().becomes(conduct).await;
        scene.goes_on(3, 10).await;
        scene.first().becomes(Conduct::Good).await;
    })
}

/// The name server says these things in turn, each for longer than any answer of it holds.
fn name_server_says(title: &str, sayings: &[Saying]) {
    let figures = Play { peers: &[], ..Play::of(title) }.runs(async |scene| {
        for saying in sayings {
            scene.zone.says(saying.clone());
            // Denials have to last half a minute before they count.
            scene.goes_on(3, 40 / sayings.len()).await;
        }
        scene.zone.answers();
    });
    let Some(figures) = figures else { return };
    nobody_notices(&figures);
    assert_eq!(figures.switches, 0, "{figures:?}");
}

/// Failback as soon as two probes are good, and a second after the failure.
const HASTE: &str = "[site.failback]\nprobes = 2\nhold_down = \"1s\"\ndwell = \"1s\"\nramp = \"0s\"\n";

/// Failback by default: half a minute to wait, half a minute to stay, and half a minute of a growing share.
const DEFAULTS: &str = "";
