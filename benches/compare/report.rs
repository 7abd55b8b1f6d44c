//! Tables of what was measured, and whether it is within its bounds.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::peers::Peer;
use super::plan::{Limit, Row, TABLES};

/// A row and its figures.
pub(crate) struct Measured {
    /// What was measured.
    pub(crate) row: &'static Row,
    /// The median of each peer.
    pub(crate) figures: BTreeMap<Peer, f64>,
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
            let _ =
                write!(text, " {} |", one.figures.get(peer).map_or_else(|| "–".to_owned(), |figure| short(*figure)));
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
    let Some(own) = one.figures.get(&Peer::Holdover) else { return Vec::new() };
    let ratio = |limit: &Limit| {
        let (figure, most, against) = match *limit {
            Limit::Peer(peer, most) => (*one.figures.get(&peer)?, most, peer.title().to_owned()),
            Limit::Row(table, name, most) => {
                let other = measured.iter().find(|other| (other.row.table, other.row.name) == (table, name))?;
                (*other.figures.get(&Peer::Holdover)?, most, name.to_owned())
            }
            Limit::Value(most) => (1.0, most, "KiB".to_owned()),
        };
        Some(Ratio { value: own / figure, most, against })
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
