import Basics
import Framing

/// The client's rules about a server's life, from the connection on (Protocol.md, section 5).
///
/// The loop calls `resumed` first, reports what it read and wrote, carries out each `verdict` until that is `fine`, and
/// sleeps until `deadline`.
public struct ClientHeartbeat: Sendable {
    /// What the client has to do about the server now.
    public enum Verdict: Equatable, Sendable {
        /// Nothing is due.
        case fine
        /// A PING with this nonce is due.
        case ping(nonce: UInt64)
        /// No round trip was proved for half of dead_after since the PING. The program learns it, and nothing is cut
        /// yet.
        case beatLate
        /// The server has missed a deadline.
        case drop(Violation)
    }

    private let handshakeDeadline: Instant
    private let handshakeTimeout: Duration
    private let random: @Sendable () -> Double
    /// Set once WELCOME is there.
    private var deadlines: PeerDeadlines?
    private var bucket: PingBucket?
    private var ledger = PingLedger()
    private var nextPing: Instant?
    private var hasPinged = false
    /// When the first PING left that no proof has followed.
    private var unprovenSince: Instant?
    /// When this side last sent anything. It counts where both sides speak 1.1.
    private var lastSent: Instant?
    private var hasToldLate = false
    private var owesPing = false
    /// The time after which either side drops the other; nil before WELCOME.
    public var deadAfter: Duration? { deadlines?.heartbeat.deadAfter }
    /// The last round trip that a PONG proved.
    public private(set) var roundTrip: Duration?

    /// The rules for a connection made at an instant; WELCOME must be whole `handshakeTimeout` later. `random` returns
    /// a new number in 0..<1 each time, which spreads the PINGs of many clients.
    public init(
        connectedAt: Instant, handshakeTimeout: Duration,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        self.handshakeTimeout = handshakeTimeout
        handshakeDeadline = connectedAt + handshakeTimeout
        self.random = random
    }

    /// Starts the heartbeat: WELCOME came.
    public mutating func welcomed(_ heartbeat: Heartbeat, at now: Instant) {
        deadlines = PeerDeadlines(heartbeat, at: now)
        bucket = PingBucket(heartbeat)
        nextPing = now + heartbeat.pingEvery * random()
        if heartbeat.isBounded { lastSent = now }
    }

    /// Starts every deadline anew where the loop runs again long after `deadline`: the client itself was stopped then
    /// (section 5.11).
    public mutating func resumed(at now: Instant) {
        guard let deadlines, let deadline, now - deadline > deadlines.heartbeat.ownLateness else { return }
        restart(at: now)
    }

    /// Starts every deadline anew, and owes the server a PING: this side was late, or its machine was suspended (5.11-2 to
    /// 5.11-4). The handshake's deadline stays (5.8-3).
    public mutating func restart(at now: Instant) {
        guard let deadlines else { return }
        self.deadlines?.restart(at: now)
        unprovenSince = nil
        hasToldLate = false
        owesPing = deadlines.mayBeHeard
    }

    /// Records that bytes arrived.
    public mutating func heard(at now: Instant) { deadlines?.heard(at: now) }

    /// Records the decoder's state after a read: the number of the frame begun last, and its length if it is not whole.
    public mutating func frame(_ number: UInt64, unfinishedLength: UInt32?, at now: Instant) {
        deadlines?.frame(number, unfinishedLength: unfinishedLength, at: now)
    }

    /// Records an attempt to write: whether the kernel accepted any bytes, and whether more wait.
    public mutating func wrote(any: Bool, waiting: Bool, at now: Instant) {
        deadlines?.wrote(any: any, waiting: waiting, at: now)
        if any, lastSent != nil { lastSent = now }
    }

    /// Records whether the send window holds bytes back, and whether a PONG has just proved others (section 5.9).
    public mutating func heldBack(_ isHeldBack: Bool, proved: Bool = false, at now: Instant) {
        deadlines?.heldBack(isHeldBack, proved: proved, at: now)
    }

