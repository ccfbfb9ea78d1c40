//! Signals that end a command.

use autoresearch_core::Cancel;

/// Cancels on the first Ctrl-C, SIGTERM or closed terminal; a second Ctrl-C or SIGTERM ends the process at once.
///
/// SIGHUP counts only if the process was not started to ignore it, as `nohup` does.
pub fn cancel_on_signal() -> Cancel {
    let cancel = Cancel::new();
    #[cfg(unix)]
    watch(cancel.clone());
    #[cfg(not(unix))]
    {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            let _ = tokio::signal::ctrl_c().await;
            cancel.cancel();
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        });
    }
    cancel
}

#[cfg(unix)]
fn watch(cancel: Cancel) {
    use tokio::signal::unix::{SignalKind, signal};
    // Listening begins here, so that no signal is lost between the first and the second one.
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut hangup = if ignores_hangup() { None } else { signal(SignalKind::hangup()).ok() };
    tokio::spawn(async move {
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let by_hangup = tokio::select! {
                _ = interrupt.recv() => false,
                _ = terminate.recv() => false,
                _ = hung_up => true,
            };
            // A terminal that closes may say so twice.
            if cancel.is_cancelled() && !by_hangup {
                std::process::exit(130);
            }
            cancel.cancel();
        }
    });
}

/// Returns whether SIGHUP was ignored when the process started.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    // SAFETY: `sigaction` only writes the present action of the signal into `action`, which is valid for it.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
