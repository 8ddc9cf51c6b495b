import Basics
import CPosix

/// Shared memory with a slot for each child: written by the child without a system call, and read by the parent, which
/// shows it, counts the handshakes that go on, and adds up what the dead have done. It is never trusted.
public struct Scoreboard {
    /// One child's.
    public struct Slot {
        let pointer: UnsafeMutablePointer<cposix_slot>

        /// The request that the handler works on, or 0.
        public var request: UInt32 {
            get { pointer.pointee.request }
            nonmutating set { pointer.pointee.request = newValue }
        }
        /// Whether the child came to its proper end.
        public var isFinished: Bool {
            get { pointer.pointee.finished != 0 }
            nonmutating set { pointer.pointee.finished = newValue ? 1 : 0 }
        }
        /// Whether the client has said HELLO.
        public var hasGreeted: Bool {
            get { pointer.pointee.greeted != 0 }
            nonmutating set { pointer.pointee.greeted = newValue ? 1 : 0 }
        }
        /// The bytes of the child's address space when it crashed, or 0.
        public var crashSize: UInt64 { pointer.pointee.crash_size }
    }

    private let slots: UnsafeMutablePointer<cposix_slot>
    /// The last `freeCount` that were given back, the next one last.
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount = 0
    private var used = 0

    /// `count` of them, which cost no memory until they are used (mmap(2)).
    public init(_ count: Int) throws(SystemError) {
        slots = try sharedMemory(of: count, cposix_slot.self)
        free = try ownMemory(of: count, Int32.self)
    }

    /// A slot's own.
    public subscript(index: Int) -> Slot { Slot(pointer: slots + index) }

    /// An empty slot that is not taken; there must be one.
    public mutating func take() -> Int {
        var index = used
        if freeCount > 0 {
            freeCount -= 1
            index = Int(free[freeCount])
        }
        used = max(used, index + 1)
        clear(index)
        return index
    }

    /// Empties a slot that is taken, whose child writes nothing now.
    public func clear(_ index: Int) { slots[index] = cposix_slot() }

    /// Gives a slot back.
    public mutating func giveBack(_ index: Int) {
        free[freeCount] = Int32(index)
        freeCount += 1
    }
}

extension Scoreboard.Slot {
    /// When something was heard of the client last; nil before the first time.
    public var heardAt: Instant? {
        get {
            let ticks = pointer.pointee.heard_at
            return ticks == 0 ? nil : Instant(sinceStart: Scoreboard.Slot.duration(ticks))
        }
        nonmutating set { pointer.pointee.heard_at = newValue.map { Scoreboard.Slot.ticks($0.sinceStart) } ?? 0 }
    }

    /// What a loop writes at each of its turns: requests that have their ending, bytes, requests without one, and the
    /// number of its state.
    public func count(requests: UInt64, bytesIn: UInt64, bytesOut: UInt64, inFlight: UInt32, state: UInt32) {
        pointer.pointee.requests = requests
        pointer.pointee.bytes_in = bytesIn
        pointer.pointee.bytes_out = bytesOut
        pointer.pointee.in_flight = inFlight
        pointer.pointee.state = state
    }

    /// Requests that have their ending.
    public var requests: UInt64 { pointer.pointee.requests }
    /// Bytes that came.
    public var bytesIn: UInt64 { pointer.pointee.bytes_in }
    /// Bytes that were sent.
    public var bytesOut: UInt64 { pointer.pointee.bytes_out }
    /// Requests without an ending.
    public var inFlight: UInt32 { pointer.pointee.in_flight }
    /// The number of the state.
    public var state: UInt32 { pointer.pointee.state }

    /// Why the connection ended, by a number, and which side said it; nil as long as it has not.
    public var ending: (reason: UInt32, by: UInt32)? {
        get { pointer.pointee.ending == 0 ? nil : (pointer.pointee.ending - 1, pointer.pointee.ended_by) }
        nonmutating set {
            pointer.pointee.ended_by = newValue?.by ?? 0
            pointer.pointee.ending = newValue.map { $0.reason &+ 1 } ?? 0
        }
    }

    /// How late a silent client was dropped.
    public var lateness: Duration? {
        get { pointer.pointee.lateness == 0 ? nil : Scoreboard.Slot.duration(pointer.pointee.lateness - 1) }
        nonmutating set { pointer.pointee.lateness = newValue.map { Scoreboard.Slot.ticks(max(.zero, $0)) &+ 1 } ?? 0 }
    }

    /// The last round trip.
    public var roundTrip: Duration? {
        pointer.pointee.round_trip == 0 ? nil : Scoreboard.Slot.duration(pointer.pointee.round_trip)
    }
    /// All round trips together.
    public var roundTripsSum: Duration { Scoreboard.Slot.duration(pointer.pointee.round_trips_sum) }
    /// How many round trips were counted in each bucket.
    public var roundTrips: [UInt32] {
        withUnsafeBytes(of: pointer.pointee.round_trips) { Array($0.bindMemory(to: UInt32.self)) }
    }
    /// The number of buckets.
    public static var buckets: Int { Int(CPOSIX_BUCKETS) }

    /// A round trip was proved, which belongs to `bucket`.
    public func addRoundTrip(_ time: Duration, bucket: Int) {
        let ticks = max(1, Scoreboard.Slot.ticks(time))
        pointer.pointee.round_trip = ticks
        pointer.pointee.round_trips_sum &+= ticks
        withUnsafeMutableBytes(of: &pointer.pointee.round_trips) { counts in
            counts.bindMemory(to: UInt32.self)[bucket] &+= 1
        }
    }

    /// What the client calls itself: the first 64 bytes of it.
    public var name: [UInt8] {
        get {
            let length = Int(min(pointer.pointee.name_length, UInt32(CPOSIX_NAME)))
            return withUnsafeBytes(of: pointer.pointee.name) { Array($0.prefix(length)) }
        }
        nonmutating set {
            withUnsafeMutableBytes(of: &pointer.pointee.name) { $0.copyBytes(from: newValue.prefix($0.count)) }
            pointer.pointee.name_length = UInt32(min(newValue.count, Int(CPOSIX_NAME)))
        }
    }

    // A shift costs nothing, where nanoseconds would cost a division of 128 bits. A tick is 1.07 ns, and one store.
    private static func ticks(_ duration: Duration) -> UInt64 {
        UInt64(truncatingIfNeeded: duration.attoseconds >> 30)
    }
    private static func duration(_ ticks: UInt64) -> Duration { Duration(attoseconds: Int128(ticks) << 30) }
}

/// What the parent tells all children, without a system call and without trusting them: it writes, and they can only
/// read.
public struct ReadOnlySharedMemory: @unchecked Sendable {
    private let written: UnsafeMutablePointer<UInt32>
    private let read: UnsafePointer<UInt32>

    /// A board of `count` numbers, all of them 0 (mmap(2)). Children see it from their fork on.
    public init(_ count: Int) throws(SystemError) {
        var written: UnsafeMutableRawPointer?
        var read: UnsafeRawPointer?
        let size = count * MemoryLayout<UInt32>.stride
        guard cposix_make_board(size, &written, &read) == 0 else { throw SystemError("mmap") }
        self.written = written!.bindMemory(to: UInt32.self, capacity: count)
        self.read = read!.bindMemory(to: UInt32.self, capacity: count)
    }

    /// The number at `index`. Only the process that made the board may write it.
    public subscript(index: Int) -> UInt32 {
        get { read[index] }
        nonmutating set { written[index] = newValue }
    }
}
