import Basics
import Framing

/// The server's rules about a client's life, from accept on (Protocol.md, section 5).
///
/// The loop calls `resumed` first, reports what it read and wrote, carries out the `verdict`, and sleeps until `deadline`.
public struct ServerHeartbeat: Sendable {
    /// What the server has to do about the client now.
    public enum Verdict: Equatable, Sendable {
        /// Nothing is due.
        case fine
        /// A PING with this nonce is due.
        case ping(nonce: UInt64)
        /// The client has missed a deadline.
        case drop(Violation)
    }

    private let handshakeDeadline: Instant
    private let handshakeTimeout: Duration
    /// Set once the handshake is done.
    private var deadlines: PeerDeadlines?
    private var bucket: PingBucket?
    private var ledger = PingLedger()
    /// Whether this silence has been answered with a PING.
    private var pinged = false
    /// When this side last sent anything, where both sides speak 1.1 and the client can be heard.
    private var lastSent: Instant?
    /// When a PING is due because nothing was sent since the client was heard (5.3-2). It is no part of `steadyDeadline`,
    /// because as a rule an answer follows what was heard.
    private var speakBy: Instant?
    /// Whether this side was late and owes a PING for it.
    private var owesPing = false
    /// The time after which either side drops the other; nil before WELCOME.
    public var deadAfter: Duration? { deadlines?.heartbeat.deadAfter }
    /// The last round trip that the client's PONG proved.
    public private(set) var roundTrip: Duration?
    /// When the next `verdict` is due without `speakBy`. It is updated where something changes, because it is read more
    /// often.
    private var steadyDeadline: Instant?
    /// When the next `verdict` is due; nil for never.
    @inline(__always) public var deadline: Instant? {
        speakBy == nil ? steadyDeadline : earlier(steadyDeadline, speakBy)
    }

    /// The rules for a connection accepted at an instant; HELLO must be whole `handshakeTimeout` later.
    public init(acceptedAt: Instant, handshakeTimeout: Duration) {
        self.handshakeTimeout = handshakeTimeout
        handshakeDeadline = acceptedAt + handshakeTimeout
        steadyDeadline = handshakeDeadline
    }

    /// Starts the heartbeat: WELCOME is on its way.
    public mutating func welcomed(_ heartbeat: Heartbeat, at now: Instant) {
        deadlines = PeerDeadlines(heartbeat, at: now)
        bucket = PingBucket(heartbeat)
        if heartbeat.isBounded { lastSent = now }
        updateDeadline()
    }

    /// Starts every deadline anew where the loop runs again long after `deadline`: the server itself was stopped then
    /// (section 5.11).
    public mutating func resumed(at now: Instant) {
        guard let deadline, deadline < now else { return }
        guard let deadlines, now > deadline + deadlines.heartbeat.ownLateness else { return }
        restart(at: now)
    }

    /// Starts every deadline anew, and owes the client a PING: this side was late, or its machine was suspended (5.11-2 to
    /// 5.11-4). The handshake's deadline stays (5.8-3).
    public mutating func restart(at now: Instant) {
        guard let deadlines else { return }
        self.deadlines?.restart(at: now)
        owesPing = deadlines.mayBeHeard
        updateDeadline()
    }

    /// Records that bytes arrived.
    public mutating func heard(at now: Instant) {
        pinged = false
        deadlines?.heard(at: now)
        if speakBy == nil, let lastSent, let half = deadlines?.heartbeat.half { speakBy = lastSent + half }
        updateDeadline()
    }

    /// Records the decoder's state after a read: the number of the frame begun last, and its length if it is not whole.
    public mutating func frame(_ number: UInt64, unfinishedLength: UInt32?, at now: Instant) {
        guard unfinishedLength != nil || deadlines?.hasUnfinished ?? false else { return }
        deadlines?.frame(number, unfinishedLength: unfinishedLength, at: now)
        updateDeadline()
    }

    /// Records an attempt to write: whether the kernel accepted any bytes, and whether more wait.
    public mutating func wrote(any: Bool, waiting: Bool, at now: Instant) {
        if any, lastSent != nil { spoke(at: now) }
        guard waiting || deadlines?.isStuck ?? false else { return }
        deadlines?.wrote(any: any, waiting: waiting, at: now)
        updateDeadline()
    }

    /// Records whether the send window holds bytes back, and whether a PONG has just proved others (section 5.9).
    @inline(__always) public mutating func heldBack(_ isHeldBack: Bool, proved: Bool = false, at now: Instant) {
        guard isHeldBack || deadlines?.isHeldBack ?? false else { return }
        deadlines?.heldBack(isHeldBack, proved: proved, at: now)
        updateDeadline()
    }

    /// Stops waiting for the client to say anything: its stream ended, or CLOSE is queued.
    public mutating func ended() {
        deadlines?.ended()
        lastSent = nil
        speakBy = nil
        updateDeadline()
    }

    @inline(__always) private mutating func spoke(at now: Instant) {
        lastSent = now
        speakBy = nil
    }

    /// Returns the nonce of a PING that is due for another reason than silence.
    public mutating func probe(at now: Instant) -> UInt64 { ledger.send(at: now) }

    /// Records that the kernel has accepted the PINGs up to `nonce`: their round trips begin.
    public mutating func pingLeft(_ nonce: UInt64, at now: Instant) { ledger.left(nonce, at: now) }

    /// Pays for a frame that came; throws where the bucket is empty (section 5.10).
    public mutating func spendToken(for frame: ChargedFrame, at now: Instant) throws(Violation) {
        try bucket?.spend(for: frame, at: now)
    }

    /// Returns the round trip that a PONG proves; throws where its nonce answers no PING (5.4-5).
    @discardableResult
    public mutating func ponged(_ nonce: UInt64, at now: Instant) throws(Violation) -> Duration? {
        let time = try ledger.answered(nonce, at: now)
        if let time { roundTrip = time }
        return time
    }

    /// How far a silent client is past dead_after; nil before the handshake.
    public func lateness(at now: Instant) -> Duration? {
        deadlines.map { now - ($0.lastHeard + $0.heartbeat.deadAfter) }
    }

    @inline(__always) private mutating func updateDeadline() {
        if let deadlines { steadyDeadline = earlier(deadlines.deadline, pingAt) }
    }

    private var pingAt: Instant? {
        guard let deadlines, deadlines.mayBeHeard, !pinged else { return nil }
        return deadlines.lastHeard + deadlines.heartbeat.half
    }

    /// Returns what is due at `now`. All that had arrived by then must be recorded first (5.1-2).
    public mutating func verdict(at now: Instant) -> Verdict {
        guard owesPing || deadline.map({ $0 <= now }) ?? false else { return .fine }
        guard let deadlines else {
            return .drop(Violation(.handshakeTimeout, "no whole HELLO within \(handshakeTimeout)"))
        }
        if let violation = deadlines.verdict(at: now) { return .drop(violation) }
        owesPing = false
        pinged = true
        // Until the PING has left, no second one is due.
        if lastSent != nil { spoke(at: now) }
        updateDeadline()
        return .ping(nonce: ledger.send(at: now))
    }
}
