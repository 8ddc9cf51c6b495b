import Basics

/// How many children wait for connections at a time.
public struct PoolSize: Equatable, Sendable, CustomStringConvertible {
    /// So many wait when nothing happens.
    let least: Int
    /// So many children, at most, wait or may come back to wait.
    let most: Int

    /// `least` at least 1, `most` at least `least`.
    public init(least: Int, most: Int) {
        precondition(least >= 1 && most >= least)
        self.least = least
        self.most = most
    }

    /// `least`, and eight times as many at most.
    public init(_ least: Int) { self.init(least: least, most: 8 * least) }

    /// `4:32`.
    public var description: String { "\(least):\(most)" }
}

/// How many children should wait for connections: it grows as soon as none was left, and shrinks slowly.
struct PoolSizing {
    /// For so long it is looked how many were not needed.
    static let quiet = Duration.seconds(10)
    private static let shortestPause = Duration.milliseconds(100)
    private static let longestPause = Duration.seconds(10)

    private let size: PoolSize
    /// So many should wait.
    private(set) var wanted: Int
    /// The fewest that have waited at a time since the last look.
    private var fewest: Int
    private var look: Instant
    private var hasRunOut = false
    /// No child is forked ahead before then.
    private(set) var pausedUntil: Instant?
    private var pause = shortestPause

    init(_ size: PoolSize, at now: Instant) {
        self.size = size
        wanted = size.least
        fewest = size.least
        look = now + PoolSizing.quiet
    }

    /// A connection came; so many wait now. None did where `ranOut`, and the connection got a new process.
    mutating func took(waiting: Int, ranOut: Bool = false) {
        fewest = min(fewest, waiting)
        if ranOut { hasRunOut = true }
    }

    /// How many children are to be forked now, where so many wait, and there are so many in all that wait or may come
    /// back. Called once a turn of the loop: however many clients came in one, the number is doubled once.
    mutating func missing(waiting: Int, all: Int, at now: Instant) -> Int {
        if hasRunOut {
            hasRunOut = false
            wanted = min(size.most, wanted * 2)
        }
        if let pausedUntil {
            guard pausedUntil <= now else { return 0 }
            self.pausedUntil = nil
        }
        return max(0, min(wanted - waiting, size.most - all))
    }

    /// How many of those that wait are to leave: half of those that nobody needed for a while, down to the least.
    mutating func surplus(waiting: Int, at now: Instant) -> Int {
        guard look <= now else { return 0 }
        look = now + PoolSizing.quiet
        let unneeded = (min(fewest, waiting) + 1) / 2
        fewest = waiting
        wanted = max(size.least, wanted - unneeded)
        return max(0, min(unneeded, waiting - wanted))
    }

    /// A child has got a connection: whatever killed others is over.
    mutating func served() { pause = PoolSizing.shortestPause }

    /// A child died that had nothing to do, or could not be forked: the next ones have time, twice as long each time.
    mutating func failed(at now: Instant) {
        // Those that die together are one reason to wait.
        guard pausedUntil == nil else { return }
        pausedUntil = now + pause
        pause = min(pause * 2, PoolSizing.longestPause)
    }
}
