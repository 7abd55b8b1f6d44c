//! Bodies that break while they are on their way.

use super::content::Bulk;
use super::figures::Figures;
use super::limits::every_body_is_whole;
use super::origin::Conduct;
use super::scene::Play;

#[test]
fn a_truncated_body_goes_on_from_another_origin() {
    let Some(figures) = breaks("bodies truncated", Conduct::Truncates) else { return };
    every_body_is_whole(&figures);
}

#[test]
fn an_aborted_body_goes_on_from_another_origin() {
    let Some(figures) = breaks("bodies aborted: no last chunk", Conduct::Aborts) else { return };
    every_body_is_whole(&figures);
}

#[test]
fn a_body_cut_off_by_a_reset_goes_on_from_another_origin() {
    let Some(figures) = breaks("bodies reset", Conduct::Resets) else { return };
    every_body_is_whole(&figures);
}

#[test]
fn a_stalled_body_goes_on_from_another_origin() {
    let Some(figures) = breaks("bodies stalled", Conduct::Stalls) else { return };
    every_body_is_whole(&figures);
}

#[test]
fn a_dripping_body_goes_on_from_another_origin() {
    let Some(figures) = breaks("bodies dripping: 200 B/s", Conduct::Drips) else { return };
    every_body_is_whole(&figures);
}

#[test]
fn a_body_with_surplus_bytes_reaches_its_client_and_not_the_store() {
    let Some(figures) = breaks("bodies with surplus bytes", Conduct::SendsSurplus) else { return };
    every_body_is_whole(&figures);
}

/// Whoever gets such a body as it comes may notice; nobody does who comes later.
#[test]
fn a_body_that_is_longer_than_its_length_is_not_stored() {
    let Some(figures) = breaks("half the length as Content-Length", Conduct::Understates) else { return };
    assert_eq!(figures.still_wrong, 0, "{figures:?}");
    assert_eq!(figures.failed[..2], [0, 0], "{figures:?}");
}

#[test]
fn a_new_version_that_breaks_off_takes_the_place_of_no_old_one() {
    let play = Play { bulk: Bulk::Heavy, ..Play::of("new version of every page, truncated") };
    let figures = play.runs(async |scene| {
        scene.first().becomes(Conduct::Truncates).await;
        scene.site.publishes_anew();
        scene.goes_on(3, 10).await;
        scene.first().becomes(Conduct::Good).await;
    });
    let Some(figures) = figures else { return };
    every_body_is_whole(&figures);
}

/// The bodies of the first origin break like this for a while.
fn breaks(title: &str, conduct: Conduct) -> Option<Figures> {
    Play { bulk: Bulk::Heavy, ..Play::of(title) }.runs(async |scene| {
        scene.first().becomes(conduct).await;
        scene.goes_on(3, 10).await;
        // Nobody is helped by the end of the fault.
        scene.pauses().await;
        scene.first().becomes(Conduct::Good).await;
        scene.resumes();
    })
}
