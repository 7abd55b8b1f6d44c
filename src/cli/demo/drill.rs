//! The drill: an outage that plays by itself, under load, with a sum at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{interval, sleep};

use super::assets::{Assets, LARGE_FILE, PULSE, WAVES};
use super::origins::Mood;
use super::stage::Stage;
use super::tally::{Met, Promises, Tally};
use super::timeline::Timeline;
use super::visitor::Visitor;
use crate::clock::Clock;
use crate::serve::survival::fate::HORIZONS;
use crate::serve::survival::surveyor::survey;
use crate::telemetry::Event;

/// Plays the outage; true when every promise was kept.
pub(super) async fn drill(stage: &Stage, timeline: &Timeline) -> anyhow::Result<bool> {
    let mut play = Play {
        stage,
        timeline,
        events: stage.events(),
        news: stage.events(),
        total: Tally::default(),
        promises: Promises::default(),
        outage: Arc::new(AtomicBool::new(false)),
        unknown: Arc::new(AtomicU64::new(0)),
    };
    play.warm_up().await?;
    play.let_two_origins_fall_ill().await?;
    play.lose_the_first_origin().await?;
    play.lose_the_second_origin().await?;
    play.lose_the_last_origin().await?;
    play.bring_all_back().await?;
    Ok(play.sum_up())
}

struct Play<'a> {
    stage: &'a Stage,
    timeline: &'a Timeline,
    /// Printed as they come.
    events: Receiver<Arc<Event>>,
    /// Read to wait for one of them.
    news: Receiver<Arc<Event>>,
    total: Tally,
    promises: Promises,
    /// Whether every origin is dead, so that unknown URLs may be refused.
    outage: Arc<AtomicBool>,
    /// Makes URLs that nobody has asked for before.
    unknown: Arc<AtomicU64>,
}

