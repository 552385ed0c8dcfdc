//! The driver between the ends of a cable, without an engine: rings, chunks and their ways home, for tools that look at every access to
//! memory. Needs root.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use swath_api::memory::{Geometry, Region};
use swath_api::{Cache, ConfigError, Lane, Pool, Vector};
use swath_core::driver::{Io, Port, PortConfig, RxQueue, TxQueue};

/// A network namespace with a cable from `one` to `two`.
pub(super) struct Cable(String);

impl Cable {
    pub fn lay(name: &str) -> Option<Cable> {
        if Command::new("ip").arg("-V").output().is_err() || !rustix::process::geteuid().is_root() {
            let needs = "it needs root and `ip`";
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{needs}");
            println!("not run: {needs}");
            return None;
        }
        let cable = Cable(format!("swath-{}-{name}", std::process::id()));
        ip(&["netns", "add", &cable.0]);
        let file = std::fs::File::open(format!("/run/netns/{}", cable.0)).unwrap();
        // Of this thread, and of those that it starts.
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
        Cable::plug();
        Some(cable)
    }

    fn plug() {
        ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"]);
        for device in ["one", "two"] {
            let quiet = format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6");
            std::fs::write(quiet, "1").unwrap();
            ip(&["link", "set", device, "up"]);
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An attached end.
pub(super) struct End {
    pub port: Box<dyn Port>,
    pub receive: Box<dyn RxQueue>,
    pub transmit: Box<dyn TxQueue>,
}

impl End {
    pub fn open(device: &str, index: u16, ring: u32, pool: &Arc<Pool>) -> End {
        End::try_open(device, index, ring, pool).unwrap()
    }

    pub fn try_open(device: &str, index: u16, ring: u32, pool: &Arc<Pool>) -> Result<End, ConfigError> {
        let settings = format!(r#"{{"device": "{device}", "ring": {ring}, "checksum": "trust"}}"#);
        let config = PortConfig {
            name: device,
            index,
            settings: settings.as_bytes(),
            mac: None,
            mtu: None,
            workers: 1,
            pool,
            directory: &PathBuf::new(),
            virtual_time: false,
            leaving: &[],
        };
        let mut port = (super::KIND.open)(&config)?;
        let (receive, transmit) = (port.receive_queues().remove(0), port.transmit_queues().remove(0));
        Ok(End { port, receive, transmit })
    }

    /// Frames that are there within a moment.
    pub fn receive(&mut self, wanted: usize, index: u16, cache: &mut Cache, pool: &Arc<Pool>) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for _ in 0..500 {
            let mut vector = Vector::new(pool);
            self.receive.receive(&mut vector, 256, &mut Io { cache, now: 0 });
            assert!(vector.lanes().iter().all(|lane| *lane == Lane::received(index)));
            frames.extend((0..vector.len()).filter_map(|at| vector.bytes(at)).map(<[u8]>::to_vec));
            cache.free(&mut vector);
            if frames.len() >= wanted {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        frames
    }

    pub fn send(&mut self, frames: &[Vec<u8>], cache: &mut Cache, pool: &Arc<Pool>) {
        let mut vector = Vector::new(pool);
        for frame in frames {
            let mut buffer = cache.take().expect("a buffer");
            assert!(buffer.fill(frame));
            buffer.push(&mut vector, Lane::default());
        }
        let mut io = Io { cache, now: 0 };
        self.transmit.transmit(&mut vector, &mut io);
        assert_eq!(vector.len(), 0, "{:?}", self.port.news());
        self.transmit.flush(&mut io);
    }
}

/// A frame of a test protocol, whose bytes tell where they belong.
pub(super) fn frame(number: usize) -> Vec<u8> {
    let length = [60, 61, 64, 127, 128, 129, 700, 1500, 1514][number % 9];
    let mut frame: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
    frame
}

/// So many times around a ring, both ways at once, by chunks of the pool (of the default size) and by copies into other memory.
#[test]
fn frames_come_as_they_were_sent_and_all_chunks_come_home() {
    let Some(_cable) = Cable::lay("rings") else { return };
    for (room, ring) in [(2048, 64), (2048, 256), (1536, 64)] {
        let pool = Pool::new(Region::anonymous(Geometry::new(2048, room)).unwrap());
        let mut cache = pool.cache();
        let (mut one, mut two) = (End::open("one", 1, ring, &pool), End::open("two", 2, ring, &pool));
        let mut number = 0;
        for round in 0..60 {
            let frames: Vec<_> = (number..number + 1 + round % 48).map(frame).collect();
            number += frames.len();
            one.send(&frames, &mut cache, &pool);
            two.send(&frames, &mut cache, &pool);
            for (end, index) in [(&mut two, 2), (&mut one, 1)] {
                let received = end.receive(frames.len(), index, &mut cache, &pool);
                assert!(received == frames, "{room} {ring} {round}: {} of {}", received.len(), frames.len());
            }
        }
        for end in [&mut one, &mut two] {
            let report = end.port.finish().unwrap();
            assert_eq!((&report["invalid"], &report["transmit-errors"]), (&0.into(), &0.into()), "{report}");
        }
        drop((one, two));
        drop(cache);
        assert_eq!(pool.free(), pool.capacity(), "{room} {ring}");
    }
}

/// Sends a frame from both ends again and again until both have received it. Others may come, of those that were under way before.
fn send_until_received(sent: &[u8], ends: &mut [(End, u16); 2], cache: &mut Cache, pool: &Arc<Pool>) {
    let mut has_received = [false; 2];
    let mut news = Vec::new();
    for _ in 0..30_000 {
        for (end, _) in &mut *ends {
            let mut vector = Vector::new(pool);
            let mut buffer = cache.take().expect("a buffer");
            assert!(buffer.fill(sent));
            buffer.push(&mut vector, Lane::default());
            let mut io = Io { cache, now: 0 };
            // It stays in the vector while the cable is not there.
            end.transmit.transmit(&mut vector, &mut io);
            end.transmit.flush(&mut io);
            cache.free(&mut vector);
        }
        for ((end, index), has_received) in ends.iter_mut().zip(&mut has_received) {
            *has_received |= end.receive(0, *index, cache, pool).iter().any(|frame| frame == sent);
            news.extend(end.port.news());
        }
        if has_received == [true; 2] {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("received: {has_received:?}; {news:?}");
}

/// A cable is pulled out whose ends both belong to this process, and one of the same names is put in.
#[test]
fn a_cable_with_both_ends_here_comes_back() {
    let Some(_cable) = Cable::lay("again") else { return };
    for (room, ring) in [(2048, 64), (2048, 256), (1536, 64)] {
        let pool = Pool::new(Region::anonymous(Geometry::new(2048, room)).unwrap());
        let mut cache = pool.cache();
        let mut ends = [(End::open("one", 1, ring, &pool), 1), (End::open("two", 2, ring, &pool), 2)];
        send_until_received(&frame(0), &mut ends, &mut cache, &pool);
        for (round, pulled) in ["one", "two", "one"].into_iter().enumerate() {
            ip(&["link", "del", pulled]);
            if round > 0 {
                let is_up = |(end, _): &(End, u16)| end.port.status().is_some_and(|status| status.is_up());
                let missed = (0..30_000).any(|_| {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    !ends.iter().any(is_up)
                });
                assert!(missed, "{room} {ring} {round}");
            }
            // In the first round perhaps before the other was missed: its index tells that this is another one.
            Cable::plug();
            send_until_received(&frame(1 + round), &mut ends, &mut cache, &pool);
        }
        drop(ends);
        drop(cache);
        assert_eq!(pool.free(), pool.capacity(), "{room} {ring}");
    }
}
