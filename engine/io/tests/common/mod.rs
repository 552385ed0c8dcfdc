//! What drives a driver as a worker would, and checks at the end that no buffer is lost.

// Each test file uses its part of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use swath_api::memory::{Geometry, Region};
use swath_api::wire::MacAddr;
use swath_api::{Cache, ConfigError, Lane, Pool, Vector};
use swath_core::driver::{Due, Io, Port, PortConfig, Received, RxQueue, TxQueue};

/// Bytes of packet data that a buffer of the tests holds: 2048, rounded up to whole cache lines of an odd number.
pub const ROOM: usize = 2112;

/// One worker's buffers, and what interfaces are opened with.
pub struct Lab {
    pub pool: Arc<Pool>,
    pub cache: Cache,
    pub workers: u32,
    pub virtual_time: bool,
    pub index: u16,
    pub mac: Option<MacAddr>,
    pub directory: PathBuf,
}

impl Lab {
    pub fn new(buffers: u32) -> Lab {
        let pool = Pool::new(Region::anonymous(Geometry::new(buffers, 2048)).unwrap());
        assert_eq!(pool.region().geometry().data(), ROOM);
        let cache = pool.cache();
        Lab { pool, cache, workers: 1, virtual_time: true, index: 3, mac: None, directory: PathBuf::new() }
    }

    pub fn workers(mut self, workers: u32) -> Lab {
        self.workers = workers;
        self
    }

    pub fn real_time(mut self) -> Lab {
        self.virtual_time = false;
        self
    }

    pub fn directory(mut self, directory: &Path) -> Lab {
        self.directory = directory.to_path_buf();
        self
    }

    /// Opens an interface of a driver.
    pub fn try_open(&self, driver: &str, settings: &str) -> Result<Box<dyn Port>, ConfigError> {
        let kind = swath_io::DRIVERS.iter().find(|kind| kind.name == driver).unwrap();
        (kind.open)(&PortConfig {
            name: "lan",
            index: self.index,
            settings: settings.as_bytes(),
            mac: self.mac,
            mtu: None,
            workers: self.workers,
            pool: &self.pool,
            directory: &self.directory,
            virtual_time: self.virtual_time,
            leaving: &[],
        })
    }

    pub fn open(&self, driver: &str, settings: &str) -> Box<dyn Port> {
        self.try_open(driver, settings).unwrap_or_else(|error| panic!("{settings}: {error}"))
    }

    pub fn refused(&self, driver: &str, settings: &str) -> String {
        match self.try_open(driver, settings) {
            Ok(_) => panic!("{settings} is accepted"),
            Err(error) => error.to_string(),
        }
    }

    /// Receives up to `max` packets into the vector.
    pub fn receive_into(&mut self, queue: &mut dyn RxQueue, vector: &mut Vector, max: usize, now: u64) -> Received {
        let before = vector.len();
        let received = queue.receive(vector, max, &mut Io { cache: &mut self.cache, now });
        assert_eq!(vector.len() - before, received.packets as usize);
        assert!(received.packets as usize + received.no_buffer as usize <= max);
        assert!(vector.lanes()[before..].iter().all(|lane| *lane == Lane::received(self.index)));
        received
    }

    /// Receives up to `max` packets and frees them.
    pub fn receive(&mut self, queue: &mut dyn RxQueue, max: usize, now: u64) -> Vec<Vec<u8>> {
        let mut vector = Vector::new(&self.pool);
        let received = self.receive_into(queue, &mut vector, max, now);
        assert_eq!(received.no_buffer, 0);
        let frames = frames(&vector);
        self.cache.free(&mut vector);
        frames
    }

    /// Receives to the end of the queue, each packet when it is due, with the time.
    pub fn drain(&mut self, queue: &mut dyn RxQueue) -> Vec<(u64, Vec<u8>)> {
        let mut all = Vec::new();
        while let Due::At(now) = queue.due() {
            if now > 0 {
                assert_eq!(self.receive(queue, 256, now - 1), Vec::<Vec<u8>>::new(), "not before it is due");
            }
            let frames = self.receive(queue, 256, now);
            assert!(!frames.is_empty(), "packets that are due come");
            all.extend(frames.into_iter().map(|frame| (now, frame)));
        }
        assert_eq!(queue.due(), Due::Ended);
        assert_eq!(self.receive(queue, 256, u64::MAX), Vec::<Vec<u8>>::new());
        all
    }

    /// Sends frames.
    pub fn transmit(&mut self, queue: &mut dyn TxQueue, frames: &[Vec<u8>], now: u64) -> usize {
        let mut left = 0;
        for frames in frames.chunks(256) {
            let mut vector = self.vector(frames);
            queue.transmit(&mut vector, &mut Io { cache: &mut self.cache, now });
            left += vector.len();
            self.cache.free(&mut vector);
        }
        left
    }

    /// A vector of frames.
    pub fn vector(&mut self, frames: &[Vec<u8>]) -> Vector {
        let mut vector = Vector::new(&self.pool);
        for frame in frames {
            let mut buffer = self.cache.take().unwrap();
            assert!(buffer.fill(frame) && buffer.push(&mut vector, Lane::default()));
        }
        vector
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.cache.publish();
        if !std::thread::panicking() {
            assert_eq!(self.pool.free() + self.pool.cached(), self.pool.capacity(), "a buffer was lost");
        }
    }
}

/// The bytes of a vector's packets.
pub fn frames(vector: &Vector) -> Vec<Vec<u8>> {
    (0..vector.len()).map(|index| vector.bytes(index).unwrap().to_vec()).collect()
}

/// Frames by what etherparse says of their IP and UDP or TCP headers, in their order.
pub fn by_flow(frames: impl IntoIterator<Item = Vec<u8>>) -> HashMap<String, Vec<Vec<u8>>> {
    let mut flows: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for frame in frames {
        let packet = etherparse::PacketHeaders::from_ethernet_slice(&frame).unwrap();
        let addresses = match packet.net {
            Some(etherparse::NetHeaders::Ipv4(ip, _)) => format!("{:?} {:?} {:?}", ip.source, ip.destination, ip.protocol),
            Some(etherparse::NetHeaders::Ipv6(ip, _)) => format!("{:?} {:?} {:?}", ip.source, ip.destination, ip.next_header),
            _ => String::new(),
        };
        let ports = match packet.transport {
            Some(etherparse::TransportHeader::Udp(udp)) => (udp.source_port, udp.destination_port),
            Some(etherparse::TransportHeader::Tcp(tcp)) => (tcp.source_port, tcp.destination_port),
            _ => (0, 0),
        };
        flows.entry(format!("{addresses} {ports:?}")).or_default().push(frame);
    }
    flows
}