impl Play<'_> {
    async fn warm_up(&mut self) -> anyhow::Result<()> {
        self.timeline.tell("a few visitors a second fill the cache from origin a");
        let warm = self.under_load(SCENE, async {}).await?;
        self.scene("all origins up", &warm);
        Ok(())
    }

    async fn let_two_origins_fall_ill(&mut self) -> anyhow::Result<()> {
        let [(_, a), (_, b), _] = self.stage.origins();
        self.timeline.tell("origin a breaks off every body in the middle, though its health page is fine");
        a.is_in(Mood::BreaksOff);
        let part = self.under_load(SCENE, async {}).await?;
        self.scene("origin a breaks off, others go on in the middle", &part);
        self.timeline.tell("origin b hangs: it takes every request and never answers, though its health page is fine");
        b.is_in(Mood::Hangs);
        let part = self.under_load(SCENE, async {}).await?;
        self.scene("origin b hangs, origin c is asked beside it", &part);
        self.promises.expect(part.longest < PATIENCE_SPARED, "nobody waits for an origin that hangs");
        self.timeline.tell("both are well again; origin a gets its visitors back when it has proved itself");
        self.forget_news();
        a.is_in(Mood::Good);
        b.is_in(Mood::Good);
        let returned = self.wait_for(first_leads).await;
        self.promises.expect(returned, "an origin that was ill serves again by itself");
        Ok(())
    }

    async fn lose_the_first_origin(&mut self) -> anyhow::Result<()> {
        self.timeline.tell("a visitor begins to download 20 MiB; origin a dies in the middle of it, under load");
        let download = self.download()?;
        let stage = self.stage;
        let part = self.under_load(SCENE, async {
            sleep(INTO_THE_DOWNLOAD).await;
            stage.origins()[0].1.kill();
        });
        let part = part.await?;
        self.scene("origin a dead, the others serve", &part);
        let whole = download.await?;
        self.timeline.tell(match &whole {
            Met::Answer { .. } => "the download is whole, every byte right: it went on from another origin",
            Met::Failure(_) | Met::Refusal | Met::WrongBytes => "the download failed",
        });
        let kept = matches!(whole, Met::Answer { .. });
        self.promises.expect(kept, format!("a download in flight survives the death of its origin ({whole:?})"));
        Ok(())
    }

    async fn lose_the_second_origin(&mut self) -> anyhow::Result<()> {
        self.timeline.tell("origin b dies too");
        let stage = self.stage;
        let part = self.under_load(SCENE, async { stage.origins()[1].1.kill() }).await?;
        self.scene("origins a and b dead, origin c serves", &part);
        Ok(())
    }

    /// As `/status` tells it.
    fn tell_what_would_survive(&self) {
        let shared = &self.stage.node().admin().shared;
        let sites = &shared.sites;
        survey(sites, &shared.store, shared.clock.now().monotonic, || {});
        for survey in sites.sites().iter().filter_map(|site| site.sampler.latest()) {
            let ([now, .., then], [.., (last, _)]) = (survey.requests.map(|share| share * 100.0), HORIZONS);
            self.timeline.tell(&format!(
                "if every origin died now, {now:.0} % of what was asked for could be answered, and {then:.0} % after {last}"
            ));
        }
    }

    async fn lose_the_last_origin(&mut self) -> anyhow::Result<()> {
        self.tell_what_would_survive();
        self.timeline.tell("origin c dies: nothing is left but what is stored");
        self.outage.store(true, Ordering::Relaxed);
        let stage = self.stage;
        let part = self.under_load(OUTAGE, async { stage.origins()[2].1.kill() }).await?;
        self.scene("all origins dead", &part);
        self.promises.expect(part.stale > 0, "with every origin dead, stale responses are served");
        self.promises.expect(part.refused > 0, "with every origin dead, unknown URLs get 503 with Retry-After");
        Ok(())
    }

    async fn bring_all_back(&mut self) -> anyhow::Result<()> {
        self.timeline.tell("all three origins are started again");
        self.forget_news();
        for (_, origin) in self.stage.origins() {
            origin.revive().await?;
        }
        let returned = self.wait_for(first_leads).await;
        self.promises.expect(returned, "the first origin serves again by itself");
        self.outage.store(false, Ordering::Relaxed);
        let part = self.under_load(SCENE, async {}).await?;
        self.scene("all origins up again, origin a serves", &part);
        self.promises.expect(part.refused == 0, "nothing is refused once the origins are back");
        Ok(())
    }

    fn sum_up(&mut self) -> bool {
        let ledger = self.stage.node().admin().shared.store.ledger();
        let (used, bound) = (ledger.used(), ledger.bound());
        self.promises.expect(self.total.failed == 0, format!("no request fails ({:?})", self.total.first_failure));
        self.promises.expect(self.total.wrong == 0, "no byte is served that no origin sent");
        self.promises.expect(used <= bound, "memory stays within its bound");
        self.timeline.tell(&format!("in all, {}", self.total.sentence()));
        self.timeline.tell(&format!("cache: {used} of {bound} bytes"));
        let asked: Vec<_> =
            self.stage.origins().iter().map(|(name, origin)| format!("{name} {}", origin.requests())).collect();
        self.timeline.tell(&format!("requests that reached the origins, probes included: {}", asked.join(", ")));
        for promise in self.promises.broken() {
            self.timeline.tell(&format!("BROKEN: {promise}"));
        }
        let kept = self.promises.broken().is_empty();
        self.timeline.tell(if kept { "every promise was kept" } else { "a promise was broken" });
        kept
    }

    fn scene(&mut self, title: &str, part: &Tally) {
        self.timeline.catch_up(&mut self.events);
        self.timeline.tell(&format!("{title}: {}", part.sentence()));
        self.promises.expect(part.failed == 0, format!("{title}: no request fails"));
        self.total.add(part);
    }

    /// Visits at a steady pace while `what` happens, and for `time` in all.
    async fn under_load(&mut self, time: Duration, what: impl Future<Output = ()>) -> anyhow::Result<Tally> {
        let mut visitors = JoinSet::new();
        for _ in 0..VISITORS {
            let round = Round {
                visitor: Visitor::new(self.stage)?,
                assets: self.stage.assets().clone(),
                outage: Arc::clone(&self.outage),
                unknown: Arc::clone(&self.unknown),
                clock: Clock::new(),
            };
            visitors.spawn(round.visit(time));
        }
        what.await;
        let mut print = interval(PRINT);
        let mut tally = Tally::default();
        loop {
            tokio::select! {
                done = visitors.join_next() => match done {
                    Some(part) => tally.add(&part?),
                    None => return Ok(tally),
                },
                _ = print.tick() => self.timeline.catch_up(&mut self.events),
            }
        }
    }

    fn download(&self) -> anyhow::Result<JoinHandle<Met>> {
        let mut visitor = Visitor::new(self.stage)?;
        let assets = self.stage.assets().clone();
        Ok(tokio::spawn(async move {
            let expected = assets.find(LARGE_FILE).map(|file| file.body.clone()).unwrap_or_default();
            match visitor.get(LARGE_FILE).await {
                Ok(reply) => reply.judge(LARGE_FILE, &expected, false),
                Err(error) => Met::Failure(format!("{error:#}")),
            }
        }))
    }

    fn forget_news(&mut self) {
        while self.news.try_recv().is_ok() {}
    }

    async fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> bool {
        let mut print = interval(PRINT);
        let mut patience = std::pin::pin!(sleep(RETURN_MAX));
        loop {
            tokio::select! {
                () = &mut patience => return false,
                _ = print.tick() => self.timeline.catch_up(&mut self.events),
                event = self.news.recv() => match event {
                    Ok(event) if wanted(&event) => {
                        self.timeline.catch_up(&mut self.events);
                        return true;
                    }
                    Ok(_) => {}
                    Err(_) => return false,
                },
            }
        }
    }
}

