//! Output behind a queue, so that a terminal that is stopped (Ctrl-S) or a pipe that nobody reads delays no experiment.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::Term;
use indicatif::TermLike;

/// Bytes that wait for their reader, at most; later ones are left out.
const MOST: usize = 256 << 10;

/// Standard error, or any other output, written by a thread of its own. Clones are the same output.
#[derive(Debug, Clone)]
pub struct Background(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Bytes left out since the last ones that wait.
    left_out: usize,
    is_writing: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Background {
    /// Starts the thread that writes to `out`.
    pub fn over(out: impl Write + Send + 'static) -> Background {
        let shared = Arc::<Shared>::default();
        let of_thread = shared.clone();
        // A system that has no thread left has other troubles: the run goes on, and nothing of it is shown.
        let _ = std::thread::Builder::new().name("display".into()).spawn(move || write_queued(out, &of_thread));
        Background(shared)
    }

    /// Waits until everything is written, at most for `limit`.
    pub fn drain(&self, limit: Duration) {
        let waits = |queue: &mut Queue| !queue.bytes.is_empty() || queue.is_writing;
        drop(self.0.changed.wait_timeout_while(self.0.queue(), limit, waits));
    }
}

/// Writes what is queued, for ever.
fn write_queued(mut out: impl Write, shared: &Shared) {
    loop {
        let waiting = shared.changed.wait_while(shared.queue(), |queue| queue.bytes.is_empty());
        let mut queue = waiting.unwrap_or_else(PoisonError::into_inner);
        let (bytes, left_out) = (std::mem::take(&mut queue.bytes), std::mem::take(&mut queue.left_out));
        queue.is_writing = true;
        drop(queue);
        // The reader may have closed the pipe: that ends no run.
        let _ = out.write_all(&bytes);
        if left_out > 0 {
            let _ = writeln!(out, "\n[{left_out} bytes of output are left out, since nobody read them]");
        }
        let _ = out.flush();
        shared.queue().is_writing = false;
        shared.changed.notify_all();
    }
}

impl Write for Background {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.queue();
        match queue.left_out == 0 && queue.bytes.len() + bytes.len() <= MOST {
            true => queue.bytes.extend_from_slice(bytes),
            false => queue.left_out += bytes.len(),
        }
        self.0.changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal on standard error, for bars.
impl TermLike for Background {
    fn width(&self) -> u16 {
        Term::stderr().size().1
    }

    fn height(&self) -> u16 {
        Term::stderr().size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.command(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.command(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.command(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.command(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.clone().write_all(format!("{text}\n").as_bytes())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.clone().write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Background {
    /// Moves the cursor by `n` places.
    fn command(&self, n: usize, letter: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.write_str(&format!("\x1b[{n}{letter}")) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use super::*;

    #[test]
    fn an_output_that_nobody_reads_delays_nobody() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut out = Background::over(writer);
        let began = Instant::now();
        // More than a pipe and the queue hold together.
        for line in 0..20_000 {
            writeln!(out, "line {line:06} {}", "x".repeat(40)).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        out.drain(Duration::from_millis(50));

        // Its reader comes back: what waited is there, whole and in order, with a word on what is not.
        let mut text = Vec::new();
        let mut buffer = [0; 65536];
        while !String::from_utf8_lossy(&text).contains("left out") {
            let count = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..count]);
        }
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().take_while(|line| line.starts_with('l')).collect();
        // The last one may have been left out from its middle on.
        let whole = &lines[..lines.len().saturating_sub(1)];
        assert!(
            whole.len() > 1000 && whole.iter().enumerate().all(|(at, line)| line.starts_with(&format!("line {at:06}")))
        );
        writeln!(out, "again").unwrap();
        let count = reader.read(&mut buffer).unwrap();
        assert!(buffer[..count].ends_with(b"again\n"));
    }

    #[test]
    fn what_was_written_is_there_after_a_drain() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut out = Background::over(writer);
        out.write_all(b"one\n").unwrap();
        TermLike::move_cursor_up(&out, 2).unwrap();
        TermLike::clear_line(&out).unwrap();
        out.drain(Duration::from_secs(10));
        let mut buffer = [0; 64];
        let count = reader.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"one\n\x1b[2A\r\x1b[2K");
    }
}
