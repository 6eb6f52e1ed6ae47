//! Runtime: the one thread that waits for everything.

use std::future::Future;

/// Runs the future on this thread. A name look-up that hangs in the system's resolver is left behind.
///
/// # Errors
/// The system gives nothing to wait with: the sentence.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let answer = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(answer)
}
