import Basics

/// The end of a connection once CLOSE is queued (Protocol.md, sections 7.1 and 7.5).
///
/// CLOSE is written, writing is shut down, and reading goes on for a bounded time, because closing a socket with
/// unread bytes in it sends a reset, and a reset destroys what the peer has not read yet: the reason.
public struct LingeringClose: Sendable {
    /// How long a side reads on after its CLOSE.
    public static let linger = Duration.seconds(1)
    /// The longest that a side waits for the next byte of what is on its way: TCP has sent it several times by then.
    private static let mostPatience = Duration.seconds(3)

    private enum Stage {
        /// CLOSE and what is before it are being written, until the instant, or for as long as the peer reads.
        case flushing(until: Instant?)
        /// CLOSE is written; only the peer's end is waited for.
        case lingering(until: Instant)
        case over
    }

    private var stage: Stage
    /// How long the peer may take for the next byte of what is on its way; nil where this side does not wait for that.
    private let patience: Duration?
    /// The bytes on their way when they were last asked for, and the instant since which they are no fewer.
    private var unacknowledged: (bytes: Int, since: Instant)?
    /// Whether the peer has nothing more to say: its CLOSE or its end of stream has come.
    private var peerIsDone: Bool

    /// An orderly end: what is queued is written for as long as the peer takes it.
    ///
    /// The kernel takes more than a slow path carries in a second, and a reset destroys that too. So the peer gets time for
    /// each next byte (7.1-3): `deadAfter`, but no more than three seconds, because a peer that is gone takes none. Where it
    /// is nil the peer gets no more than the linger.
    public static func orderly(peerIsDone: Bool, deadAfter: Duration? = nil) -> LingeringClose {
        LingeringClose(
            stage: .flushing(until: nil), patience: deadAfter.map { min($0, mostPatience) }, peerIsDone: peerIsDone)
    }

    /// A drop: what the kernel does not take within the linger is lost.
    public static func drop(at now: Instant, peerIsDone: Bool) -> LingeringClose {
        LingeringClose(stage: .flushing(until: now + linger), patience: nil, peerIsDone: peerIsDone)
    }

    /// The end that the peer has announced: nothing is said, and its end of stream is waited for until the instant.
    public static func silent(until: Instant) -> LingeringClose {
        LingeringClose(stage: .lingering(until: until), patience: nil, peerIsDone: false)
    }

    /// Whether the socket can be closed.
    public var isOver: Bool { if case .over = stage { true } else { false } }
    /// Whether CLOSE, or something before it, is not with the kernel yet.
    public var isFlushing: Bool { if case .flushing = stage { true } else { false } }

    /// When this stage ends by itself; nil while the peer is given the time it takes.
    public var deadline: Instant? {
        switch stage {
        case .flushing(let until): until
        case .lingering(let until): until
        case .over: nil
        }
    }

    /// Waits for the peer's end alone: all is written, and the caller shuts down writing.
    public mutating func flushed(at now: Instant) {
        guard isFlushing else { return }
        stage = peerIsDone ? .over : .lingering(until: now + LingeringClose.linger)
    }

    /// Records the peer's CLOSE or the end of its stream.
    public mutating func peerEnded() {
        peerIsDone = true
        if case .lingering = stage { stage = .over }
    }

    /// Ends the wait: the connection broke, or a slow reader's time is up.
    public mutating func giveUp() { stage = .over }

    /// Whether the wait for the peer's end is over, unless bytes are still on their way: ask the kernel, and call `extend`.
    public func mayExtend(at now: Instant) -> Bool {
        guard patience != nil, case .lingering(let until) = stage else { return false }
        return until <= now
    }

    /// Waits on where `bytes` that the kernel has taken are not acknowledged by the peer's, and the path still carries
    /// some.
    public mutating func extend(unacknowledged bytes: Int, at now: Instant) {
        guard mayExtend(at: now), let patience, bytes > 0 else { return }
        if unacknowledged.map({ bytes < $0.bytes }) ?? true { unacknowledged = (bytes, now) }
        if let since = unacknowledged?.since, now < since + patience {
            stage = .lingering(until: now + LingeringClose.linger)
        }
    }

    /// Ends the stage whose time is up.
    public mutating func resumed(at now: Instant) {
        if let deadline, deadline <= now { stage = .over }
    }
}
