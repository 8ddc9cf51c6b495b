import Basics

/// How many processes wait for connections at a time.
public struct PoolSize: Equatable, Sendable, CustomStringConvertible {
    /// How many wait when nothing happens.
    let least: Int
    /// How many wait or may wait again, at most.
    let most: Int

    /// From `least`, which is 1 or more, up to `most`, which is not below it.
    public init(least: Int, most: Int) {
        precondition(least >= 1 && most >= least)
        self.least = least
        self.most = most
    }

    /// From `least` up to eight times as many.
    public init(_ least: Int) { self.init(least: least, most: 8 * least) }

    /// `4:32`.
    public var description: String { "\(least):\(most)" }
}

/// Decides how many processes should wait for connections: more as soon as none was left, and fewer slowly.
struct PoolSizing {
    /// Over this time it is counted how many were not needed.
    static let quiet = Duration.seconds(10)

    private let size: PoolSize
    /// How many should wait.
    private(set) var wanted: Int
    /// The fewest that have waited at a time since the last review.
    private var fewest: Int
    private var nextReview: Instant
    private var hasRunOut = false
    var pause = ForkPause()

    init(_ size: PoolSize, at now: Instant) {
        self.size = size
        wanted = size.least
        fewest = size.least
        nextReview = now + PoolSizing.quiet
    }

    /// A connection came, and `waiting` processes wait now. None did where `ranOut`: the connection got a new process.
    mutating func dequeued(waiting: Int, ranOut: Bool = false) {
        fewest = min(fewest, waiting)
        if ranOut { hasRunOut = true }
    }

    /// How many processes are to be forked now. Called once a turn of the loop: however many clients came in one, the
    /// number is doubled once.
    ///
    /// - Parameters:
    ///   - waiting: How many wait.
    ///   - all: How many wait or may wait again.
    ///   - now: The instant of the turn.
    mutating func missing(waiting: Int, all: Int, at now: Instant) -> Int {
        if hasRunOut {
            hasRunOut = false
            wanted = min(size.most, wanted * 2)
        }
        if pause.isOn(at: now) { return 0 }
        return max(0, min(wanted - waiting, size.most - all))
    }

    /// How many of those that wait are to leave: half of those that were not needed for a while, down to the least.
    mutating func surplus(waiting: Int, at now: Instant) -> Int {
        guard nextReview <= now else { return 0 }
        nextReview = now + PoolSizing.quiet
        let unneeded = (min(fewest, waiting) + 1) / 2
        fewest = waiting
        wanted = max(size.least, wanted - unneeded)
        return max(0, min(unneeded, waiting - wanted))
    }
}