fn first_leads(event: &Event) -> bool {
    matches!(event, Event::FailedOver { to: Some(to), .. } if to == "a")
}

/// One visitor's round: mostly known pages, now and then a URL that nobody has asked for before.
struct Round {
    visitor: Visitor,
    assets: Assets,
    outage: Arc<AtomicBool>,
    unknown: Arc<AtomicU64>,
    clock: Clock,
}

impl Round {
    async fn visit(mut self, time: Duration) -> Tally {
        let mut tally = Tally::default();
        let mut pace = interval(PACE);
        let end = self.clock.now().monotonic + time;
        let mut turn = 0;
        loop {
            pace.tick().await;
            let began = self.clock.now().monotonic;
            if began >= end {
                return tally;
            }
            let met = self.one(turn).await;
            tally.count(met, self.clock.now().monotonic.saturating_duration_since(began));
            turn += 1;
        }
    }

    async fn one(&mut self, turn: usize) -> Met {
        let unknown = turn % UNKNOWN_EVERY == UNKNOWN_EVERY - 1;
        let known = KNOWN[turn % KNOWN.len()];
        let (path, file) = if unknown {
            let number = self.unknown.fetch_add(1, Ordering::Relaxed);
            let file = if number.is_multiple_of(2) { PULSE } else { WAVES };
            (format!("{file}?{number}"), file)
        } else {
            (known.to_owned(), known)
        };
        let expected = self.assets.find(file).map(|file| file.body.clone()).unwrap_or_default();
        match self.visitor.get(&path).await {
            Ok(reply) => reply.judge(&path, &expected, unknown && self.outage.load(Ordering::Relaxed)),
            Err(error) => Met::Failure(format!("{path}: {error:#}")),
        }
    }
}

/// What visitors come for.
const KNOWN: [&str; 6] = ["/", "/style.css", "/demo.js", "/mark.svg", WAVES, "/index.html"];

const VISITORS: usize = 8;

/// Between two requests of one visitor.
const PACE: Duration = Duration::from_millis(25);

/// Every so many requests of a visitor, one is for a URL that nobody has asked for before.
const UNKNOWN_EVERY: usize = 10;

/// How often events are printed while something else goes on.
const PRINT: Duration = Duration::from_millis(50);

/// Long enough for the 20 MiB file to be well under way.
const INTO_THE_DOWNLOAD: Duration = Duration::from_millis(700);

/// A visitor who waited for an origin that hangs would wait for longer.
const PATIENCE_SPARED: Duration = Duration::from_secs(1);

/// Length of a scene.
const SCENE: Duration = Duration::from_secs(4);

/// Long enough for the pages, fresh for five seconds, to go stale.
const OUTAGE: Duration = Duration::from_secs(9);

/// Longer than the demo's hold-down, doubled for its one failure, by a fair margin.
const RETURN_MAX: Duration = Duration::from_secs(30);
