import Basics

/// How busy an event loop is: the part of the last while that it did not wait.
struct LoopLoad {
    /// How long a figure is measured at least.
    static let period = Duration.milliseconds(250)
    /// When a loop that sleeps has to wake to say so, where its last figure was another.
    private static let longest = Duration.seconds(1)

    private var begun: Instant
    private var waited = Duration.zero
    /// In thousandths.
    private(set) var figure = 0

    /// A loop that begins at `now`.
    init(at now: Instant) { begun = now }

    /// When `update` has to be called at the latest; nil for never.
    var deadline: Instant? { figure > 0 ? begun + LoopLoad.longest : nil }

    /// The loop has waited from one instant to another.
    @inline(__always) mutating func waited(from start: Instant, to end: Instant) {
        waited = Duration(attoseconds: waited.attoseconds + (end - start).attoseconds)
    }

    /// Whether there is a new figure at `now`.
    @inline(__always) func isDue(at now: Instant) -> Bool {
        (now - begun).attoseconds >= LoopLoad.period.attoseconds
    }

    /// Makes a new figure, which `isDue`.
    mutating func update(at now: Instant) {
        let time = now - begun
        let busy = max(Int128(0), time.attoseconds - waited.attoseconds)
        // Rounded down: a loop that wakes for nothing but its figure is idle.
        figure = min(1000, Int(busy * 1000 / max(1, time.attoseconds)))
        begun = now
        waited = .zero
    }
}
