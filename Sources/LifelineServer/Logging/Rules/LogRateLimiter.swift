import Basics
import Synchronization

/// Sums up floods of lines: of each kind so many go through in five seconds, the others are counted, and the count is
/// told when the five seconds are over.
///
/// It lies in memory that every process of the server shares, since a flood comes from many children of a line each.
/// A process may be killed between any two of these instructions: all that is counted is one word, changed at once.
struct LogRateLimiter {
    static let window = Duration.seconds(5)
    /// So many kinds are told apart; the last place counts all that found none.
    static let places = 64
    /// What the last place sums up, in place of an event.
    static let others = "others"
    /// The longest reason, in bytes of ASCII.
    private static let longestReason = 64

    /// What lines of a flood have in common.
    struct Key: Equatable {
        let level: LogLevel
        /// nil for all kinds that found no place.
        let event: LogEvent?
        let reason: String
    }

    /// One kind: zero in every byte as long as it is free.
    struct Place: ~Copyable {
        fileprivate let hash: Atomic<UInt64>
        fileprivate let isNamed: Atomic<Bool>
        fileprivate var level: LogLevel
        fileprivate var event: LogEvent?
        fileprivate var reason: InlineArray<64, UInt8>
        /// When the window began, in milliseconds in the upper 40 bits, and the lines since then in the lower 24.
        fileprivate let window: Atomic<UInt64>
        /// How many lines go through in a window.
        fileprivate let most: Atomic<UInt64>
    }

    /// Lines of one kind that did not go through.
    struct Sum: Equatable {
        let kind: Key
        let count: UInt64
    }

    private let memory: UnsafeMutablePointer<Place>

    /// `memory` has `places` places, of zeros at first.
    init(in memory: UnsafeMutablePointer<Place>) { self.memory = memory }

    /// A line of the kind `kind` would be written: whether it may be, and the sum of the window before, if that is to be
    /// told first. `most` lines of a kind go through in a window.
    func happened(_ kind: Key, most: UInt64, at now: Instant) -> (mayPass: Bool, before: UInt64) {
        let place = place(of: kind)
        memory[place].most.store(most, ordering: .relaxed)
        let moment = LogRateLimiter.milliseconds(now)
        var old = memory[place].window.load(ordering: .relaxed)
        while true {
            let isOver = LogRateLimiter.isOver(old, at: moment)
            let count = isOver ? 1 : min(old & LogRateLimiter.counts + 1, LogRateLimiter.counts)
            let new = (isOver ? moment << 24 : old & ~LogRateLimiter.counts) | count
            let (isDone, found) = memory[place].window.weakCompareExchange(
                expected: old, desired: new, ordering: .relaxed)
            if isDone { return (count <= most, isOver ? LogRateLimiter.suppressed(old, most) : 0) }
            old = found
        }
    }

    /// The sums that are due, each told once; with `all` those of the windows that go on too.
    func sums(at now: Instant, all: Bool = false) -> [Sum] {
        var sums: [Sum] = []
        let moment = LogRateLimiter.milliseconds(now)
        for place in 0..<LogRateLimiter.places where memory[place].isNamed.load(ordering: .acquiring) {
            let old = memory[place].window.load(ordering: .relaxed)
            let count = LogRateLimiter.suppressed(old, memory[place].most.load(ordering: .relaxed))
            guard count > 0, all || LogRateLimiter.isOver(old, at: moment) else { continue }
            let (isDone, _) = memory[place].window.compareExchange(expected: old, desired: 0, ordering: .relaxed)
            if isDone { sums.append(Sum(kind: kind(of: place), count: count)) }
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

    private func place(of kind: Key) -> Int {
        let hash = LogRateLimiter.hash(kind)
        for step in 0..<(LogRateLimiter.places - 1) {
            let place = Int((hash &+ UInt64(step)) % UInt64(LogRateLimiter.places - 1))
            let (isOurs, found) = memory[place].hash.compareExchange(expected: 0, desired: hash, ordering: .relaxed)
            guard isOurs || found == hash else { continue }
            setName(kind, of: place)
            return place
        }
        setName(Key(level: .warning, event: nil, reason: ""), of: LogRateLimiter.places - 1)
        return LogRateLimiter.places - 1
    }

    /// Whoever meets a place without a name writes it: the process that took the place may have been killed.
    private func setName(_ kind: Key, of place: Int) {
        guard !memory[place].isNamed.load(ordering: .acquiring) else { return }
        memory[place].level = kind.level
        memory[place].event = kind.event
        for (index, byte) in kind.reason.utf8.prefix(LogRateLimiter.longestReason).enumerated() {
            memory[place].reason[index] = byte
        }
        memory[place].isNamed.store(true, ordering: .releasing)
    }

    private func kind(of place: Int) -> Key {
        var reason: [UInt8] = []
        for index in 0..<LogRateLimiter.longestReason where memory[place].reason[index] != 0 {
            reason.append(memory[place].reason[index])
        }
        return Key(
            level: memory[place].level, event: memory[place].event, reason: String(decoding: reason, as: UTF8.self))
    }

    /// FNV-1a; never 0, which is a free place.
    private static func hash(_ kind: Key) -> UInt64 {
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
