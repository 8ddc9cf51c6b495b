import Basics
import Posix
import Synchronization

/// Shared memory with a slot for each child. The child writes its slot without a system call. The parent reads it: to
/// show the connection, to count handshakes under way, and to add up what a dead child has done. The parent trusts none
/// of it.
struct Scoreboard {
    /// One connection's row: six lines of the cache, of which its process writes the first at each turn of its loop and
    /// the others seldom. Each field has a whole value at any moment, and no order among the fields is promised.
    struct Row: ~Copyable {
        /// The bytes of the address space of a process that crashed, or 0. It stands first, so that the row's address is
        /// its own: a signal handler writes it.
        fileprivate let crashSize: Atomic<UInt64>
        /// When bytes came last, in ticks, or 0.
        fileprivate let heardAt: Atomic<UInt64>
        fileprivate let answered: Atomic<UInt64>
        fileprivate let bytesIn: Atomic<UInt64>
        fileprivate let bytesOut: Atomic<UInt64>
        fileprivate let inFlight: Atomic<UInt32>
        fileprivate let activity: Atomic<UInt32>
        fileprivate let request: Atomic<UInt32>
        fileprivate let isFinished: Atomic<UInt32>
        /// One more than the number of the reason why the connection ended, or 0.
        fileprivate let closeReason: Atomic<UInt32>
        fileprivate let closedBy: Atomic<UInt32>

        /// In ticks, or 0.
        fileprivate let roundTrip: Atomic<UInt64>
        fileprivate let roundTripsSum: Atomic<UInt64>
        /// One more than the ticks, or 0.
        fileprivate let lateness: Atomic<UInt64>
        fileprivate let roundTrips: InlineArray<16, Atomic<UInt32>>
        fileprivate let hasGreeted: Atomic<UInt8>
        fileprivate let nameLength: Atomic<UInt8>
        fileprivate let unhandled: Atomic<UInt32>
        fileprivate let name: InlineArray<64, Atomic<UInt8>>
        fileprivate let messagesIn: Atomic<UInt64>
        fileprivate let messagesOut: Atomic<UInt64>
        fileprivate let failed: Atomic<UInt32>
        fileprivate let cancelled: Atomic<UInt32>
        fileprivate let refused: Atomic<UInt32>
        fileprivate let unanswered: Atomic<UInt32>

        /// What the connection holds, in bytes.
        let held: Atomic<Int>
        /// How much of the shared budget's total is this connection's.
        let charged: Atomic<Int>
        /// In ticks.
        let handlerTimesSum: Atomic<UInt64>
        let handlerTimes: InlineArray<19, Atomic<UInt32>>
        fileprivate let overBudget: Atomic<UInt32>
        /// The server's own requests, by their outcome.
        fileprivate let serverRequests: InlineArray<5, Atomic<UInt32>>
        fileprivate let lost: Atomic<UInt32>
    }

    /// One connection's row, as both processes reach it.
    struct Slot {
        let row: UnsafeMutablePointer<Row>
        /// What all connections share.
        let budget: MemoryBudget
    }

    /// What all connections together may hold.
    let budget: MemoryBudget
    private let rows: UnsafeMutablePointer<Row>
    /// The last `freeCount` that were given back, the next one last.
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount = 0
    private var used = 0
    private let count: Int

    /// Maps `count` slots, which cost no memory until they are used (mmap(2)).
    init(_ count: Int) throws(SystemError) {
        self.count = count
        budget = try MemoryBudget()
        rows = try sharedMemory(of: count, Row.self)
        free = try ownMemory(of: count, Int32.self)
    }

    subscript(index: Int) -> Slot { Slot(row: rows + index, budget: budget) }

    /// Takes an empty slot that is free; nil where there is none, because processes on their way out have not ended yet.
    mutating func take() -> Int? {
        var index = used
        if freeCount > 0 {
            freeCount -= 1
            index = Int(free[freeCount])
        }
        guard index < count else { return nil }
        used = max(used, index + 1)
        clear(index)
        return index
    }

    /// Empties a slot that is taken, whose child writes nothing now.
    func clear(_ index: Int) {
        UnsafeMutableRawPointer(rows + index).initializeMemory(
            as: UInt8.self, repeating: 0, count: MemoryLayout<Row>.stride)
    }

    /// Gives a slot back.
    mutating func giveBack(_ index: Int) {
        free[freeCount] = Int32(index)
        freeCount += 1
    }
}

