//! A terminal as an SVG picture: lines of text in a dark frame.

use std::fmt::Write as _;

use crate::text::terminal::Style;

/// Height of a line, in the picture's units.
const LINE: f64 = 19.0;
/// Width of a character of the monospaced fonts that browsers have, at [`FONT_SIZE`].
const CHARACTER: f64 = 8.43;
const FONT_SIZE: f64 = 14.0;
const MARGIN: f64 = 16.0;
/// Height of the bar with the title.
const TITLE: f64 = 34.0;

/// Parts of a line, each in a style or plain.
pub type Line = Vec<(Option<Style>, String)>;

/// Draws `lines` in a frame of `columns` characters. Longer lines are cut, as a terminal cuts those of its bars.
pub fn draw(title: &str, columns: usize, lines: &[Line]) -> String {
    let width = 2.0 * MARGIN + columns as f64 * CHARACTER;
    let height = TITLE + 2.0 * MARGIN + lines.len() as f64 * LINE - 4.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"{FONT_SIZE}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"9\" fill=\"#1e2127\"/>\n"
    );
    for (number, colour) in ["#e06c75", "#e5c07b", "#98c379"].into_iter().enumerate() {
        let x = MARGIN + 4.0 + 20.0 * number as f64;
        let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"17\" r=\"6\" fill=\"{colour}\"/>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"22\" text-anchor=\"middle\" fill=\"#7f848e\">{}</text>",
        width / 2.0,
        escape(title)
    );
    for (number, line) in lines.iter().enumerate() {
        let y = TITLE + MARGIN + LINE * number as f64 + 6.0;
        let mut column = 0;
        for (style, text) in line {
            let shown: String = text.chars().take(columns.saturating_sub(column)).collect();
            let x = MARGIN + column as f64 * CHARACTER;
            column += shown.chars().count();
            if !shown.trim().is_empty() {
                let (fill, weight) = paint(*style);
                let shown = escape(&shown);
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.0}\" fill=\"{fill}\"{weight} xml:space=\"preserve\">{shown}</text>"
                );
            }
        }
    }
    svg + "</svg>\n"
}

/// The colour and the weight of a style.
fn paint(style: Option<Style>) -> (&'static str, &'static str) {
    match style {
        None => ("#d7dae0", ""),
        Some(Style::Dim) => ("#8b919d", ""),
        Some(Style::Yellow) => ("#e5c07b", ""),
        Some(Style::Green) => ("#98c379", " font-weight=\"bold\""),
        Some(Style::Red) => ("#e06c75", ""),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_one_after_the_other_and_nothing_passes_the_frame() {
        let svg = draw("a & b", 10, &[vec![(None, "12345".into()), (Some(Style::Green), "678901234".into())]]);
        assert!(svg.contains(">12345</text>") && svg.contains("a &amp; b"), "{svg}");
        assert!(svg.contains(">67890</text>") && !svg.contains("678901"), "{svg}");
        assert!(svg.contains(&format!("x=\"{:.1}\"", MARGIN + 5.0 * CHARACTER)), "{svg}");
    }
}
