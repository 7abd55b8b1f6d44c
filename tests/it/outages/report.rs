//! Figures on the screen, and where they are asked for on the page `docs/outages.md`.

use std::path::Path;
use std::sync::Mutex;

use super::figures::Figures;

/// Whether the scenes are to be long and their figures written down: `HOLDOVER_OUTAGES=1`.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("HOLDOVER_OUTAGES").is_some()
}

/// Shows the figures of a scene, and puts them into the table if they are wanted there.
#[expect(clippy::print_stdout, reason = "figures are what a scene is for")]
pub(crate) fn record(title: &str, figures: &Figures, notes: &[String]) {
    let row = figures.row(title);
    println!("{}\n{}\n{row}\n", notes.join("\n"), Figures::HEAD);
    if is_wanted() {
        let _one_at_a_time = WRITING.lock().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/outages.md");
        let page = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, with_row(&page, title, &row)).unwrap();
    }
}

/// The page with this row in the place of the one of that title, or at the end of the table.
fn with_row(page: &str, title: &str, row: &str) -> String {
    let start = page.find(Figures::HEAD).expect("the page has a table of the figures there are");
    let table = page[start..].split_inclusive('\n').take_while(|line| line.starts_with('|'));
    let (mut rows, length) = table.fold((Vec::new(), 0), |(mut rows, length), line| {
        rows.push(line.trim_end().to_owned());
        (rows, length + line.len())
    });
    let own = format!("| {title} |");
    match rows.iter_mut().find(|old| old.starts_with(&own)) {
        Some(old) => row.clone_into(old),
        None => rows.push(row.to_owned()),
    }
    format!("{}{}\n{}", &page[..start], rows.join("\n"), &page[start + length..])
}

static WRITING: Mutex<()> = Mutex::new(());

#[test]
fn a_row_takes_the_place_of_the_one_with_its_title() {
    let page = |rows: &str| format!("before\n{}\n{rows}\nafter\n", Figures::HEAD);
    let old = page("| a | 1 |\n| b | 1 |\n");
    assert_eq!(with_row(&old, "a", "| a | 2 |"), page("| a | 2 |\n| b | 1 |\n"));
    assert_eq!(with_row(&old, "c", "| c | 2 |"), page("| a | 1 |\n| b | 1 |\n| c | 2 |\n"));
}
