//! How wide text is. Nobody knows which font a reader's machine will choose, so the wider of Helvetica and DejaVu Sans is taken.

/// Advance widths of U+0020 to U+007E in thousandths of the font's size: for each character the larger of Liberation Sans, which has the
/// metrics of Helvetica, and DejaVu Sans (tables `hmtx` of the fonts' files).
const WIDTHS: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636, 636, 636,
    636, 337, 337, 838, 838, 838, 556, 1015, 684, 686, 722, 770, 667, 611, 778, 752, 295, 500, 667, 557, 863, 748, 787, 667, 787,
    722, 667, 611, 732, 684, 989, 685, 667, 685, 390, 337, 390, 838, 556, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278,
    579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];
/// Any other character: as wide as an ideograph.
const OTHER: u16 = 1000;

/// The width of a text in a font of this size.
pub fn width(text: &str, size: f64) -> f64 {
    let width = |c: char| {
        let known = u32::from(c).checked_sub(0x20).and_then(|at| WIDTHS.get(at as usize));
        f64::from(*known.unwrap_or(&OTHER))
    };
    (text.chars().map(width).sum::<f64>() * size / 1000.0).ceil()
}

/// A text that is not wider than this: of one that is, the middle gives way to an ellipsis.
pub fn shortened(text: &str, size: f64, widest: f64) -> String {
    if width(text, size) <= widest {
        return text.into();
    }
    let all: Vec<char> = text.chars().collect();
    for kept in (0..all.len()).rev() {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let short: String = all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect();
        if width(&short, size) <= widest {
            return short;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the Helvetica metrics of Adobe (AFM): i 222, m 833, W 944, - 333.
    #[test]
    fn no_text_is_narrower_than_in_helvetica() {
        for (text, helvetica) in [("i", 222.0), ("m", 833.0), ("W", 944.0), ("-", 333.0), ("ip4-lookup", 4223.0)] {
            assert!(width(text, 1000.0) >= helvetica, "{text}");
        }
        assert_eq!(width("", 12.0), 0.0);
    }

    #[test]
    fn long_text_keeps_its_ends() {
        assert_eq!(shortened("lookup", 10.0, 100.0), "lookup");
        let short = shortened(&format!("first-{}-last", "x".repeat(80)), 10.0, 100.0);
        assert!(short.starts_with("first") && short.ends_with("last") && short.contains('…'), "{short}");
        assert!(width(&short, 10.0) <= 100.0);
        assert_eq!(shortened("wide", 10.0, 1.0), "");
    }
}