extension Scoreboard.Slot {
    /// The request that the handler works on, or 0.
    var request: UInt32 {
        get { row.pointee.request.load(ordering: .relaxed) }
        nonmutating set { row.pointee.request.store(newValue, ordering: .relaxed) }
    }
    /// Whether the connection's process brought it to its proper end.
    var isFinished: Bool {
        get { row.pointee.isFinished.load(ordering: .relaxed) != 0 }
        nonmutating set { row.pointee.isFinished.store(newValue ? 1 : 0, ordering: .relaxed) }
    }
    /// Brings the connection to its proper end after a handshake that failed. What a child claims counts against its own client
    /// only.
    var hasFailedHandshake: Bool {
        get { row.pointee.isFinished.load(ordering: .relaxed) == 2 }
        nonmutating set { row.pointee.isFinished.store(newValue ? 2 : 1, ordering: .relaxed) }
    }
    /// Whether the client has said HELLO.
    var hasGreeted: Bool {
        get { row.pointee.hasGreeted.load(ordering: .relaxed) != 0 }
        nonmutating set { row.pointee.hasGreeted.store(newValue ? 1 : 0, ordering: .relaxed) }
    }

    /// The bytes of the process's address space when it crashed, or 0.
    var crashSize: UInt64 { row.pointee.crashSize.load(ordering: .relaxed) }
    /// Where a signal handler writes `crashSize`.
    var crashSizeAddress: UnsafeMutablePointer<UInt64> {
        UnsafeMutableRawPointer(row).assumingMemoryBound(to: UInt64.self)
    }

    /// When bytes came from the client last; nil before the first time.
    var heardAt: Instant? {
        get {
            let ticks = row.pointee.heardAt.load(ordering: .relaxed)
            return ticks == 0 ? nil : Instant(sinceStart: Scoreboard.Slot.duration(ticks))
        }
        nonmutating set {
            let ticks = newValue.map { Scoreboard.Slot.ticks($0.sinceStart) } ?? 0
            row.pointee.heardAt.store(ticks, ordering: .relaxed)
        }
    }

    /// What a loop writes at each of its turns.
    ///
    /// - Parameters:
    ///   - answered: Requests that were answered. No count is made of two others, so that none ever falls.
    ///   - bytesIn: Bytes that came.
    ///   - bytesOut: Bytes that were sent.
    ///   - inFlight: Requests without an ending.
    ///   - activity: What the connection does.
    func publish(
        answered: UInt64, bytesIn: UInt64, bytesOut: UInt64, inFlight: UInt32, activity: ConnectionActivity
    ) {
        row.pointee.answered.store(answered, ordering: .relaxed)
        row.pointee.bytesIn.store(bytesIn, ordering: .relaxed)
        row.pointee.bytesOut.store(bytesOut, ordering: .relaxed)
        row.pointee.inFlight.store(inFlight, ordering: .relaxed)
        row.pointee.activity.store(activity.rawValue, ordering: .relaxed)
    }

    var answered: UInt64 { row.pointee.answered.load(ordering: .relaxed) }
    var bytesIn: UInt64 { row.pointee.bytesIn.load(ordering: .relaxed) }
    var bytesOut: UInt64 { row.pointee.bytesOut.load(ordering: .relaxed) }
    var inFlight: UInt32 { row.pointee.inFlight.load(ordering: .relaxed) }
    var activity: ConnectionActivity {
        ConnectionActivity(rawValue: row.pointee.activity.load(ordering: .relaxed)) ?? .greeting
    }

    /// What the connection counts beside that.
    var counts: ConnectionCounts {
        get {
            ConnectionCounts(
                failed: UInt64(row.pointee.failed.load(ordering: .relaxed)),
                cancelled: UInt64(row.pointee.cancelled.load(ordering: .relaxed)),
                refused: UInt64(row.pointee.refused.load(ordering: .relaxed)),
                unanswered: UInt64(row.pointee.unanswered.load(ordering: .relaxed)),
                messagesIn: row.pointee.messagesIn.load(ordering: .relaxed),
                messagesOut: row.pointee.messagesOut.load(ordering: .relaxed),
                unhandled: UInt64(row.pointee.unhandled.load(ordering: .relaxed)),
                overBudget: UInt64(row.pointee.overBudget.load(ordering: .relaxed)),
                lost: UInt64(row.pointee.lost.load(ordering: .relaxed)))
        }
        nonmutating set {
            row.pointee.failed.store(UInt32(truncatingIfNeeded: newValue.failed), ordering: .relaxed)
            row.pointee.cancelled.store(UInt32(truncatingIfNeeded: newValue.cancelled), ordering: .relaxed)
            row.pointee.refused.store(UInt32(truncatingIfNeeded: newValue.refused), ordering: .relaxed)
            row.pointee.unanswered.store(UInt32(truncatingIfNeeded: newValue.unanswered), ordering: .relaxed)
            row.pointee.messagesIn.store(newValue.messagesIn, ordering: .relaxed)
            row.pointee.messagesOut.store(newValue.messagesOut, ordering: .relaxed)
            row.pointee.unhandled.store(UInt32(truncatingIfNeeded: newValue.unhandled), ordering: .relaxed)
            row.pointee.overBudget.store(UInt32(truncatingIfNeeded: newValue.overBudget), ordering: .relaxed)
            row.pointee.lost.store(UInt32(truncatingIfNeeded: newValue.lost), ordering: .relaxed)
        }
    }

