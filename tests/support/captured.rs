//! Captures the log of the current thread.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level};

/// Never dropped, so that there is always a second subscriber. With one alone, the thread that first reaches a log
/// statement decides for all threads whether it is enabled (tracing-core, `Rebuilder::JustOne`), and most tests log
/// nothing.
static SECOND: OnceLock<Dispatch> = OnceLock::new();

/// Everything that is logged while it lives, at every level and from every crate.
pub(crate) struct Captured {
    lines: Arc<Mutex<Vec<u8>>>,
    _capturing: tracing::subscriber::DefaultGuard,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// Starts capturing.
    pub(crate) fn start() -> Self {
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        Self { lines, _capturing: tracing::subscriber::set_default(subscriber) }
    }

    /// Everything captured so far.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&lines).into_owned()
    }
}
