//! The staircase: every experiment as a dot, and the incumbent's score as a line that only goes one way.

use std::collections::HashMap;
use std::path::Path;

use autoresearch_core::{Direction, Experiment, ExperimentId, State, Status};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{register_font, text_anchor};
use thiserror::Error;

use crate::text::{count, one_line};

/// The plot could not be drawn or written.
#[derive(Debug, Error)]
#[error("cannot draw {path}: {why}")]
pub struct PlotError {
    path: String,
    why: String,
}

const SIZE: (u32, u32) = (1400, 760);
/// A fresh machine may have no fonts, so the plot brings its own.
const FONT: &str = "sans-serif";
const KEPT: RGBColor = RGBColor(24, 128, 72);
const DISCARDED: RGBColor = RGBColor(170, 174, 182);
const CRASHED: RGBColor = RGBColor(200, 60, 60);
const INK: RGBColor = RGBColor(52, 56, 64);
/// The longest label, in characters.
const LABEL: usize = 38;
/// The most labels.
const LABELS: usize = 24;
/// The largest number on the axis: room around it must not overflow.
const MOST: f64 = 1e300;
/// The least span of the axis, as a part of its numbers: ticks that are closer to each other than numbers can be never end.
const LEAST_SPAN: f64 = 1e-9;
/// Height of a label, and width of one of its characters, in pixels of the plot.
const LINE: f64 = 24.0;
const CHARACTER: f64 = 10.0;

/// Draws the staircase into both files.
pub fn staircase(state: &State, svg_path: &Path, png_path: &Path) -> Result<(), PlotError> {
    svg(state, svg_path)?;
    register();
    draw(&BitMapBackend::new(png_path, SIZE).into_drawing_area(), state).map_err(|why| failed(png_path, why))
}

/// Draws the staircase into an SVG file.
pub fn svg(state: &State, path: &Path) -> Result<(), PlotError> {
    register();
    draw(&SVGBackend::new(path, SIZE).into_drawing_area(), state).map_err(|why| failed(path, why))
}

/// Makes the font known. Registering it again replaces it, which changes nothing.
fn register() {
    let _ = register_font(FONT, FontStyle::Normal, notosans::REGULAR_TTF);
}

fn failed(path: &Path, why: String) -> PlotError {
    PlotError { path: path.display().to_string(), why }
}

/// The part of the y axis that is worth seeing: from the incumbent to the baseline, with room on both sides.
fn interesting(state: &State, direction: Direction) -> (f64, f64) {
    let number = |e: &Experiment| Some(e.score()?.get().clamp(-MOST, MOST));
    let scores: Vec<f64> = state.experiments.iter().filter_map(number).collect();
    let kept = state.experiments.iter().filter(|e| e.status == Status::Keep).filter_map(number);
    let (low, high) = kept.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), s| (low.min(s), high.max(s)));
    if scores.is_empty() || low > high {
        return (0.0, 1.0);
    }
    let least = LEAST_SPAN * low.abs().max(high.abs());
    if low == high {
        // Without gains the neighbourhood of the baseline, with three quarters of the other scores.
        let mut away: Vec<f64> = scores.iter().map(|s| (s - low).abs()).filter(|away| *away > 0.0).collect();
        away.sort_by(f64::total_cmp);
        let spread = away.get(3 * away.len() / 4).map_or(low.abs() * 1e-3, |away| 1.15 * away);
        let spread = spread.max(1e-9).max(least);
        return (low - spread, high + spread);
    }
    let span = (high - low).max(least);
    match direction {
        Direction::Minimise => (low - 0.2 * span, high + 0.35 * span),
        Direction::Maximise => (low - 0.35 * span, high + 0.2 * span),
    }
}

fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, state: &State) -> Result<(), String> {
    let text = |e: DrawingAreaErrorKind<B::ErrorType>| e.to_string();
    let header = state.header.as_ref();
    let direction = header.map_or(Direction::Minimise, |h| h.direction);
    let metric = header.map_or("score", |h| h.metric.as_str());
    let (low, high) = interesting(state, direction);
    let last = state.experiments.len().max(2) as f64 - 1.0;

    area.fill(&WHITE).map_err(text)?;
    let kept = state.experiments.iter().skip(1).filter(|e| e.status == Status::Keep).count();
    let tag = header.map_or("", |h| h.tag.as_str());
    let title = format!("{tag}: {}, {kept} kept", count(state.finished(), "experiment"));
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 26).into_font().color(&INK))
        .margin(18)
        .x_label_area_size(48)
        .y_label_area_size(90)
        .build_cartesian_2d(-0.02 * last..last * 1.06, low..high)
        .map_err(text)?;
    let way = match direction {
        Direction::Minimise => "lower is better",
        Direction::Maximise => "higher is better",
    };
    // Small metrics as 5e-8 need more decimals than any axis has room for.
    let small = low.abs().max(high.abs()) < 1e-5;
    let digits = (1.0 - (high - low).log10()).ceil().clamp(0.0, 8.0) as usize;
    let tick = |y: &f64| if small { format!("{y:.2e}") } else { format!("{y:.digits$}") };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(232, 234, 238))
        .axis_style(INK)
        .label_style((FONT, 18).into_font().color(&INK))
        .x_desc(if in_order(state) { "experiment" } else { "experiment, in the order of the decisions" })
        .y_desc(format!("{metric} ({way})"))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&tick)
        .x_labels((last as usize + 1).min(12))
        .draw()
        .map_err(text)?;

    let best = steps(&state.experiments, last).into_iter().map(|(x, y)| (x, y.clamp(low, high)));
    chart.draw_series(LineSeries::new(best, KEPT.mix(0.75).stroke_width(2))).map_err(text)?;
    let places = places(state);
    let x = |e: &Experiment| places.get(&e.id).copied().unwrap_or(0.0);
    let place = |e: &Experiment| Some((x(e), e.score()?.get().clamp(low, high)));
    let inside = |e: &&Experiment| e.score().is_some_and(|s| (low..=high).contains(&s.get()));
    let of = |status: Status| state.experiments.iter().filter(move |e| e.status == status);

    let dots = of(Status::Discard).filter(inside).filter_map(place).map(|at| Circle::new(at, 4, DISCARDED.filled()));
    let discarded = chart.draw_series(dots).map_err(text)?;
    discarded.label("discarded").legend(|(x, y)| Circle::new((x + 8, y), 4, DISCARDED.filled()));
    let far = of(Status::Discard).filter(|e| !inside(e)).filter_map(place);
    let far = chart.draw_series(far.map(|at| TriangleMarker::new(at, 6, DISCARDED.filled()))).map_err(text)?;
    // Spaces, since a viewer without the plot's own font takes a wider one.
    far.label("off the axis     ").legend(|(x, y)| TriangleMarker::new((x + 8, y), 6, DISCARDED.filled()));
    let edge = match direction {
        Direction::Minimise => high,
        Direction::Maximise => low,
    };
    let crashes = of(Status::Crash).map(|e| Cross::new((x(e), edge), 5, CRASHED.stroke_width(2)));
    let crashed = chart.draw_series(crashes).map_err(text)?;
    crashed.label("crashed").legend(|(x, y)| Cross::new((x + 8, y), 5, CRASHED.stroke_width(2)));
    let dots = of(Status::Keep).filter_map(place).map(|at| Circle::new(at, 6, KEPT.filled()));
    let keeps = chart.draw_series(dots).map_err(text)?;
    keeps.label("kept").legend(|(x, y)| Circle::new((x + 8, y), 6, KEPT.filled()));

    let points: Vec<Point<'_>> = of(Status::Keep)
        .filter_map(|experiment| place(experiment).map(|(x, y)| Point { x, y, text: &experiment.description }))
        .collect();
    for Label { x, y, left, text: words } in labels(&points, low..high, last, direction) {
        let anchor = if left { text_anchor::HPos::Right } else { text_anchor::HPos::Left };
        let style = (FONT, 18).into_font().color(&INK).pos(text_anchor::Pos::new(anchor, text_anchor::VPos::Center));
        chart.draw_series([Text::new(words, (x, y), style)]).map_err(text)?;
    }
    chart
        .configure_series_labels()
        .position(match direction {
            Direction::Minimise => SeriesLabelPosition::UpperRight,
            Direction::Maximise => SeriesLabelPosition::LowerRight,
        })
        .label_font((FONT, 18).into_font().color(&INK))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(220, 222, 226))
        .draw()
        .map_err(text)?;
    area.present().map_err(text)
}

/// A kept experiment in the plot.
struct Point<'a> {
    x: f64,
    y: f64,
    text: &'a str,
}