    /// How many requests of the server had which outcome.
    var serverRequests: ServerRequestCounts {
        get {
            func count(_ index: Int) -> UInt64 { UInt64(row.pointee.serverRequests[index].load(ordering: .relaxed)) }
            return ServerRequestCounts(
                answered: count(0), failed: count(1), notSent: count(2), refused: count(3), unknown: count(4))
        }
        nonmutating set {
            let counts = [newValue.answered, newValue.failed, newValue.notSent, newValue.refused, newValue.unknown]
            for (index, count) in counts.enumerated() {
                row.pointee.serverRequests[index].store(UInt32(truncatingIfNeeded: count), ordering: .relaxed)
            }
        }
    }

    /// Why the connection ended, by a number, and which side said it; nil until it has.
    var closeReason: (reason: UInt32, by: UInt32)? {
        get {
            let reason = row.pointee.closeReason.load(ordering: .relaxed)
            return reason == 0 ? nil : (reason - 1, row.pointee.closedBy.load(ordering: .relaxed))
        }
        nonmutating set {
            row.pointee.closedBy.store(newValue?.by ?? 0, ordering: .relaxed)
            row.pointee.closeReason.store(newValue.map { $0.reason &+ 1 } ?? 0, ordering: .relaxed)
        }
    }

    /// How late a silent client was dropped; nil where none was.
    var lateness: Duration? {
        get {
            let ticks = row.pointee.lateness.load(ordering: .relaxed)
            return ticks == 0 ? nil : Scoreboard.Slot.duration(ticks - 1)
        }
        nonmutating set {
            let ticks = newValue.map { Scoreboard.Slot.ticks(max(.zero, $0)) &+ 1 } ?? 0
            row.pointee.lateness.store(ticks, ordering: .relaxed)
        }
    }

    /// The last round trip.
    var roundTrip: Duration? {
        let ticks = row.pointee.roundTrip.load(ordering: .relaxed)
        return ticks == 0 ? nil : Scoreboard.Slot.duration(ticks)
    }
    /// The sum of all round trips.
    var roundTripsSum: Duration { Scoreboard.Slot.duration(row.pointee.roundTripsSum.load(ordering: .relaxed)) }
    /// How many round trips were counted in each bucket of `Histogram`.
    var roundTrips: [UInt32] {
        (0..<row.pointee.roundTrips.count).map { row.pointee.roundTrips[$0].load(ordering: .relaxed) }
    }

    /// Adds a round trip that was proved. One process writes the row, so nothing is lost between load and store.
    func add(roundTrip time: Duration) {
        let ticks = max(1, Scoreboard.Slot.ticks(time))
        let bucket = Histogram.Scale.roundTrips.bucket(of: time)
        let sum = row.pointee.roundTripsSum.load(ordering: .relaxed)
        let count = row.pointee.roundTrips[bucket].load(ordering: .relaxed)
        row.pointee.roundTrip.store(ticks, ordering: .relaxed)
        row.pointee.roundTripsSum.store(sum &+ ticks, ordering: .relaxed)
        row.pointee.roundTrips[bucket].store(count &+ 1, ordering: .relaxed)
    }

    /// The client's name for itself: the first 64 bytes of it.
    var name: [UInt8] {
        get {
            let length = min(Int(row.pointee.nameLength.load(ordering: .relaxed)), row.pointee.name.count)
            return (0..<length).map { row.pointee.name[$0].load(ordering: .relaxed) }
        }
        nonmutating set {
            let length = min(newValue.count, row.pointee.name.count)
            for index in 0..<length { row.pointee.name[index].store(newValue[index], ordering: .relaxed) }
            row.pointee.nameLength.store(UInt8(length), ordering: .relaxed)
        }
    }

    // A shift costs nothing, where nanoseconds would cost a division of 128 bits. A tick is 2^30 attoseconds, 1.07 ns,
    // and one store.
    static func ticks(_ duration: Duration) -> UInt64 {
        UInt64(truncatingIfNeeded: duration.attoseconds >> 30)
    }
    static func duration(_ ticks: UInt64) -> Duration { Duration(attoseconds: Int128(ticks) << 30) }
}