    /// Stops waiting for the server to say anything: CLOSE is queued, or has come.
    public mutating func ended() {
        deadlines?.ended()
        nextPing = nil
        lastSent = nil
        unprovenSince = nil
        owesPing = false
    }

    /// Pays for a frame that came; throws where the bucket is empty (section 5.10).
    public mutating func spendToken(for frame: ChargedFrame, at now: Instant) throws(Violation) {
        try bucket?.spend(for: frame, at: now)
    }

    /// Returns the round trip that a PONG proves; throws where its nonce answers no PING (5.4-5).
    @discardableResult
    public mutating func ponged(_ nonce: UInt64, at now: Instant) throws(Violation) -> Duration? {
        let time = try ledger.answered(nonce, at: now)
        if let time { roundTrip = time }
        proven(at: now)
        return time
    }

    /// Records that a RESPONSE began: the request got there and the answer back. Its later chunks prove nothing of the
    /// way there.
    public mutating func responded(at now: Instant) { proven(at: now) }

    private mutating func proven(at now: Instant) {
        unprovenSince = nil
        hasToldLate = false
        // The first PING keeps its own random instant, and none is due once CLOSE is queued.
        guard hasPinged, deadlines?.mayBeHeard ?? false else { return }
        schedulePing(at: now)
    }

    /// Returns the nonce of a PING that is due for another reason than time.
    public mutating func probe(at now: Instant) -> UInt64 { ledger.send(at: now) }

    /// Records that the kernel has accepted the PINGs up to `nonce`. Their round trips begin: what they waited behind
    /// before was this side's own (5.6-1).
    public mutating func pingLeft(_ nonce: UInt64, at now: Instant) {
        ledger.left(nonce, at: now)
        if unprovenSince == nil, deadlines?.mayBeHeard ?? false { unprovenSince = now }
    }

    private mutating func schedulePing(at now: Instant) {
        guard let deadlines else { return }
        nextPing = now + deadlines.heartbeat.pingEvery * (0.8 + 0.2 * random())
    }

    /// For how long the first PING that no proof has followed has been on its way; nil where there is none.
    public func unproved(at now: Instant) -> Duration? { unprovenSince.map { now - $0 } }

    /// When the next `verdict` is due; nil for never.
    public var deadline: Instant? {
        guard let deadlines else { return handshakeDeadline }
        return earlier(earlier(deadlines.deadline, pingAt), hasToldLate ? deadAt : lateAt)
    }

    /// When the next PING is due: after the last one, or after the last byte that was sent (5.3-2).
    private var pingAt: Instant? {
        guard let deadlines, let lastSent, let nextPing else { return nextPing }
        return min(nextPing, lastSent + deadlines.heartbeat.half)
    }

    private var lateAt: Instant? {
        guard let deadlines, let unprovenSince else { return nil }
        return unprovenSince + deadlines.heartbeat.half
    }

    private var deadAt: Instant? {
        guard let deadlines, let unprovenSince else { return nil }
        return unprovenSince + deadlines.heartbeat.deadAfter
    }

    /// Returns what is due at `now`. All that had arrived by then must be recorded first (5.1-2).
    public mutating func verdict(at now: Instant) -> Verdict {
        guard let deadlines else {
            guard now >= handshakeDeadline else { return .fine }
            return .drop(Violation(.handshakeTimeout, "no whole WELCOME within \(handshakeTimeout)"))
        }
        if let violation = deadlines.verdict(at: now) { return .drop(violation) }
        if let deadAt, deadAt <= now {
            return .drop(Violation(.noRoundTrip, "no PING was answered for \(deadlines.heartbeat.deadAfter)"))
        }
        if let lateAt, lateAt <= now, !hasToldLate {
            hasToldLate = true
            return .beatLate
        }
        guard owesPing || pingAt.map({ $0 <= now }) ?? false else { return .fine }
        owesPing = false
        hasPinged = true
        // Until the PING has left, no second one is due.
        if lastSent != nil { lastSent = now }
        schedulePing(at: now)
        return .ping(nonce: ledger.send(at: now))
    }
}
