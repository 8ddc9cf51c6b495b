import Basics
import Synchronization

/// What lines of a flood have in common.
struct FloodKey: Equatable {
    let level: LogLevel
    /// nil for all kinds that found no bucket.
    let event: LogEvent?
    let reason: String
}

/// Rate limiter for floods of lines: of each kind a number of lines goes through in five seconds. The others are counted,
/// and the count is reported when the five seconds are over.
///
/// It lies in memory that every process of the server shares, since a flood comes from many children of a line each.
/// A process may be killed between any two of these instructions, so each count is one word, changed at once.
struct LogRateLimiter {
    static let window = Duration.seconds(5)
    /// The number of kinds that are told apart; the last bucket counts all that found none.
    static let buckets = 64
    /// What the last bucket sums up, in place of an event.
    static let others = "others"
    /// The longest reason, in bytes of ASCII.
    private static let longestReason = 64

    /// One kind: zero in every byte as long as it is free.
    struct Bucket: ~Copyable {
        fileprivate let hash: Atomic<UInt64>
        fileprivate let isNamed: Atomic<Bool>
        /// Places in `allCases`. A child may write any byte, so the reader compares them with a bound.
        fileprivate var level: UInt8
        /// From 1; 0 for all kinds that found no bucket.
        fileprivate var event: UInt8
        fileprivate var reason: InlineArray<64, UInt8>
        /// When the window began, in milliseconds in the upper 40 bits, and the lines since then in the lower 24.
        fileprivate let window: Atomic<UInt64>
        /// How many lines go through in a window.
        fileprivate let most: Atomic<UInt64>
    }

    /// Lines of one kind that did not go through.
    struct Suppressed: Equatable {
        let kind: FloodKey
        let count: UInt64
    }

    private let memory: UnsafeMutablePointer<Bucket>

    /// `memory` has `buckets` buckets, of zeros at first.
    init(in memory: UnsafeMutablePointer<Bucket>) { self.memory = memory }

    /// Counts a line of the kind `kind`. Returns whether it may be written, and how many lines of the window before were
    /// suppressed, if that is to be reported first. Up to `most` lines of a kind go through in a window.
    func happened(_ kind: FloodKey, most: UInt64, at now: Instant) -> (mayPass: Bool, before: UInt64) {
        let bucket = bucket(of: kind)
        memory[bucket].most.store(most, ordering: .relaxed)
        let moment = LogRateLimiter.milliseconds(now)
        var old = memory[bucket].window.load(ordering: .relaxed)
        while true {
            let isOver = LogRateLimiter.isOver(old, at: moment)
            let count = isOver ? 1 : min(old & LogRateLimiter.counts + 1, LogRateLimiter.counts)
            let new = (isOver ? moment << 24 : old & ~LogRateLimiter.counts) | count
            let (isDone, found) = memory[bucket].window.weakCompareExchange(
                expected: old, desired: new, ordering: .relaxed)
            if isDone { return (count <= most, isOver ? LogRateLimiter.suppressed(old, most) : 0) }
            old = found
        }
    }

    /// The counts that are due, each reported once; with `all` those of the windows that go on too.
    func sums(at now: Instant, all: Bool = false) -> [Suppressed] {
        var sums: [Suppressed] = []
        let moment = LogRateLimiter.milliseconds(now)
        for bucket in 0..<LogRateLimiter.buckets where memory[bucket].isNamed.load(ordering: .acquiring) {
            let old = memory[bucket].window.load(ordering: .relaxed)
            let count = LogRateLimiter.suppressed(old, memory[bucket].most.load(ordering: .relaxed))
            guard count > 0, all || LogRateLimiter.isOver(old, at: moment) else { continue }
            let (isDone, _) = memory[bucket].window.compareExchange(expected: old, desired: 0, ordering: .relaxed)
            if isDone { sums.append(Suppressed(kind: kind(of: bucket), count: count)) }
        }
        return sums
    }

    /// The lower 24 bits, and the most that is counted: three million lines a second.
    private static let counts: UInt64 = 1 << 24 - 1

    private static func milliseconds(_ now: Instant) -> UInt64 { UInt64(max(1, now.sinceStart / .milliseconds(1))) }

    /// Another process may have read the clock a little later and begun the window: that one is not over.
    private static func isOver(_ window: UInt64, at moment: UInt64) -> Bool {
        window == 0 || moment >= window >> 24 + UInt64(LogRateLimiter.window / .milliseconds(1))
    }

    private static func suppressed(_ window: UInt64, _ most: UInt64) -> UInt64 {
        let count = window & counts
        return count > most ? count - most : 0
    }

    // MARK: Kinds

    private func bucket(of kind: FloodKey) -> Int {
        let hash = LogRateLimiter.hash(kind)
        for step in 0..<(LogRateLimiter.buckets - 1) {
            let bucket = Int((hash &+ UInt64(step)) % UInt64(LogRateLimiter.buckets - 1))
            let (isOurs, found) = memory[bucket].hash.compareExchange(expected: 0, desired: hash, ordering: .relaxed)
            guard isOurs || found == hash else { continue }
            setName(kind, of: bucket)
            return bucket
        }
        setName(FloodKey(level: .warning, event: nil, reason: ""), of: LogRateLimiter.buckets - 1)
        return LogRateLimiter.buckets - 1
    }

    /// Names a bucket that has no name: the process that took it may have been killed before it wrote one.
    private func setName(_ kind: FloodKey, of bucket: Int) {
        guard !memory[bucket].isNamed.load(ordering: .acquiring) else { return }
        memory[bucket].level = UInt8(LogLevel.allCases.firstIndex(of: kind.level)!)
        memory[bucket].event = kind.event.map { UInt8(LogEvent.allCases.firstIndex(of: $0)! + 1) } ?? 0
        for (index, byte) in kind.reason.utf8.prefix(LogRateLimiter.longestReason).enumerated() {
            memory[bucket].reason[index] = byte
        }
        memory[bucket].isNamed.store(true, ordering: .releasing)
    }

    private func kind(of bucket: Int) -> FloodKey {
        var reason: [UInt8] = []
        for index in 0..<LogRateLimiter.longestReason where memory[bucket].reason[index] != 0 {
            reason.append(memory[bucket].reason[index])
        }
        let (level, event) = (Int(memory[bucket].level), Int(memory[bucket].event))
        let (levels, events) = (LogLevel.allCases, LogEvent.allCases)
        return FloodKey(
            level: level < levels.count ? levels[level] : .warning,
            event: (1...events.count).contains(event) ? events[event - 1] : nil,
            reason: String(decoding: reason, as: UTF8.self))
    }

    /// FNV-1a; never 0, which is a free bucket.
    private static func hash(_ kind: FloodKey) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        add(kind.level.rawValue.utf8)
        add((kind.event?.rawValue ?? others).utf8)
        // No name has this byte.
        add(CollectionOfOne(0))
        add(kind.reason.utf8.prefix(longestReason))
        return max(1, hash)
    }
}
