//! What a comparison of captures found, and how it is told to a person.

use std::fmt;

use super::Flow;

/// The two captures of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// One way in which two captures differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The file of both directories that differs; empty if two files were compared.
    pub file: String,
    /// What differs.
    pub kind: Kind,
}

/// What differs between two captures. Frames are counted from 1, as Wireshark does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only the other side has such a file.
    NoFile {
        /// Where it is missing.
        missing_in: Side,
        /// How many frames the other side's file has.
        frames: u64,
    },
    /// The other side has a frame more often.
    Missing {
        /// Where it is missing.
        missing_in: Side,
        /// The interface in the capture.
        interface: u32,
        /// Its flow.
        flow: Flow,
        /// The number, on the other side, of the first frame without a partner.
        frame: u64,
        /// How many times it is missing.
        count: u64,
    },
    /// Both sides have the same frames of a flow in different orders.
    Order {
        /// The interface in the capture.
        interface: u32,
        /// Their flow.
        flow: Flow,
        /// The place within the flow, from 1, of the first frame that is another one.
        position: u64,
        /// The number in A of the frame at that place.
        frame_a: u64,
        /// The number in B of the frame at that place.
        frame_b: u64,
    },
}

/// The outcome of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Whether no difference was found.
    pub equal: bool,
    /// The number of frames in A and in B.
    pub frames: [u64; 2],
    /// The number of flows, each counted once on each interface where A or B has it.
    pub flows: u64,
    /// The first differences, by file and flow.
    pub differences: Vec<Difference>,
    /// How many differences there are, kept or not.
    pub total_differences: u64,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([a, b], flows) = (self.frames, self.flows);
        if self.equal {
            return write!(f, "equal: {a} frames in {flows} flows");
        }
        let total = self.total_differences;
        let plural = if total == 1 { "" } else { "s" };
        write!(f, "{total} difference{plural}: A has {a} frames, B has {b}, in {flows} flows")?;
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        match total - self.differences.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        match &self.kind {
            Kind::NoFile { missing_in, frames } => {
                write!(f, "missing in {missing_in}, {} has {frames} frames", missing_in.other())
            }
            Kind::Missing { missing_in, interface, flow, frame, count } => {
                write_flow(f, *interface, flow)?;
                write!(f, "frame {frame} of {} is missing in {missing_in}", missing_in.other())?;
                match count {
                    1 => Ok(()),
                    count => write!(f, ", {count} times"),
                }
            }
            Kind::Order { interface, flow, position, frame_a, frame_b } => {
                write_flow(f, *interface, flow)?;
                write!(
                    f,
                    "the order differs from position {position} on \
                     (frame {frame_a} of A, frame {frame_b} of B)"
                )
            }
        }
    }
}

fn write_flow(f: &mut fmt::Formatter<'_>, interface: u32, flow: &Flow) -> fmt::Result {
    match interface {
        0 => write!(f, "{flow}: "),
        interface => write!(f, "interface {interface}: {flow}: "),
    }
}

impl Side {
    /// The side that this one is compared with.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}
