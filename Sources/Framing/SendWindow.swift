import Basics

/// The send window: how many bytes of messages one side may have sent that no PONG has proved (Protocol.md, section 5.12).
///
/// A PONG proves all that its PING lies behind. So one number bounds what a heartbeat waits behind, wherever that lies: in
/// this kernel, in a queue of the network, or in a relay. The window follows the rate of the path: it holds what the path
/// carries within the target of the round trip. Until `start` it bounds nothing.
@usableFromInline
struct SendWindow: Sendable {
    /// A PING that is not answered.
    private struct Probe {
        let nonce: UInt64
        /// How many bytes of messages were staged before it.
        var mark: UInt64
        /// How many of these were not proved when it was staged.
        var ahead: UInt64
    }

    /// The window never gets smaller: less than this no path carries within a useful dead_after.
    static let least = 2048
    /// The largest first window. A new TCP connection sends no more in its first round trip (RFC 6928).
    static let mostAtFirst = 16384
    private static let most = 1 << 30
    /// Fewer bytes than this between two PINGs would cost the receiver's tokens (section 5.10).
    static let leastGap = 1024
    /// On a fast path a PING follows this many bytes, so that a path that becomes slow is noticed.
    private static let mostGap = 1 << 20
    /// The most that the window grows in a round trip, as TCP's grows. A burst that a shaper lets through shows a rate that
    /// does not last. Where a round trip takes less than a 32nd of the target, even eight times the window is far from it.
    private static let (mostGrowth, mostGrowthWhenFast) = (2.0, 8.0)
    /// How many round trips in a row that are too long at the least window show a longer path, and not a queue.
    private static let mostLongTrips = 3

    /// Bytes of message frames, headers included, that were staged since the connection began.
    @usableFromInline private(set) var staged: UInt64 = 0
    /// How many of them are proved.
    private(set) var proved: UInt64 = 0
    /// The window's size in bytes.
    private(set) var limit = Int.max
    /// The value of `staged` at which the window is closed, and the one from which a PING is wanted.
    @usableFromInline private(set) var closesAt = UInt64.max
    @usableFromInline private(set) var probesAt = UInt64.max
    private var lastProbe: UInt64 = 0
    private var probes = Queue<Probe>()
    /// The value of `staged` when a message was held back last. The round trip of a PING that came later shows nothing
    /// of the rate: what it had ahead of it may have arrived long before.
    private var heldBackAt: UInt64 = 0
    /// The last PONG, and the value of `staged` then: what was staged since has been on the way no longer than since then.
    private var lastProof: (staged: UInt64, at: Instant)?
    /// Whether no round trip has shown a queue yet.
    private var isStarting = true
    /// dead_after in seconds.
    private var deadAfter = 0.0
    /// The least round trip, in seconds.
    private var leastTrip = Double.infinity
    /// The round trips in a row that were too long at the least window, and the least of them.
    private var longTrips = (count: 0, least: Double.infinity)

    /// Whether more of a message may be staged.
    @inlinable var isOpen: Bool { staged < closesAt }
    /// Whether the window bounds anything: it was started, and not stopped.
    var isOn: Bool { limit != .max }
    /// Whether a PING is unanswered.
    var isAsking: Bool { !probes.isEmpty }
    /// Whether a PING has to follow what is staged.
    @inlinable var wantsProbe: Bool { staged >= probesAt }

    /// Bounds what is sent from now on; it counts what was sent before. dead_after is in milliseconds.
    mutating func start(deadAfter milliseconds: UInt32, roundTrip: Duration? = nil) {
        if let roundTrip { leastTrip = roundTrip.inSeconds }
        deadAfter = Double(milliseconds) / 1000
        limit = min(max(Int(milliseconds), SendWindow.least), SendWindow.mostAtFirst)
        update()
    }

    /// Bounds nothing any more: no PONG will come.
    mutating func stop() {
        limit = .max
        closesAt = .max
        probesAt = .max
        probes.removeAll()
    }

    /// Records a staged frame of a message.
    @inline(__always) mutating func stage(_ bytes: Int) { staged += UInt64(bytes) }

