//! Figures on the screen, and where they are asked for on the page `docs/outages.md`.

use std::path::Path;
use std::sync::Mutex;

/// Whether the scenes are to be long and their figures written down: `HOLDOVER_OUTAGES=1`.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("HOLDOVER_OUTAGES").is_some()
}

/// A row of one of the page's tables.
pub(crate) struct Row<'a> {
    /// The head of its table.
    pub(crate) head: &'a str,
    /// What happened.
    pub(crate) title: &'a str,
    /// To which cache.
    pub(crate) cache: &'a str,
    /// The version of it, of one that is not ours.
    pub(crate) version: Option<&'a str>,
    /// All other cells.
    pub(crate) cells: Vec<String>,
}

/// Shows the figures of a scene, and puts them into the table if they are wanted there.
#[expect(clippy::print_stdout, reason = "figures are what a scene is for")]
pub(crate) fn record(row: &Row<'_>, notes: &[String]) {
    println!("{}\n{}\n{}\n", notes.join("\n"), row.head, row.text());
    rewrite(row, Some(row.text()));
}

/// Takes a row out of the table: figures of another run are not to be compared with those of this one.
pub(crate) fn omit(head: &str, title: &str, cache: &str) {
    rewrite(&Row { head, title, cache, version: None, cells: Vec::new() }, None);
}

fn rewrite(row: &Row<'_>, text: Option<String>) {
    if is_wanted() {
        let _one_at_a_time = WRITING.lock().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/outages.md");
        let page = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, with_row(&page, row, text)).unwrap();
    }
}

impl Row<'_> {
    fn text(&self) -> String {
        let version = self.version.map(|version| format!(" {version}")).unwrap_or_default();
        format!("| {} | {}{version} | {} |", self.title, self.cache, self.cells.join(" | "))
    }

    /// Whether a line is of the same scene and cache, in whatever version.
    fn is_that_of(&self, line: &str) -> bool {
        let cells = line.strip_prefix(&format!("| {} | {}", self.title, self.cache));
        cells.is_some_and(|rest| rest.starts_with(' '))
    }
}

/// The page with this text, if any, in the place of the row of that title and cache: or below the last row of that title,
/// or at the end of the table.
fn with_row(page: &str, row: &Row<'_>, text: Option<String>) -> String {
    let start = page.find(row.head).expect("the page has a table of the figures there are");
    let table = page[start..].split_inclusive('\n').take_while(|line| line.starts_with('|'));
    let (mut rows, length) = table.fold((Vec::new(), 0), |(mut rows, length), line| {
        rows.push(line.trim_end().to_owned());
        (rows, length + line.len())
    });
    let scene = format!("| {} |", row.title);
    let below = rows.iter().rposition(|line| line.starts_with(&scene)).map_or(rows.len(), |last| last + 1);
    match (rows.iter().position(|line| row.is_that_of(line)), text) {
        (Some(own), Some(text)) => rows[own] = text,
        (Some(own), None) => drop(rows.remove(own)),
        (None, Some(text)) => rows.insert(below, text),
        (None, None) => {}
    }
    format!("{}{}\n{}", &page[..start], rows.join("\n"), &page[start + length..])
}

static WRITING: Mutex<()> = Mutex::new(());

#[test]
fn a_row_takes_the_place_of_the_one_of_its_scene_and_cache() {
    let head = "| fault | cache | n |\n|---|---|---|";
    let page = |rows: &str| format!("before\n{head}\n{rows}\nafter\n");
    let old = page("| a | Ours | 1 |\n| a | other 1.0 | 1 |\n| a b | Ours | 1 |\n");
    for (title, cache, version, expected) in [
        ("a", "Ours", None, "| a | Ours | 2 |\n| a | other 1.0 | 1 |\n| a b | Ours | 1 |\n"),
        ("a", "other", Some("1.1"), "| a | Ours | 1 |\n| a | other 1.1 | 2 |\n| a b | Ours | 1 |\n"),
        ("a", "third", None, "| a | Ours | 1 |\n| a | other 1.0 | 1 |\n| a | third | 2 |\n| a b | Ours | 1 |\n"),
        ("c", "Ours", None, "| a | Ours | 1 |\n| a | other 1.0 | 1 |\n| a b | Ours | 1 |\n| c | Ours | 2 |\n"),
    ] {
        let row = Row { head, title, cache, version, cells: vec!["2".to_owned()] };
        assert_eq!(with_row(&old, &row, Some(row.text())), page(expected));
    }
    let row = Row { head, title: "a", cache: "other", version: None, cells: Vec::new() };
    assert_eq!(with_row(&old, &row, None), page("| a | Ours | 1 |\n| a b | Ours | 1 |\n"));
}
