import Basics

/// Watches whether a shared process takes the connections that are sent to it. One that is stopped, or whose loop a handler
/// holds up, does not: it gets no further ones meanwhile.
struct DeliveryWatch {
    /// A loop that has not taken a connection for this long is stuck.
    static let patience = Duration.seconds(1)
    /// A process whose channel is full gets no connection for this time.
    static let pause = Duration.milliseconds(100)

    private var sent: UInt32 = 0
    private var lastTaken: UInt32 = 0
    /// When it has last taken one, or had none to take.
    private var lastProgress: Instant
    private var pausedUntil: Instant?

    /// Watches a process to which nothing was sent.
    init(at now: Instant) { lastProgress = now }

    /// So many connections are on their way to it, which has taken `taken` until now.
    mutating func sent(_ count: Int, taken: UInt32, at now: Instant) {
        note(taken, at: now)
        sent &+= UInt32(count)
        pausedUntil = nil
    }

    /// Its channel is full.
    mutating func clogged(at now: Instant) { pausedUntil = now + DeliveryWatch.pause }

    /// Whether it is to get connections, which has taken `taken` until now.
    mutating func takes(_ taken: UInt32, at now: Instant) -> Bool {
        note(taken, at: now)
        if let pausedUntil, now < pausedUntil { return false }
        return now - lastProgress < DeliveryWatch.patience
    }

    private mutating func note(_ taken: UInt32, at now: Instant) {
        if taken != lastTaken || taken == sent { lastProgress = now }
        lastTaken = taken
    }
}
