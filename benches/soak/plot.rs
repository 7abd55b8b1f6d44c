//! The soak as a picture: live bytes and resident memory over time, beneath their limits.

use std::fmt::Write;

use crate::report::{Sample, mebibytes, resident_max};

/// An SVG document that is legible on light and on dark ground.
pub(crate) fn plot(samples: &[Sample]) -> String {
    let bound = samples.iter().map(|sample| sample.memory.bound).max().unwrap_or(0);
    let limit = resident_max(bound);
    let seconds = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64()).max(1.0);
    let top = samples.iter().map(|sample| sample.memory.resident_peak).max().unwrap_or(0).max(limit) as f64 * 1.08;
    let scale = Scale { seconds, top };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <title>Memory of a node under changing load</title>\n"
    );
    bands(&mut svg, samples, &scale);
    for (value, name) in [(limit, "limit of RSS"), (bound, "bound")] {
        let (y, label) = (scale.y(value), format!("{name}, {} MiB", mebibytes(value)));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"{INK}\" stroke-dasharray=\"4 4\"/>\
             <text x=\"{LEFT}\" y=\"{:.1}\">{label}</text>",
            y - 5.0
        );
    }
    curve(&mut svg, samples, &scale, RESIDENT, |sample| sample.memory.resident);
    curve(&mut svg, samples, &scale, LIVE, |sample| sample.memory.live);
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {BOTTOM}H{RIGHT}\" stroke=\"{INK}\"/>\n\
         <text x=\"{LEFT}\" y=\"{LEGEND}\" fill=\"{RESIDENT}\">RSS</text>\
         <text x=\"{}\" y=\"{LEGEND}\" fill=\"{LIVE}\">live bytes</text>\
         <text x=\"{RIGHT}\" y=\"{LEGEND}\" text-anchor=\"end\">{seconds:.0} s</text>\n</svg>",
        LEFT + 40.0
    );
    svg
}

struct Scale {
    seconds: f64,
    top: f64,
}

impl Scale {
    fn x(&self, sample: &Sample) -> f64 {
        LEFT + (RIGHT - LEFT) * sample.at.as_secs_f64() / self.seconds
    }

    fn y(&self, bytes: u64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * bytes as f64 / self.top
    }
}

/// Where each workload begins, and its name.
fn bands(svg: &mut String, samples: &[Sample], scale: &Scale) {
    for of_one in samples.chunk_by(|one, next| one.workload == next.workload) {
        let x = scale.x(&of_one[0]);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"{INK}\" stroke-opacity=\".4\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            x + 4.0,
            BOTTOM + 16.0,
            of_one[0].workload.as_str()
        );
    }
}

/// One point for each column of the picture that has a sample: the most of those in it.
fn curve(svg: &mut String, samples: &[Sample], scale: &Scale, color: &str, value: fn(&Sample) -> u64) {
    let columns = samples.chunk_by(|one, next| scale.x(one) as u64 == scale.x(next) as u64);
    let points: Vec<_> = columns
        .filter_map(|column| {
            let most = column.iter().map(value).max()?;
            Some(format!("{:.0},{:.1}", scale.x(column.first()?), scale.y(most)))
        })
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>",
        points.join(" ")
    );
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 10.0;
const RIGHT: f64 = 850.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 270.0;
const LEGEND: f64 = 310.0;

/// Colors of middle lightness, for either ground.
const INK: &str = "#808890";
const RESIDENT: &str = "#d9822b";
const LIVE: &str = "#3b8eea";
