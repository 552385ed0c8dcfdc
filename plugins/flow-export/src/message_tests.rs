use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What follows the header of a message.
fn sets(records: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut message = Message::new(1400);
    for (set, record) in records {
        assert!(message.push(*set, record));
    }
    message.finish(0, 0, 0)[HEADER..].to_vec()
}

/// RFC 7011, appendix A.2.1.
const EXAMPLE: Template = Template { id: 256, scope: 0, elements: &[(8, 4), (12, 4), (15, 4), (2, 4), (1, 4)] };

#[test]
fn templates_are_those_of_appendix_a() {
    let set = sets(&[(EXAMPLE.set(), EXAMPLE.record())]);
    assert_eq!(set, hex("0002 001c 0100 0005 0008 0004 000c 0004 000f 0004 0002 0004 0001 0004"));
    // A.4.1, which pads the set to a multiple of four.
    let options = Template { id: 258, scope: 1, elements: &[(141, 4), (41, 2), (42, 2)] };
    let set = sets(&[(options.set(), options.record()), (options.set(), vec![0, 0])]);
    assert_eq!(set, hex("0003 0018 0102 0003 0001 008d 0004 0029 0002 002a 0002 0000"));
}

#[test]
fn a_set_of_data_is_that_of_appendix_a() {
    // A.3.
    let records = [
        ([192, 0, 2, 12], [192, 0, 2, 254], [192, 0, 2, 1], 5009_u32, 5_344_385_u32),
        ([192, 0, 2, 27], [192, 0, 2, 23], [192, 0, 2, 2], 748, 388_934),
        ([192, 0, 2, 56], [192, 0, 2, 65], [192, 0, 2, 3], 5, 6534),
    ]
    .map(|(a, b, c, packets, bytes)| (EXAMPLE.id, [a, b, c, packets.to_be_bytes(), bytes.to_be_bytes()].concat()));
    assert!(records.iter().all(|(_, record)| record.len() == EXAMPLE.length()));
    let expected = "0100 0040
        c000020c c00002fe c0000201 00001391 00518c81
        c000021b c0000217 c0000202 000002ec 0005ef46
        c0000238 c0000241 c0000203 00000005 00001986";
    assert_eq!(sets(&records), hex(expected));
}

#[test]
fn lengths_that_vary_are_those_of_appendix_a() {
    // A.5.1, A.5.2.
    assert_eq!(variable(b"12345"), hex("05 3132333435"));
    let long = variable(&[7; 1000]);
    assert_eq!((&long[..3], long.len()), (&hex("ff 03e8")[..], 1003));
    assert_eq!(variable(&[7; 254])[..2], [254, 7]);
    assert_eq!(variable(&[7; 255])[..4], [255, 0, 255, 7]);
}

#[test]
fn a_message_begins_as_section_3_1_says() {
    let mut message = Message::new(100);
    assert!(message.is_empty() && message.push(2, &EXAMPLE.record()) && message.push(256, &[0; 20]) && message.push(256, &[1; 20]));
    assert_eq!(message.records(), 2);
    // Sixteen, a set of templates with 28, and one of data with 44: no byte more.
    assert!(!message.push(256, &[2; 13]) && !message.push(257, &[2; 9]));
    assert!(message.push(256, &[2; 12]));
    let bytes = message.finish(0x4330_0000, 7, 11);
    assert_eq!((&bytes[..HEADER], bytes.len()), (&hex("000a 0064 43300000 00000007 0000000b")[..], 100));
    assert_eq!((&bytes[16..20], &bytes[44..48]), (&hex("0002 001c")[..], &hex("0100 0038")[..]));
    // What is finished is finished again, as one that could not be sent.
    let again = message.finish(0x4330_0001, 7, 11).to_vec();
    assert_eq!(again[HEADER..48], hex("0002 001c 0100 0005 0008 0004 000c 0004 000f 0004 0002 0004 0001 0004 0100 0038"));
    message.clear();
    assert!(message.is_empty() && message.records() == 0);
}
