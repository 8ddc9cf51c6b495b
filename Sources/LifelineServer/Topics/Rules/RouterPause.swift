import Basics

/// How long the parent waits before it forks the next router: longer each time, as long as they die young.
struct RouterPause {
    private static let shortest = Duration.milliseconds(50)
    private static let longest = Duration.seconds(2)
    /// A router that lives so long has not died of what killed the one before it.
    private static let grownUp = Duration.seconds(10)

    /// No router is forked before then; nil where one may be.
    private(set) var until: Instant?
    private var next = shortest
    private var begunAt: Instant?

    func isOver(at now: Instant) -> Bool { until.map { $0 <= now } ?? true }

    /// A router was forked.
    mutating func began(at now: Instant) {
        begunAt = now
        until = nil
    }

    /// It has died, or could not be forked.
    mutating func ended(at now: Instant) {
        if let begunAt, now - begunAt >= RouterPause.grownUp { next = RouterPause.shortest }
        begunAt = nil
        until = now + next
        next = min(next * 2, RouterPause.longest)
    }
}