/// A description in the plot; it ends at `x` if it is to the left of its point, and begins there otherwise.
#[derive(Debug, PartialEq)]
struct Label {
    x: f64,
    y: f64,
    left: bool,
    text: String,
}

/// Places the descriptions of kept experiments, those of the largest gains first. One without room is left out.
fn labels(points: &[Point<'_>], axis: std::ops::Range<f64>, last: f64, direction: Direction) -> Vec<Label> {
    let better = if direction == Direction::Minimise { -1.0 } else { 1.0 };
    let gain = |at: usize| match at.checked_sub(1).and_then(|before| points.get(before)) {
        Some(before) => better * (points[at].y - before.y),
        None => f64::INFINITY,
    };
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| gain(*b).total_cmp(&gain(*a)).then(a.cmp(b)));
    let line = LINE * (axis.end - axis.start) / f64::from(SIZE.1);
    let character = CHARACTER * 1.08 * last / f64::from(SIZE.0);
    let mut placed: Vec<(f64, f64, f64)> = Vec::new();
    let mut labels = Vec::new();
    for at in order.into_iter().take(LABELS) {
        let point = &points[at];
        // Cleaned, too: a control character would make the SVG invalid.
        let text = one_line(point.text, LABEL);
        let width = text.chars().count() as f64 * character;
        let (end, begin) = (point.x - 0.008 * last, point.x + 0.004 * last);
        let below = point.y + better * line;
        let places = [(end, point.y, true), (end, below, true), (begin, below, false)];
        let fits = |(x, y, left): &(f64, f64, bool)| {
            let span = if *left { (x - width, *x) } else { (*x, x + width) };
            // A step of the staircase reaches from its point to the next one, and down to it.
            let touches = |step: &[Point<'_>]| match step {
                [from, to] if from.x < span.1 && to.x > span.0 => {
                    let near = |height: f64| (height - y).abs() < 0.6 * line;
                    let falls = to.x < span.1 && (from.y - y) * (to.y - y) < 0.0;
                    near(from.y) || (to.x < span.1 && near(to.y)) || falls
                }
                _ => false,
            };
            let overlaps =
                |(begin, end, height): &(f64, f64, f64)| (y - height).abs() < line && span.0 < *end && span.1 > *begin;
            let inside = span.0 > -0.02 * last && span.1 < 1.06 * last && axis.contains(y);
            inside && !points.windows(2).any(touches) && !placed.iter().any(overlaps)
        };
        if let Some((x, y, left)) = places.into_iter().find(fits) {
            placed.push(if left { (x - width, x, y) } else { (x, x + width, y) });
            labels.push(Label { x, y, left, text });
        }
    }
    labels
}

/// The place of each experiment on the x axis: in the order of the decisions, in which the best so far only goes one way. With several
/// workers that is not the order of the numbers.
fn places(state: &State) -> HashMap<ExperimentId, f64> {
    (0u32..).zip(&state.experiments).map(|(place, experiment)| (experiment.id, f64::from(place))).collect()
}

fn in_order(state: &State) -> bool {
    (0u32..).zip(&state.experiments).all(|(place, experiment)| experiment.id.0 == place)
}

