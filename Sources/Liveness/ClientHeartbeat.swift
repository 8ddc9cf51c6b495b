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
    private var bucket: TokenBucket?
    private var ledger = PingLedger()
    private var nextPing: Instant?
    private var hasPinged = false
    /// When the first PING was sent that no proof has followed.
    private var unprovenSince: Instant?
    private var hasToldLate = false
    private var owesPing = false
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
        bucket = TokenBucket(heartbeat)
        nextPing = now + heartbeat.pingEvery * random()
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
    }

    /// Stops waiting for the server to say anything: CLOSE is queued, or has come.
    public mutating func ended() {
        deadlines?.ended()
        nextPing = nil
        unprovenSince = nil
        owesPing = false
    }

    /// Pays for a PING or an empty MESSAGE that came; throws where the bucket is empty (section 5.10).
    public mutating func spendToken(at now: Instant) throws(Violation) {
        guard bucket?.spend(at: now) ?? true else { throw .flood }
    }

    /// Records the round trip that a PONG proves; throws where its nonce answers no PING (5.4-5).
    public mutating func ponged(_ nonce: UInt64, at now: Instant) throws(Violation) {
        if let time = try ledger.answered(nonce, at: now) { roundTrip = time }
        proven(at: now)
    }

    /// Records that a RESPONSE began: the request got there and the answer back. Its later chunks prove nothing of the
    /// way there.
    public mutating func responded(at now: Instant) { proven(at: now) }

    private mutating func proven(at now: Instant) {
        guard hasPinged else { return }  // The first PING keeps its own random instant.
        unprovenSince = nil
        hasToldLate = false
        schedulePing(at: now)
    }

    private mutating func schedulePing(at now: Instant) {
        guard let deadlines else { return }
        nextPing = now + deadlines.heartbeat.pingEvery * (0.8 + 0.2 * random())
    }

    /// When the next `verdict` is due; nil for never.
    public var deadline: Instant? {
        guard let deadlines else { return handshakeDeadline }
        return earlier(earlier(deadlines.deadline, nextPing), hasToldLate ? deadAt : lateAt)
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
        guard owesPing || nextPing.map({ $0 <= now }) ?? false else { return .fine }
        owesPing = false
        hasPinged = true
        if unprovenSince == nil { unprovenSince = now }
        schedulePing(at: now)
        return .ping(nonce: ledger.send(at: now))
    }
}
