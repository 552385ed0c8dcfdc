//! Two packets side by side.

use swath_io::text::{Field, Mac, fields, usual};

/// Bytes in a line.
const ROW: usize = 16;
/// Lines of bytes that are shown at most.
const ROWS: usize = 4;

/// A part of both packets; empty for the one that does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// In the expected packet.
    pub expected: String,
    /// In the one in its place.
    pub got: String,
}

impl Column {
    /// Whether it is the same in both.
    pub fn is_same(&self) -> bool {
        self.expected == self.got
    }
}

/// The fields of two texts, those of one name in one column. `own` is the source address that is not named.
pub fn columns(expected: &str, got: &str, own: Mac) -> Vec<Column> {
    let (expected, got) = (fields(expected), fields(got));
    let (mut left, mut right) = (&expected[..], &got[..]);
    let mut columns = Vec::new();
    let other = |field: &Field<'_>| match field.name {
        "src-mac" => format!("src-mac {own}"),
        name => usual(name).unwrap_or_default().to_owned(),
    };
    loop {
        let column = match (left.split_first(), right.split_first()) {
            (Some((a, rest_a)), Some((b, rest_b))) if a.name == b.name => {
                (left, right) = (rest_a, rest_b);
                Column { expected: a.text.into(), got: b.text.into() }
            }
            // What the other has further on waits for it.
            (Some((a, rest)), b) if b.is_none() || !right.iter().any(|field| field.name == a.name) => {
                left = rest;
                Column { expected: a.text.into(), got: other(a) }
            }
            (_, Some((b, rest))) => {
                right = rest;
                Column { expected: other(b), got: b.text.into() }
            }
            _ => return columns,
        };
        columns.push(column);
    }
}

/// Lines with the bytes of two frames where these differ: the offset, the bytes, and which of them differ; and whether there are
/// more.
pub fn rows(expected: &[u8], got: &[u8]) -> (Vec<Row>, bool) {
    let length = expected.len().max(got.len());
    let part = |frame: &[u8], at: usize| frame.get(at..(at + ROW).min(frame.len())).unwrap_or_default().to_vec();
    let all = (0..length).step_by(ROW).map(|at| Row { at, expected: part(expected, at), got: part(got, at) });
    let mut differing = all.filter(|row| row.expected != row.got);
    let rows = differing.by_ref().take(ROWS).collect();
    (rows, differing.next().is_some())
}

/// Up to 16 bytes of two frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where they stand.
    pub at: usize,
    /// Those of the expected frame.
    pub expected: Vec<u8>,
    /// Those of the one in its place.
    pub got: Vec<u8>,
}

impl Row {
    /// The bytes as columns; a side that has ended has none.
    pub fn columns(&self) -> Vec<Column> {
        let byte = |bytes: &[u8], at: usize| bytes.get(at).map_or(String::new(), |byte| format!("{byte:02x}"));
        let length = self.expected.len().max(self.got.len());
        let bytes = (0..length).map(|at| Column { expected: byte(&self.expected, at), got: byte(&self.got, at) });
        let place = format!("{:04x} ", self.at);
        std::iter::once(Column { expected: place.clone(), got: place }).chain(bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 2, 1]);

    fn differing(expected: &str, got: &str) -> Vec<(String, String)> {
        let columns = columns(expected, got, OWN);
        let join = |pick: fn(&Column) -> &String| {
            let texts: Vec<&str> = columns.iter().map(pick).map(String::as_str).filter(|text| !text.is_empty()).collect();
            texts.join(" ")
        };
        // Nothing is lost, and nothing moves.
        for (side, text) in [(join(|column| &column.expected), expected), (join(|column| &column.got), got)] {
            for field in fields(text) {
                assert!(side.contains(field.text), "{side}: {}", field.text);
            }
        }
        let differing = columns.into_iter().filter(|column| !column.is_same());
        differing.map(|column| (column.expected, column.got)).collect()
    }

    #[test]
    fn exactly_what_differs_is_found() {
        let udp = "udp 10.0.0.1:1 > 10.0.0.2:2";
        let pair = |a: &str, b: &str| vec![(a.to_owned(), b.to_owned())];
        assert_eq!(differing(udp, udp), []);
        assert_eq!(differing(&format!("{udp} ttl 63"), &format!("{udp} ttl 62")), pair("ttl 63", "ttl 62"));
        assert_eq!(differing(&format!("{udp} ttl 63 payload \"x\""), &format!("{udp} payload \"x\"")), pair("ttl 63", "ttl 64"));
        assert_eq!(differing(udp, &format!("{udp} bad-checksum")), pair("", "bad-checksum"));
        assert_eq!(differing(udp, "udp 10.0.0.1:9 > 10.0.0.2:2"), pair("10.0.0.1:1", "10.0.0.1:9"));
        assert_eq!(
            differing(&format!("{udp} tos 4 payload \"x\""), &format!("{udp} id 7 payload \"y\"")),
            [("tos 4", "tos 0"), ("id 0", "id 7"), ("payload \"x\"", "payload \"y\"")].map(|(a, b)| (a.into(), b.into()))
        );
        let stray = format!("{udp} src-mac 02:00:00:00:09:09");
        assert_eq!(differing(udp, &stray), pair("src-mac 02:00:00:00:02:01", "src-mac 02:00:00:00:09:09"));
        let icmp = "icmp 10.0.0.1 > 10.0.0.2";
        let quoted = format!("{icmp} time-exceeded payload hex 45");
        assert_eq!(differing(&format!("{icmp} unreachable payload hex 45"), &quoted), pair("unreachable", "time-exceeded"));
        assert_eq!(differing("hex 00", "hex 01"), pair("hex 00", "hex 01"));
    }

    #[test]
    fn rows_that_differ_are_shown() {
        let mut frame = vec![0; 100];
        assert_eq!(rows(&frame, &frame), (Vec::new(), false));
        frame[33] = 7;
        let (found, more) = rows(&[0; 100], &frame);
        assert_eq!((found.len(), found[0].at, more), (1, 32, false));
        let columns = found[0].columns();
        assert_eq!((&*columns[0].got, &*columns[2].expected, &*columns[2].got), ("0020 ", "00", "07"));
        let (found, more) = rows(&[0; 100], &[1; 100]);
        assert_eq!((found.len(), more), (ROWS, true));
        let (found, _) = rows(&[0; 18], &[0; 17]);
        assert_eq!(found[0].columns()[2], Column { expected: "00".into(), got: String::new() });
    }
}
