import Basics
import Framing

/// The server's rules about a client's life, from accept on (Protocol.md, section 5).
///
/// The loop calls `woke` first, tells what it read and wrote, asks for the `verdict`, and sleeps until `deadline`.
public struct ServerHeartbeat: Sendable {
    /// What the server has to do about the client now.
    public enum Verdict: Equatable, Sendable {
        case fine
        /// A PING with this nonce is due.
        case ping(nonce: UInt64)
        case drop(Violation)
    }

    private let handshakeDeadline: Instant
    private let handshakeTimeout: Duration
    /// Set once the handshake is done.
    private var watch: PeerDeadlines?
    private var bucket: TokenBucket?
    private var ledger = PingLedger()
    /// Whether this silence has been answered with a PING.
    private var pinged = false
    /// Whether this side was late and owes a PING for it.
    private var owesPing = false
    /// The last round trip that the client's PONG proved.
    public private(set) var roundTrip: Duration?
    /// When `verdict` has to be asked for next; nil for never. It is reckoned where something changes, so that to look
    /// at it costs nothing.
    public private(set) var deadline: Instant?

    /// A connection that was accepted at an instant; HELLO must be whole `handshakeTimeout` later.
    public init(acceptedAt: Instant, handshakeTimeout: Duration) {
        self.handshakeTimeout = handshakeTimeout
        handshakeDeadline = acceptedAt + handshakeTimeout
        deadline = handshakeDeadline
    }

    /// WELCOME is on its way: from now on the heartbeat counts.
    public mutating func welcomed(_ heartbeat: Heartbeat, at now: Instant) {
        watch = PeerDeadlines(heartbeat, at: now)
        bucket = TokenBucket(heartbeat)
        reckon()
    }

    /// The loop runs again; if that is long after `deadline`, the time was this side's to lose, not the client's.
    public mutating func woke(at now: Instant) {
        guard let deadline, deadline < now else { return }
        guard let watch, now > deadline + watch.heartbeat.ownLateness else { return }
        self.watch?.grant(at: now)
        owesPing = watch.mayBeHeard
        reckon()
    }

    /// Bytes arrived.
    public mutating func heard(at now: Instant) {
        pinged = false
        watch?.heard(at: now)
        reckon()
    }

    /// What the decoder says after it has read: the number of the frame begun last, and its length if it is not whole.
    public mutating func frame(_ number: UInt64, unfinishedLength: UInt32?, at now: Instant) {
        guard unfinishedLength != nil || watch?.hasUnfinished ?? false else { return }
        watch?.frame(number, unfinishedLength: unfinishedLength, at: now)
        reckon()
    }

    /// What became of an attempt to write: whether the kernel took any bytes, and whether more wait.
    public mutating func wrote(any: Bool, waiting: Bool, at now: Instant) {
        guard waiting || watch?.isStuck ?? false else { return }
        watch?.wrote(any: any, waiting: waiting, at: now)
        reckon()
    }

    /// Nothing more is expected of the client: its stream ended, or CLOSE is queued.
    public mutating func ended() {
        watch?.ended()
        reckon()
    }

    /// A PING that is due for another reason than silence; its nonce.
    public mutating func probe(at now: Instant) -> UInt64 { ledger.send(at: now) }

    /// A PING, a CANCEL or an empty MESSAGE came.
    public mutating func pay(at now: Instant) throws(Violation) {
        guard bucket?.spend(at: now) ?? true else { throw .flood }
    }

    /// A PONG came; throws where its nonce answers no PING. The round trip that it proves.
    @discardableResult
    public mutating func ponged(_ nonce: UInt64, at now: Instant) throws(Violation) -> Duration? {
        let time = try ledger.answered(nonce, at: now)
        if let time { roundTrip = time }
        return time
    }

    /// How long after dead_after it is that nothing was heard; nil before the handshake.
    public func lateness(at now: Instant) -> Duration? {
        watch.map { now - ($0.lastHeard + $0.heartbeat.deadAfter) }
    }

    @inline(__always) private mutating func reckon() {
        if let watch { deadline = earlier(watch.deadline, pingAt) }
    }

    private var pingAt: Instant? {
        guard let watch, watch.mayBeHeard, !pinged else { return nil }
        return watch.lastHeard + watch.heartbeat.half
    }

    /// What is due at `now`, after all that had arrived by then was told.
    public mutating func verdict(at now: Instant) -> Verdict {
        guard owesPing || deadline.map({ $0 <= now }) ?? false else { return .fine }
        guard let watch else {
            return .drop(Violation(.handshakeTimeout, "no whole HELLO within \(handshakeTimeout)"))
        }
        if let violation = watch.verdict(at: now) { return .drop(violation) }
        owesPing = false
        pinged = true
        reckon()
        return .ping(nonce: ledger.send(at: now))
    }
}

extension Violation {
    static let flood = Violation(
        .tooManyPings,
        "more PINGs, CANCELs and empty MESSAGEs than \(TokenBucket.pingCapacity) and one each ping_every / 2")
}
