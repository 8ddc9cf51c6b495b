import Basics
import Framing

/// The deadlines that either side sets the other once the handshake is done: for silence, for a frame that does not end
/// and for bytes that are not read (Protocol.md, sections 5.5, 5.7 and 5.9).
struct PeerDeadlines: Sendable {
    private struct UnfinishedFrame {
        let number: UInt64
        var begun: Instant
        let length: UInt32
    }

    let heartbeat: Heartbeat
    private(set) var lastHeard: Instant
    private var unfinished: UnfinishedFrame?
    /// When bytes began to wait while the kernel accepted none.
    private var stuckSince: Instant?
    /// When bytes began to wait for a PONG while none came (section 5.12).
    private var heldSince: Instant?
    /// Whether the peer can still say something. After the end of its stream its silence is no breach.
    private(set) var mayBeHeard = true

    /// Whether a frame has begun and not ended.
    @inline(__always) var hasUnfinished: Bool { unfinished != nil }
    /// Whether bytes wait.
    @inline(__always) var isStuck: Bool { stuckSince != nil }
    /// Whether bytes wait for a PONG.
    @inline(__always) var isHeldBack: Bool { heldSince != nil }

    init(_ heartbeat: Heartbeat, at now: Instant) {
        self.heartbeat = heartbeat
        lastHeard = now
    }

    /// Records that bytes arrived.
    mutating func heard(at now: Instant) { lastHeard = now }

    /// Stops waiting for the peer to say anything: its stream ended, or CLOSE is queued.
    mutating func ended() {
        mayBeHeard = false
        unfinished = nil
    }

    /// Records the decoder's state after a read: the number of the frame begun last, and its payload length if it is
    /// not whole. After `ended` a frame may stay unfinished.
    mutating func frame(_ number: UInt64, unfinishedLength length: UInt32?, at now: Instant) {
        guard mayBeHeard else { return }
        let begun = unfinished?.number == number ? unfinished?.begun : nil
        unfinished = length.map { UnfinishedFrame(number: number, begun: begun ?? now, length: $0) }
    }

    /// Records an attempt to write: whether the kernel accepted any bytes, and whether more wait.
    mutating func wrote(any: Bool, waiting: Bool, at now: Instant) {
        if !waiting {
            stuckSince = nil
        } else if any || stuckSince == nil {
            stuckSince = now
        }
    }

    /// Records whether bytes wait for a PONG, and whether one has just come that proved others.
    mutating func heldBack(_ isHeldBack: Bool, proved: Bool, at now: Instant) {
        if !isHeldBack {
            heldSince = nil
        } else if proved || heldSince == nil {
            heldSince = now
        }
    }

    /// Starts every deadline anew, because this side itself was stopped (section 5.11).
    mutating func restart(at now: Instant) {
        lastHeard = now
        unfinished?.begun = now
        if stuckSince != nil { stuckSince = now }
        if heldSince != nil { heldSince = now }
    }

    private var silentAt: Instant? { mayBeHeard ? lastHeard + heartbeat.deadAfter : nil }
    private var frameLateAt: Instant? {
        unfinished.map { $0.begun + heartbeat.deadAfter + .milliseconds($0.length) }
    }
    private var slowSince: Instant? { earlier(stuckSince, heldSince) }
    private var slowAt: Instant? { slowSince.map { $0 + heartbeat.deadAfter } }

    /// As a rule the peer has no frame unfinished, and nothing waits for it.
    @inline(__always) var deadline: Instant? {
        unfinished == nil && stuckSince == nil && heldSince == nil
            ? silentAt : earlier(earlier(silentAt, frameLateAt), slowAt)
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
            let what = stuckSince == slowSince ? "nothing was read" : "no PONG came"
            return Violation(.slowReader, "\(what) for \(heartbeat.deadAfter) though bytes waited")
        }
        return nil
    }
}
