//! Tables of what was measured, and whether it is within its bounds.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::peers::Peer;
use super::plan::{Limit, Row, TABLES};

/// A row and its figures.
pub(crate) struct Measured {
    /// What was measured.
    pub(crate) row: &'static Row,
    /// Those of each peer, one a turn.
    pub(crate) figures: BTreeMap<Peer, Vec<f64>>,
}

impl Measured {
    /// What a peer's figure is.
    pub(crate) fn figure(&self, peer: Peer) -> Option<f64> {
        self.figures.get(&peer).and_then(|figures| median(figures.clone()))
    }

    /// How many times a peer's figure Holdover's is. What a machine does besides lasts for longer than a turn, so that the
    /// two of one turn can be compared where medians of all turns cannot.
    fn ratio(&self, peer: Peer) -> Option<f64> {
        let turns = self.figures.get(&Peer::Holdover)?.iter().zip(self.figures.get(&peer)?);
        median(turns.map(|(own, other)| own / other).collect())
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// A figure of Holdover's against one of its bounds.
struct Ratio {
    value: f64,
    most: f64,
    against: String,
}

impl Ratio {
    /// Bounds have two digits, and so has what is held against them.
    fn is_missed(&self) -> bool {
        (self.value * 100.0).round() > (self.most * 100.0).round()
    }
}

/// The table of this name, as Markdown; `None` when nothing of it was measured.
pub(crate) fn table(name: &str, measured: &[Measured]) -> Option<String> {
    let rows: Vec<_> = measured.iter().filter(|one| one.row.table == name).collect();
    let peers = rows.first()?.row.peers;
    let heading = TABLES.iter().find(|(table, _)| *table == name).map_or("", |(_, heading)| heading);
    let mut text = format!("| {heading} |");
    for peer in peers {
        let _ = write!(text, " {} |", peer.title());
    }
    let _ = write!(text, " Holdover ÷ |\n|---|{}---|\n", "---|".repeat(peers.len()));
    for one in rows {
        let _ = write!(text, "| {} |", one.row.name);
        for peer in peers {
            let _ = write!(text, " {} |", one.figure(*peer).map_or_else(|| "–".to_owned(), short));
        }
        let ratios: Vec<_> = ratios(one, measured).iter().map(rendered).collect();
        let _ = writeln!(text, " {} |", ratios.join(", "));
    }
    Some(text)
}

/// Every bound that does not hold, in words.
pub(crate) fn missed(measured: &[Measured]) -> Vec<String> {
    let of = |one: &Measured| {
        let said = |ratio: &Ratio| {
            format!(
                "{}, {}: {:.2} ÷ {}, not {:.2}",
                one.row.table, one.row.name, ratio.value, ratio.against, ratio.most
            )
        };
        ratios(one, measured).iter().filter(|ratio| ratio.is_missed()).map(said).collect::<Vec<_>>()
    };
    measured.iter().flat_map(of).collect()
}

/// The page with the tables that were measured in place of those between its markers.
pub(crate) fn rewritten(page: &str, measured: &[Measured]) -> String {
    let mut page = page.to_owned();
    for (name, _) in TABLES {
        let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
        let Some(text) = table(name, measured) else { continue };
        if let Some((before, rest)) = page.split_once(&begin)
            && let Some((_, after)) = rest.split_once(&end)
        {
            page = format!("{before}{begin}\n{text}\n{end}{after}");
        }
    }
    page
}

fn ratios(one: &Measured, measured: &[Measured]) -> Vec<Ratio> {
    let own = one.figure(Peer::Holdover);
    let ratio = |limit: &Limit| {
        let (value, most, against) = match *limit {
            Limit::Peer(peer, most) => (one.ratio(peer)?, most, peer.title().to_owned()),
            Limit::Row(table, name, most) => {
                let other = measured.iter().find(|other| (other.row.table, other.row.name) == (table, name))?;
                (own? / other.figure(Peer::Holdover)?, most, name.to_owned())
            }
            Limit::Value(most) => (own?, most, "KiB".to_owned()),
        };
        Some(Ratio { value, most, against })
    };
    one.row.limits.iter().filter_map(ratio).collect()
}

fn rendered(ratio: &Ratio) -> String {
    let mark = if ratio.is_missed() { "**" } else { "" };
    format!("{mark}{:.2}{mark} {} (≤ {:.2})", ratio.value, ratio.against, ratio.most)
}

/// Three digits.
fn short(figure: f64) -> String {
    match figure {
        _ if figure < 10.0 => format!("{figure:.2}"),
        _ if figure < 100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}
