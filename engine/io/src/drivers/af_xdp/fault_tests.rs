//! What the driver does where the kernel refuses something, and where there is no buffer: it says what it does instead, and counts what is
//! lost. Needs root.

use std::sync::Arc;
use std::time::Duration;

use swath_api::memory::{Geometry, Region};
use swath_api::{Cache, Lane, Pool, Vector};
use swath_core::driver::{Io, Received};

use super::kernel_tests::{Cable, End, frame};
use super::socket::{Bound, Memory, Queue};
use crate::drivers::kernel::netlink::Netlink;

fn pool(buffers: u32, room: usize) -> Arc<Pool> {
    Pool::new(Region::anonymous(Geometry::new(buffers, room)).unwrap())
}

/// Somebody else has the queue, by a socket and no program: it is waited for, and if it is not left, the engine says so and leaves no trace.
#[test]
fn a_queue_that_is_busy_is_tried_for_again() {
    let Some(_cable) = Cable::lay("busy") else { return };
    let device = Netlink::open().unwrap().link("two").unwrap().unwrap().index;
    let hold = || Bound::open(Queue { device, number: 0 }, &Memory::frames(64).unwrap(), 64, false, &Arc::default()).unwrap();
    let (pool, held) = (pool(1024, 2048), hold());
    let refused = End::try_open("two", 2, 64, &pool).map(drop).unwrap_err();
    let expected = "another program has `two`, or one of its queues, by XDP: `ip -d link show two` and `bpftool net` say which";
    assert_eq!((refused.path(), refused.message()), ("device", expected));
    assert_eq!(pool.free(), pool.capacity());
    drop(held);
    // Neither the program nor a socket of the attempt is left.
    drop(hold());
    let held = hold();
    let leaves = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(250));
        drop(held);
    });
    let (mut cache, mut one) = (pool.cache(), End::open("one", 1, 64, &pool));
    let mut two = End::open("two", 2, 64, &pool);
    leaves.join().unwrap();
    let frames: Vec<_> = (0..20).map(frame).collect();
    one.send(&frames, &mut cache, &pool);
    assert_eq!(two.receive(20, 2, &mut cache, &pool), frames);
    drop((one, two, cache));
    assert_eq!(pool.free(), pool.capacity());
}

/// No veth has zero-copy: frames are copied, and the reason is said, whoever has refused.
#[test]
fn without_zero_copy_frames_are_copied() {
    let Some(_cable) = Cable::lay("copies") else { return };
    for (room, how, mode, reasons) in [
        (2048, "native, copied by the kernel", "copy", vec!["zero-copy: packet memory is not on huge pages"]),
        (
            1536,
            "native, copied by the kernel, copied by swath",
            "copy-aligned",
            vec![
                "buffers of 1984 bytes: the kernel takes 2048 to 4096, as `engine.buffer-size` says",
                "zero-copy: Operation not supported (os error 95)",
            ],
        ),
    ] {
        let pool = pool(1024, room);
        let mut cache = pool.cache();
        let (mut one, mut two) = (End::open("one", 1, 64, &pool), End::open("two", 2, 64, &pool));
        let said = reasons.iter().map(|reason| format!("`two` has no {reason}"));
        let said: Vec<String> = std::iter::once(format!("`two` by AF_XDP: {how}, 1 queue")).chain(said).collect();
        assert_eq!(two.port.news(), said);
        let frames: Vec<_> = (0..40).map(frame).collect();
        one.send(&frames, &mut cache, &pool);
        assert_eq!(two.receive(40, 2, &mut cache, &pool), frames);
        let status = two.port.status().unwrap();
        assert_eq!((status.mode(), status.fallbacks()), (mode, reasons.into_iter().map(String::from).collect()));
        assert_eq!(two.port.finish().unwrap()["mode"], how);
        drop((one, two, cache));
        assert_eq!(pool.free(), pool.capacity());
    }
}

