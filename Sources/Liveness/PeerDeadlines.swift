import Basics
import Framing

/// What either side watches in the other once the handshake is done: silence, a frame that does not end, and a peer
/// that does not read (Protocol.md, sections 5.5, 5.7 and 5.9).
struct PeerDeadlines: Sendable {
    private struct UnfinishedFrame {
        let number: UInt64
        var begun: Instant
        let length: UInt32
    }

    let heartbeat: Heartbeat
    private(set) var lastHeard: Instant
    private var unfinished: UnfinishedFrame?
    /// Since when bytes have waited of which the kernel took none.
    private var stuckSince: Instant?
    /// After its end of stream a peer cannot be heard any more, and is not judged for it.
    private(set) var mayBeHeard = true

    /// Whether a frame has begun and not ended.
    @inline(__always) var hasUnfinished: Bool { unfinished != nil }
    /// Whether bytes wait.
    @inline(__always) var isStuck: Bool { stuckSince != nil }

    init(_ heartbeat: Heartbeat, at now: Instant) {
        self.heartbeat = heartbeat
        lastHeard = now
    }

    /// Bytes arrived.
    mutating func heard(at now: Instant) { lastHeard = now }

    /// Nothing more is expected of the peer: its stream ended, or CLOSE is queued.
    mutating func ended() {
        mayBeHeard = false
        unfinished = nil
    }

    /// The state of the decoder after bytes were read: the payload length of the unfinished frame and its number.
    /// One that nothing is expected of may leave frames unfinished.
    mutating func frame(_ number: UInt64, unfinishedLength length: UInt32?, at now: Instant) {
        guard mayBeHeard else { return }
        let begun = unfinished?.number == number ? unfinished?.begun : nil
        unfinished = length.map { UnfinishedFrame(number: number, begun: begun ?? now, length: $0) }
    }

    /// The state of the outbox after an attempt to write: whether bytes wait, and whether the kernel took any.
    mutating func wrote(any: Bool, waiting: Bool, at now: Instant) {
        if !waiting {
            stuckSince = nil
        } else if any || stuckSince == nil {
            stuckSince = now
        }
    }

    /// Starts every deadline anew, because this side itself was stopped.
    mutating func grant(at now: Instant) {
        lastHeard = now
        unfinished?.begun = now
        if stuckSince != nil { stuckSince = now }
    }

    private var silentAt: Instant? { mayBeHeard ? lastHeard + heartbeat.deadAfter : nil }
    private var frameLateAt: Instant? {
        unfinished.map { $0.begun + heartbeat.deadAfter + .milliseconds($0.length) }
    }
    private var slowAt: Instant? { stuckSince.map { $0 + heartbeat.deadAfter } }

    /// As a rule the peer has no frame unfinished, and nothing waits for it.
    @inline(__always) var deadline: Instant? {
        unfinished == nil && stuckSince == nil ? silentAt : earlier(earlier(silentAt, frameLateAt), slowAt)
    }

    /// The reason to drop the peer at `now`, if there is one.
    func verdict(at now: Instant) -> Violation? {
        if let silentAt, silentAt <= now {
            return Violation(.silent, "nothing was heard for \(heartbeat.deadAfter)")
        }
        if let frameLateAt, frameLateAt <= now {
            return Violation(.frameTimeout, "a frame was begun and not finished in time")
        }
        if let slowAt, slowAt <= now {
            return Violation(.slowReader, "nothing was read for \(heartbeat.deadAfter) though bytes waited")
        }
        return nil
    }
}
