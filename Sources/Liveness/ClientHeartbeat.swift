import Basics
import Framing

/// The client's rules about a server's life, from the connection on (Protocol.md, section 5).
///
/// The loop calls `woke` first, tells what it read and wrote, asks for the `verdict` until that is `fine`, and sleeps
/// until `deadline`.
public struct ClientHeartbeat: Sendable {
    /// What the client has to do about the server now.
    public enum Verdict: Equatable, Sendable {
        case fine
        /// A PING with this nonce is due.
        case ping(nonce: UInt64)
        /// No proof of the round trip for half of dead_after since the PING: tell the program, nothing is cut yet.
        case beatLate
        case drop(Violation)
    }

    private let handshakeDeadline: Instant
    private let handshakeTimeout: Duration
    private let random: @Sendable () -> Double
    /// Set once WELCOME is there.
    private var watch: PeerDeadlines?
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

    /// `random` returns a number in 0..<1, anew each time; it spreads the PINGs of many clients.
    public init(
        connectedAt: Instant, handshakeTimeout: Duration,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        self.handshakeTimeout = handshakeTimeout
        handshakeDeadline = connectedAt + handshakeTimeout
        self.random = random
    }

    /// WELCOME came.
    public mutating func welcomed(_ heartbeat: Heartbeat, at now: Instant) {
        watch = PeerDeadlines(heartbeat, at: now)
        bucket = TokenBucket(heartbeat)
        nextPing = now + heartbeat.pingEvery * random()
    }

    /// The loop runs again; if that is long after `deadline`, the time was this side's to lose, not the server's.
    public mutating func woke(at now: Instant) {
        guard let watch, let deadline, now - deadline > watch.heartbeat.ownLateness else { return }
        self.watch?.grant(at: now)
        unprovenSince = nil
        hasToldLate = false
        owesPing = watch.mayBeHeard
    }

    /// Bytes arrived.
    public mutating func heard(at now: Instant) { watch?.heard(at: now) }

    /// What the decoder says after it has read: the number of the frame begun last, and its length if it is not whole.
    public mutating func frame(_ number: UInt64, unfinishedLength: UInt32?, at now: Instant) {
        watch?.frame(number, unfinishedLength: unfinishedLength, at: now)
    }

    /// What became of an attempt to write: whether the kernel took any bytes, and whether more wait.
    public mutating func wrote(any: Bool, waiting: Bool, at now: Instant) {
        watch?.wrote(any: any, waiting: waiting, at: now)
    }

    /// Nothing more is expected of the server: CLOSE is queued, or has come.
    public mutating func ended() {
        watch?.ended()
        nextPing = nil
        unprovenSince = nil
        owesPing = false
    }

    /// A PING or an empty MESSAGE came.
    public mutating func pay(at now: Instant) throws(Violation) {
        guard bucket?.spend(at: now) ?? true else { throw .flood }
    }

    /// A PONG came; throws where its nonce answers no PING.
    public mutating func ponged(_ nonce: UInt64, at now: Instant) throws(Violation) {
        if let time = try ledger.answered(nonce, at: now) { roundTrip = time }
        proven(at: now)
    }

    /// A RESPONSE began: the request got there and the answer back. Its later chunks prove nothing of the way there.
    public mutating func responded(at now: Instant) { proven(at: now) }

    private mutating func proven(at now: Instant) {
        guard hasPinged else { return }  // The first PING keeps its own random instant.
        unprovenSince = nil
        hasToldLate = false
        schedulePing(at: now)
    }

    private mutating func schedulePing(at now: Instant) {
        guard let watch else { return }
        nextPing = now + watch.heartbeat.pingEvery * (0.8 + 0.2 * random())
    }

    /// When `verdict` has to be asked for next; nil for never.
    public var deadline: Instant? {
        guard let watch else { return handshakeDeadline }
        return earlier(earlier(watch.deadline, nextPing), hasToldLate ? deadAt : lateAt)
    }

    private var lateAt: Instant? {
        guard let watch, let unprovenSince else { return nil }
        return unprovenSince + watch.heartbeat.half
    }

    private var deadAt: Instant? {
        guard let watch, let unprovenSince else { return nil }
        return unprovenSince + watch.heartbeat.deadAfter
    }

    /// What is due at `now`, after all that had arrived by then was told.
    public mutating func verdict(at now: Instant) -> Verdict {
        guard let watch else {
            guard now >= handshakeDeadline else { return .fine }
            return .drop(Violation(.handshakeTimeout, "no whole WELCOME within \(handshakeTimeout)"))
        }
        if let violation = watch.verdict(at: now) { return .drop(violation) }
        if let deadAt, deadAt <= now {
            return .drop(Violation(.noRoundTrip, "no PING was answered for \(watch.heartbeat.deadAfter)"))
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
