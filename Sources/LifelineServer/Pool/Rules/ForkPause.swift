import Basics

/// Decides when a process is forked ahead again after one died that had nothing to do, or could not be forked: the next try
/// waits, twice as long each time, until one has served.
struct ForkPause {
    private let shortest: Duration
    private let longest: Duration

    /// No process is forked ahead before then.
    private(set) var until: Instant?
    private var next: Duration

    /// No pause yet.
    init(shortest: Duration = .milliseconds(100), longest: Duration = .seconds(10)) {
        (self.shortest, self.longest) = (shortest, longest)
        next = shortest
    }

    /// Whether a pause is on at `now`; one that is over is forgotten.
    mutating func isOn(at now: Instant) -> Bool {
        if let until, until <= now { self.until = nil }
        return until != nil
    }

    /// A process has got a connection, or served one: whatever killed others is over.
    mutating func served() { next = shortest }

    /// A process died that had nothing to do, or could not be forked.
    mutating func failed(at now: Instant) {
        // Those that die together are one reason to wait.
        guard until == nil else { return }
        until = now + next
        next = min(next * 2, longest)
    }
}