/// Packets that are there now, in a vector that keeps them.
fn take(end: &mut End, wanted: usize, cache: &mut Cache, pool: &Arc<Pool>) -> (Vector, Received) {
    let (mut vector, mut sum) = (Vector::new(pool), Received::default());
    for _ in 0..500 {
        let received = end.receive.receive(&mut vector, 256, &mut Io { cache, now: 0 });
        sum.packets += received.packets;
        sum.no_buffer += received.no_buffer;
        sum.too_big += received.too_big;
        if sum.arrived() as usize >= wanted {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    (vector, sum)
}

fn missed(end: &End, count: u64) {
    let status = end.port.status().unwrap();
    for _ in 0..5000 {
        if status.missed() >= count {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(status.missed(), count);
}

/// All buffers of the pool, but for those that the kernel has.
fn all(pool: &Arc<Pool>, cache: &mut Cache) -> Vec<Vector> {
    let mut vectors = Vec::new();
    let mut vector = Vector::new(pool);
    while let Some(mut buffer) = cache.take() {
        assert!(buffer.fill(&[0; 60]) && buffer.push(&mut vector, Lane::default()));
        if vector.room() == 0 {
            vectors.push(std::mem::replace(&mut vector, Vector::new(pool)));
        }
    }
    vectors.push(vector);
    vectors
}

/// While the pool has no buffer, the fill ring runs dry: what comes then the kernel drops and counts. When there are buffers again, packets
/// come again.
#[test]
fn without_buffers_the_kernel_drops_and_counts() {
    let Some(_cable) = Cable::lay("starved") else { return };
    // Another pool to send from.
    let (sending, pool) = (pool(1024, 2048), pool(1024, 2048));
    let (mut spare, mut cache) = (sending.cache(), pool.cache());
    let (mut one, mut two) = (End::open("one", 1, 256, &sending), End::open("two", 2, 64, &pool));
    let held = all(&pool, &mut cache);
    assert!(two.receive.readable().is_some());
    let frames: Vec<_> = (0..130).map(frame).collect();
    one.send(&frames[..50], &mut spare, &sending);
    one.send(&frames[50..100], &mut spare, &sending);
    let (first, received) = take(&mut two, 64, &mut cache, &pool);
    assert_eq!(received, Received { packets: 64, ..Received::default() });
    missed(&two, 36);
    // Nothing would wake who sleeps now.
    assert!(two.receive.readable().is_none());
    one.send(&frames[100..110], &mut spare, &sending);
    missed(&two, 46);
    assert_eq!(take(&mut two, 0, &mut cache, &pool).1, Received::default());
    drop(held);
    assert_eq!(take(&mut two, 0, &mut cache, &pool).1, Received::default());
    assert!(two.receive.readable().is_some());
    one.send(&frames[110..], &mut spare, &sending);
    let (last, received) = take(&mut two, 20, &mut cache, &pool);
    assert_eq!(received, Received { packets: 20, ..Received::default() });
    let bytes = |vector: &Vector| (0..vector.len()).map(|at| vector.bytes(at).unwrap().to_vec()).collect::<Vec<_>>();
    assert_eq!((bytes(&first), bytes(&last)), (frames[..64].to_vec(), frames[110..].to_vec()));
    let report = two.port.finish().unwrap();
    let count = |figure: &str| report[figure].as_u64().unwrap();
    assert_eq!((count("kernel-drops"), count("receive-ring-full"), count("invalid")), (46, 0, 0), "{report}");
    assert!(count("fill-ring-empty") > 0, "{report}");
    drop((first, last, one, two, cache));
    assert_eq!(pool.free(), pool.capacity());
}

/// The same where frames are copied out of other memory: the kernel has room, and who copies counts what there is no buffer for.
#[test]
fn without_buffers_what_is_to_be_copied_is_counted() {
    let Some(_cable) = Cable::lay("full") else { return };
    let (sending, pool) = (pool(1024, 1536), pool(1024, 1536));
    let (mut spare, mut cache) = (sending.cache(), pool.cache());
    let (mut one, mut two) = (End::open("one", 1, 64, &sending), End::open("two", 2, 64, &pool));
    let held = all(&pool, &mut cache);
    let frames: Vec<_> = (0..30).map(frame).collect();
    one.send(&frames[..20], &mut spare, &sending);
    let (none, received) = take(&mut two, 20, &mut cache, &pool);
    assert_eq!((none.len(), received), (0, Received { no_buffer: 20, ..Received::default() }));
    drop(held);
    one.send(&frames[20..], &mut spare, &sending);
    assert_eq!(two.receive(10, 2, &mut cache, &pool), frames[20..]);
    let report = two.port.finish().unwrap();
    assert_eq!((&report["kernel-drops"], &report["copied"], &report["invalid"]), (&0.into(), &30.into(), &0.into()), "{report}");
    drop((none, one, two, cache));
    assert_eq!(pool.free(), pool.capacity());
}
