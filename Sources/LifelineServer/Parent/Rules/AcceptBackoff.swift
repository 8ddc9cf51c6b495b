import Basics

/// Decides when to accept again after accept or fork failed.
struct AcceptBackoff {
    private static let shortest = Duration.milliseconds(100)
    private static let longest = Duration.seconds(1)

    private(set) var until: Instant?
    private var next = shortest

    /// accept(2) lacks a resource: it is tried again after 100 ms.
    mutating func acceptFailed(at now: Instant) { until = now + AcceptBackoff.shortest }

    /// fork(2) failed: the pause doubles from 100 ms up to 1 s until one succeeds.
    mutating func forkFailed(at now: Instant) {
        until = now + next
        next = min(next * 2, AcceptBackoff.longest)
    }

    mutating func forked() { next = AcceptBackoff.shortest }

    /// Whether a pause is on at `now`; one that is over is forgotten.
    mutating func isOn(at now: Instant) -> Bool {
        if let until, until <= now { self.until = nil }
        return until != nil
    }
}
