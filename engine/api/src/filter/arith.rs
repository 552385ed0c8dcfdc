//! Numbers that are compared: bytes of headers, the length of a packet, and what is computed of them, as pcap-filter(7) has it.

use super::program::{Header, View};

/// Numbers that wait for an operator, at most: as deep as an expression may be.
const STACK: usize = 16;

/// A number, as what is to be done to get it, in order (reverse Polish notation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number(Box<[Step]>);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A number that is known.
    Known(u32),
    /// The length of the packet in bytes.
    Length,
    /// Bytes of a header, 1, 2 or 4, from the offset on that was computed last.
    Load(Header, u8),
    /// An operator on the last two.
    Two(Operator),
}

/// Operators of numbers, by how tightly they bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    Xor,
    And,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Rest,
}

impl Operator {
    /// With how tightly it binds, from 0 on.
    pub const ALL: [(&'static str, Operator, u8); 10] = [
        ("|", Operator::Or, 0),
        ("^", Operator::Xor, 0),
        ("&", Operator::And, 1),
        ("<<", Operator::ShiftLeft, 2),
        (">>", Operator::ShiftRight, 2),
        ("+", Operator::Add, 3),
        ("-", Operator::Subtract, 3),
        ("*", Operator::Multiply, 4),
        ("/", Operator::Divide, 4),
        ("%", Operator::Rest, 4),
    ];

    /// As classic BPF computes, in 32 bits. There is nothing by 0.
    fn of(self, a: u32, b: u32) -> Option<u32> {
        Some(match self {
            Operator::Or => a | b,
            Operator::Xor => a ^ b,
            Operator::And => a & b,
            Operator::ShiftLeft => a.checked_shl(b).unwrap_or(0),
            Operator::ShiftRight => a.checked_shr(b).unwrap_or(0),
            Operator::Add => a.wrapping_add(b),
            Operator::Subtract => a.wrapping_sub(b),
            Operator::Multiply => a.wrapping_mul(b),
            Operator::Divide => a.checked_div(b)?,
            Operator::Rest => a.checked_rem(b)?,
        })
    }
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Other,
}

impl Sign {
    pub const ALL: [(&'static str, Sign); 7] = [
        ("<", Sign::Less),
        ("<=", Sign::AtMost),
        (">", Sign::More),
        (">=", Sign::AtLeast),
        ("=", Sign::Equal),
        ("==", Sign::Equal),
        ("!=", Sign::Other),
    ];

    pub fn holds(self, a: u32, b: u32) -> bool {
        match self {
            Sign::Less => a < b,
            Sign::AtMost => a <= b,
            Sign::More => a > b,
            Sign::AtLeast => a >= b,
            Sign::Equal => a == b,
            Sign::Other => a != b,
        }
    }
}

impl Number {
    /// What these steps come to. `None` if more numbers would wait than there is room for.
    pub fn new(steps: Vec<Step>) -> Option<Number> {
        let mut waiting = 0_usize;
        for step in &steps {
            match step {
                Step::Known(_) | Step::Length => waiting += 1,
                Step::Load(..) => {}
                Step::Two(_) => waiting -= 1,
            }
            if waiting > STACK {
                return None;
            }
        }
        Some(Number(steps.into()))
    }

    /// The number of a packet; `None` if a header is not there, or not as long, or something is divided by 0.
    pub fn of(&self, view: &View<'_>) -> Option<u32> {
        let (mut stack, mut len) = ([0; STACK], 0);
        for step in &self.0 {
            match *step {
                Step::Known(number) => {
                    *stack.get_mut(len)? = number;
                    len += 1;
                }
                Step::Length => {
                    *stack.get_mut(len)? = view.bytes.len() as u32;
                    len += 1;
                }
                Step::Load(header, size) => {
                    let last = stack.get_mut(len.checked_sub(1)?)?;
                    *last = load(view.header(header)?, *last, size)?;
                }
                Step::Two(operator) => {
                    len = len.checked_sub(1)?;
                    let b = *stack.get(len)?;
                    let a = stack.get_mut(len.checked_sub(1)?)?;
                    *a = operator.of(*a, b)?;
                }
            }
        }
        stack.first().copied()
    }
}

fn load(header: &[u8], at: u32, size: u8) -> Option<u32> {
    let at = at as usize;
    let bytes = header.get(at..at.checked_add(size.into())?)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}