    /// Records that staged frames were removed, none of which has left; `nonce` is that of the first PING behind them.
    ///
    /// A peer that guesses the nonce of a PING that has not left may have proved them already.
    mutating func withdraw(_ bytes: UInt64, before nonce: UInt64?) {
        staged -= bytes
        guard isOn else { return }
        if let nonce {
            for var probe in probes.remove(where: { $0.nonce >= nonce }) {
                probe.mark -= bytes
                probe.ahead -= bytes
                probes.append(probe)
            }
            lastProbe -= bytes
        }
        update()
    }

    /// Records that a message waits for the window.
    mutating func holdBack() { heldBackAt = staged }

    /// Records a staged PING.
    mutating func probe(_ nonce: UInt64) {
        guard isOn else { return }
        probes.append(Probe(nonce: nonce, mark: staged, ahead: staged - proved))
        lastProbe = staged
        update()
    }

    /// Records the PONG with a nonce, and returns whether it proves bytes; `roundTrip` is nil where it is not known.
    @discardableResult
    mutating func prove(_ nonce: UInt64, roundTrip: Duration?, at now: Instant) -> Bool {
        var answered: Probe?
        while let probe = probes.first, probe.nonce <= nonce {
            answered = probe
            probes.removeFirst()
        }
        guard let answered else { return false }
        let isNews = answered.mark > proved
        proved = max(proved, answered.mark)
        if let roundTrip {
            let trip = max(roundTrip.inSeconds, 1e-6)
            adapt(Double(answered.ahead), trip, carried: carried(answered, after: trip, by: now))
        }
        lastProof = (staged, now)
        update()
        return isNews
    }

    /// The round trip that the window aims at, in seconds: a tenth of dead_after. What TCP adds when it sends packets again
    /// then stays below a quarter, and a tenth fills a link as well as a sixth. A path that is longer by itself is filled
    /// all the same.
    private var target: Double { max(deadAfter / 10, min(leastTrip * 1.5, leastTrip + deadAfter / 8)) }

    /// The bytes that the path has carried for sure, and the most seconds that it took for them; nil where the PONG shows
    /// none. Where the window was full, the PING has followed these bytes at once, and the round trip is their time.
    private func carried(_ probe: Probe, after trip: Double, by now: Instant) -> (bytes: Double, seconds: Double)? {
        if heldBackAt >= probe.mark { return (Double(probe.ahead), trip) }
        guard let lastProof, probe.mark > lastProof.staged else { return nil }
        return (Double(probe.mark - lastProof.staged), max((now - lastProof.at).inSeconds, trip))
    }

    /// Follows the rate that a round trip shows: the bytes that the PING had ahead of it, over the time.
    private mutating func adapt(_ ahead: Double, _ trip: Double, carried: (bytes: Double, seconds: Double)?) {
        leastTrip = min(leastTrip, trip)
        if trip > leastTrip * 1.25 { isStarting = false }
        if trip <= target {
            longTrips = (0, .infinity)
            guard let (bytes, seconds) = carried, seconds <= target else { return }
            // Without a queue the rate is at least what was seen, however long the path is.
            let most = seconds < target / 32 ? SendWindow.mostGrowthWhenFast : SendWindow.mostGrowth
            let growth = isStarting ? most : min(target / seconds, most)
            limit = max(limit, Int(min(bytes * growth, Double(SendWindow.most))))
        } else if ahead >= Double(SendWindow.leastGap) {
            limit = max(SendWindow.least, min(limit, Int(ahead * target / trip)))
            guard limit == SendWindow.least else { return }
            longTrips = (longTrips.count + 1, min(longTrips.least, trip))
            guard longTrips.count == SendWindow.mostLongTrips else { return }
            leastTrip = longTrips.least
            longTrips = (0, .infinity)
        }
    }

    private mutating func update() {
        closesAt = proved + UInt64(limit)
        let gap = min(max(limit / 8, SendWindow.leastGap), SendWindow.mostGap)
        probesAt = max(proved + UInt64(min(limit / 2, SendWindow.mostGap)), lastProbe + UInt64(gap))
    }
}

extension Duration {
    fileprivate var inSeconds: Double { Double(attoseconds) / 1e18 }
}
