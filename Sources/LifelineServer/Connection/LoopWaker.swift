import Posix

/// Wakes the event loop of this process from its other threads.
///
/// It sends the process a signal that the loop reads as data. Signals that wait are one signal, so the loop asks each of
/// its connections what has changed.
struct LoopWaker: Sendable {
    private let loopThread: UInt

    /// A waker of the loop that the calling thread runs.
    init() { loopThread = currentThread }

    /// Whether the loop runs on the calling thread.
    var isThisThread: Bool { currentThread == loopThread }

    /// Wakes the loop. From the loop's own thread this does nothing: it is awake.
    func wake() { if !isThisThread { sendSignal(Signal.call, to: processID) } }
}