/// The corners of the staircase.
fn steps(experiments: &[Experiment], last: f64) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (place, experiment) in (0u32..).zip(experiments).filter(|(_, e)| e.status == Status::Keep) {
        let Some(score) = experiment.score() else { continue };
        let x = f64::from(place);
        corners.extend(corners.last().map(|(_, before)| (x, *before)));
        corners.push((x, score.get()));
    }
    corners.extend(corners.last().map(|(_, best)| (last, *best)));
    corners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{example, run_of};

    fn drawn(state: &State) -> (String, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let (svg, png) = (folder.path().join("a.svg"), folder.path().join("a.png"));
        staircase(state, &svg, &png).unwrap();
        (std::fs::read_to_string(svg).unwrap(), std::fs::read(png).unwrap())
    }

    #[test]
    fn both_files_show_the_run() {
        let (svg, png) = drawn(&example());
        assert!(svg.contains("LR 0.1 -&gt; 0.2") && svg.contains("lower is better"), "labels, escaped");
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5000);
    }

    #[test]
    fn a_run_that_kept_nothing_shows_what_it_tried() {
        let scores: Vec<(String, f64)> = (0..21)
            .map(|n| (format!("change {n}"), 2.0 + 0.01 * f64::from(n % 7)))
            .chain([("far".into(), 1e9)])
            .collect();
        let scores: Vec<(&str, Option<f64>)> =
            scores.iter().map(|(text, score)| (text.as_str(), Some(*score))).collect();
        let state = run_of(&scores);
        let (low, high) = interesting(&state, Direction::Minimise);
        let inside =
            scores.iter().filter(|(_, score)| score.is_some_and(|score| (low..=high).contains(&score))).count();
        assert!(inside >= 16 && high < 3.0, "{inside} of {} in {low}..{high}", scores.len());
    }

    #[test]
    fn odd_runs_are_drawn_too() {
        for scores in [
            vec![],
            vec![("baseline", Some(1.0))],
            vec![("baseline", None)],
            vec![("a", Some(1.0)), ("b", Some(1.0)), ("c", Some(1e12))],
            vec![("a", Some(0.0)), ("b", Some(-1e-12))],
            vec![("a", Some(50.0)), ("b", Some(-1.7e308))],
            vec![("a", Some(1e308)), ("b", Some(-1e308)), ("c", Some(f64::MAX)), ("d", Some(f64::MIN))],
            // Neighbours, between which there is no number.
            vec![("a", Some(1e16 + 2.0)), ("b", Some(1e16))],
            vec![("a", Some(1.0 + f64::EPSILON)), ("b", Some(1.0))],
            vec![("a", Some(f64::MIN_POSITIVE)), ("b", Some(0.0))],
        ] {
            drawn(&run_of(&scores));
        }
        let many: Vec<(String, Option<f64>)> = (0..500)
            .map(|i| (format!("change {i}"), Some(2.0 + f64::from(i * 37 % 100) / 50.0 - f64::from(i) / 300.0)))
            .collect();
        drawn(&run_of(&many.iter().map(|(d, s)| (d.as_str(), *s)).collect::<Vec<_>>()));
    }

    #[test]
    fn labels_neither_overlap_nor_cross_the_staircase() {
        let texts: Vec<String> = (0..12).map(|n| format!("a change with number {n}")).collect();
        let point = |(n, text): (usize, &'_ String)| {
            (n as f64 * 2.0, if n < 6 { 10.0 } else { 4.0 } - 0.01 * n as f64, text.clone())
        };
        let all: Vec<(f64, f64, String)> = texts.iter().enumerate().map(point).collect();
        let points: Vec<Point<'_>> = all.iter().map(|(x, y, text)| Point { x: *x, y: *y, text }).collect();
        let found = labels(&points, 0.0..12.0, 24.0, Direction::Minimise);
        let of = |n: usize| found.iter().find(|label| label.text.ends_with(&format!("number {n}")));
        assert!(of(6).is_some_and(|label| label.left), "the largest gain has its label: {found:?}");
        assert!(found.len() < points.len(), "small steps have no room for all: {found:?}");
        let span = |label: &Label| {
            let width = label.text.chars().count() as f64 * CHARACTER * 1.08 * 24.0 / f64::from(SIZE.0);
            if label.left { (label.x - width, label.x) } else { (label.x, label.x + width) }
        };
        for (n, a) in found.iter().enumerate() {
            for b in &found[n + 1..] {
                let apart = span(a).1 <= span(b).0 || span(b).1 <= span(a).0;
                assert!(apart || (a.y - b.y).abs() >= LINE * 12.0 / f64::from(SIZE.1), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn the_line_only_goes_down() {
        let corners = steps(&example().experiments, 3.0);
        assert_eq!(corners, [(0.0, 1.5), (1.0, 1.5), (1.0, 1.4), (3.0, 1.4)]);
        // Decided in another order than they were numbered.
        let mut state = run_of(&[("baseline", Some(1.5)), ("a", Some(1.4)), ("b", Some(1.3))]);
        assert!(in_order(&state));
        (state.experiments[1].id, state.experiments[2].id) = (ExperimentId(2), ExperimentId(1));
        let corners = steps(&state.experiments, 2.0);
        assert_eq!(corners, [(0.0, 1.5), (1.0, 1.5), (1.0, 1.4), (2.0, 1.4), (2.0, 1.3), (2.0, 1.3)]);
        assert_eq!((places(&state)[&ExperimentId(2)], in_order(&state)), (1.0, false));
        assert!(drawn(&state).0.contains("order of the decisions"));
    }
}
