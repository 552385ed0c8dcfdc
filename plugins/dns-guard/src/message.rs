//! A DNS message: RFC 1035, section 4. Only what a guard must know: the header and the question.

/// Bytes of the header.
pub const HEADER: usize = 12;
/// The longest name, in bytes with lengths of labels.
const NAME: usize = 255;
/// The longest label.
const LABEL: u8 = 63;
/// Of the flags: it is an answer.
const ANSWER: u8 = 0x80;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A question, of this type.
    Query(u16),
    /// An answer.
    Answer,
    /// No message.
    Malformed,
}

/// Looks at a message.
pub fn check(message: &[u8]) -> Verdict {
    verdict(message).unwrap_or(Verdict::Malformed)
}

fn verdict(message: &[u8]) -> Option<Verdict> {
    let be16 = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let header = message.first_chunk::<HEADER>()?;
    let questions = be16(4)?;
    let is_answer = header[2] & ANSWER != 0;
    // An answer may leave the question out (RFC 2136 and errors do); more than one nobody has ever agreed on (RFC 9619).
    if questions == 0 && is_answer {
        return Some(Verdict::Answer);
    }
    if questions != 1 {
        return None;
    }
    let behind = name(message)?;
    let of_type = be16(behind)?;
    be16(behind + 2)?;
    Some(if is_answer { Verdict::Answer } else { Verdict::Query(of_type) })
}

/// Where the name of the question ends. It is the first in the message, so it cannot refer to another one.
fn name(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let length = *message.get(at)?;
        at += 1;
        if length == 0 {
            return (at - HEADER <= NAME).then_some(at);
        }
        if length > LABEL {
            return None;
        }
        at += usize::from(length);
        if at - HEADER > NAME {
            return None;
        }
    }
}
