use super::*;

#[test]
fn the_time_of_the_world_is_that_of_the_earliest_reading() {
    let second = 1_000_000_000;
    let mut clock = Clock::default();
    // Read 5, 2 and 9 late: the start is 100.
    for (now, late) in [(10, 5), (20, 2), (30, 9)] {
        clock.read(now, 100 + now + late);
    }
    assert_eq!(clock.start, Some(102));
    // Somebody has set the clock: ahead by two seconds, and back.
    clock.read(40, 140 + 2 * second);
    assert_eq!(clock.start, Some(100 + 2 * second));
    clock.read(50, 151);
    assert_eq!(clock.start, Some(101));
    // The same reading twice says nothing new.
    let mut clock = Clock::default();
    clock.sample(7);
    let start = clock.start;
    clock.sample(7);
    assert_eq!(clock.start, start);
}

#[test]
fn a_message_fits_into_a_packet() {
    let target = |collector: &str, mtu| Target {
        collector: collector.parse().unwrap(),
        source: None,
        domain: 1,
        mtu,
        templates: Duration::from_secs(1),
    };
    assert_eq!(target("192.0.2.1:1", 1500).longest(), 1472);
    assert_eq!(target("[2001:db8::1]:1", 1500).longest(), 1452);
    assert_eq!(target("192.0.2.1:1", 512).longest(), 484);
}
