import Basics

/// How long the parent waits before it forks the next router: longer each time, as long as they die young.
struct RouterPause {
    /// A router that lives so long has not died of what killed the one before it.
    private static let grownUp = Duration.seconds(10)

    private var pause = ForkPause(shortest: .milliseconds(50), longest: .seconds(2))
    private var begunAt: Instant?

    /// No router is forked before then; nil where one may be.
    var until: Instant? { pause.until }

    func isOver(at now: Instant) -> Bool { until.map { $0 <= now } ?? true }

    /// A router was forked.
    mutating func began(at now: Instant) {
        begunAt = now
        _ = pause.isOn(at: now)
    }

    /// It has died, or could not be forked.
    mutating func ended(at now: Instant) {
        if let begunAt, now - begunAt >= RouterPause.grownUp { pause.served() }
        begunAt = nil
        _ = pause.isOn(at: now)
        pause.failed(at: now)
    }
}
