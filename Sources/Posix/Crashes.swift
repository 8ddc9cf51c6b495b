import CPosix
import Glibc

/// From now on a crash of this process, and of those forked from it, first says the process's `LastWords`
/// (sigaction(2)). One heap is used for all threads, which a limit on the address space counts.
public func watchCrashes() {
    cposix_watch_crashes()
    cposix_use_one_heap()
}

/// The calling thread can say the process's last words even when its stack is full (sigaltstack(2)).
public func prepareForCrash() { cposix_watch_crashes_of_thread() }

/// What the kernel sends for a process that crashes: bytes with a number in them.
public struct LastWords {
    private let offset: Int

    /// `words`, at most 128 bytes with a 32-bit number at `offset`, for the peer of `socket`, which is borrowed for the
    /// life of the process.
    public init(_ words: [UInt8], numberAt offset: Int, to socket: borrowing Descriptor, slot: Slots.Slot) {
        precondition(words.count <= 128)
        self.offset = offset
        cposix_prepare_last_words(socket.number, words, words.count, slot.pointer)
    }

    /// Whether they may be said now, and the number.
    public func set(mayBeSaid: Bool, number: UInt32) { cposix_set_last_words(mayBeSaid ? 1 : 0, offset, number) }
}

/// Shared memory with a slot for each child: written by the child without a system call, and read by the parent: for
/// the log when the child is dead, and to count the handshakes that go on. It is never trusted. What the parent orders is
/// written by it alone, and read by the child when a signal calls it.
public struct Slots {
    /// What a parent wants of a child.
    public enum Order: Equatable, Sendable {
        /// To send its client away, which may come back after so many milliseconds, and to go on until it has gone.
        case sendAway(retryAfter: UInt32)
        /// To end its connection.
        case end
    }

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

        /// What the parent wants of its child when it sends it a SIGTERM; nil where the signal is somebody else's.
        public var order: Order? {
            get {
                switch pointer.pointee.order {
                case 0: nil
                case 1: .sendAway(retryAfter: pointer.pointee.retry_after)
                default: .end
                }
            }
            nonmutating set {
                if case .sendAway(let retryAfter) = newValue { pointer.pointee.retry_after = retryAfter }
                pointer.pointee.order =
                    switch newValue {
                    case nil: 0
                    case .sendAway: 1
                    case .end: 2
                    }
            }
        }
    }

    private let slots: UnsafeMutablePointer<cposix_slot>
    private var free: [Int] = []
    private var used = 0

    /// `count` of them, which cost no memory until they are used (mmap(2)).
    public init(_ count: Int) throws(SystemError) {
        guard let slots = cposix_make_slots(count) else { throw SystemError("mmap") }
        self.slots = slots
    }

    /// A slot's own.
    public subscript(index: Int) -> Slot { Slot(pointer: slots + index) }

    /// An empty slot that is not taken; there must be one.
    public mutating func take() -> Int {
        let index = free.popLast() ?? used
        used = max(used, index + 1)
        slots[index] = cposix_slot()
        return index
    }

    /// Gives a slot back.
    public mutating func giveBack(_ index: Int) { free.append(index) }
}
