//! The disk of a simulated machine, which holds the journal.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::inner::Inner;
use crate::journal::Medium;

/// The journal's file.
pub(super) struct Disk(pub(super) Arc<Mutex<Inner>>);

impl Disk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut inner = self.inner();
        inner.disk_works()?;
        Ok([&inner.durable[..], &inner.buffered].concat())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut inner = self.inner();
        inner.disk_works()?;
        let mut all = [&inner.durable[..], &inner.buffered].concat();
        all.truncate(length as usize);
        (inner.durable, inner.buffered) = (all, Vec::new());
        inner.disk_works()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        inner.disk_works()?;
        if inner.full {
            // As far as there was room.
            let part = &bytes[..bytes.len() / 3];
            inner.buffered.extend_from_slice(part);
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.buffered.extend_from_slice(bytes);
        inner.disk_works()
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.inner();
        inner.disk_works()?;
        let buffered = std::mem::take(&mut inner.buffered);
        inner.durable.extend_from_slice(&buffered);
        inner.disk_works()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.inner().locked = false;
    }
}
