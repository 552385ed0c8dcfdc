//! Which interfaces can be used, and what tables have been told of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swath_api::TableInstance;

/// The state of all interfaces. An interface is up if its link is and nobody has switched it off.
pub(super) struct Links(Mutex<Vec<Link>>);

#[derive(Clone, Copy)]
struct Link {
    admin: bool,
    // What tables were told last: all are up when they are made.
    told: bool,
}

impl Links {
    pub(super) fn new(interfaces: usize) -> Links {
        Links(Mutex::new(vec![Link { admin: true, told: true }; interfaces]))
    }

    /// Room for so many interfaces; those at new places, and at `fresh` ones, are up, and nobody was told otherwise.
    pub(super) fn renew(&mut self, interfaces: usize, fresh: impl Fn(usize) -> bool) {
        let links = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        links.resize(interfaces, Link { admin: true, told: true });
        links
            .iter_mut()
            .enumerate()
            .filter(|(place, _)| fresh(*place))
            .for_each(|(_, link)| *link = Link { admin: true, told: true });
    }

    /// Tells tables that have been told nothing which interfaces are up, and which are not.
    pub(super) fn tell<'a>(&self, tables: impl Iterator<Item = &'a Arc<TableInstance>> + Clone) {
        for (index, link) in self.links().iter().enumerate() {
            tables.clone().for_each(|table| table.link(index as u16, link.told));
        }
    }

    pub(super) fn set_admin(&self, interface: usize, up: bool) {
        self.links()[interface].admin = up;
    }

    pub(super) fn admin(&self, interface: usize) -> bool {
        self.links()[interface].admin
    }

    /// Tells tables what has changed. Under the lock: of two who look at the same time the later one knows better.
    pub(super) fn look(&self, is_up: impl Fn(usize) -> bool, tables: &[Option<Arc<TableInstance>>]) {
        for (index, link) in self.links().iter_mut().enumerate() {
            let up = link.admin && is_up(index);
            if up != link.told {
                link.told = up;
                tables.iter().flatten().for_each(|table| table.link(index as u16, up));
            }
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
