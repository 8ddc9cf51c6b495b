import Basics
import CPosix

/// One event of epoll(7): a descriptor that is ready.
public struct ReadyEvent: Sendable {
    /// The key that the descriptor was added with.
    public let key: UInt64
    /// Bytes, the end or an error can be read.
    public let isReadable: Bool
    /// Bytes or an error can be written.
    public let isWritable: Bool
}

/// A set of descriptors that an event loop waits for with epoll(7), level-triggered.
///
/// It suits a loop with thousands of descriptors where few are ready at a time. A descriptor leaves the set when it is
/// closed.
public struct EventPoll: ~Copyable {
    private let descriptor: Descriptor
    private var events: [cposix_event]

    /// Makes an empty set, which tells of up to `most` events at a time and of no more than 512 (epoll_create1(2)). Throws
    /// EMFILE, ENFILE and ENOMEM.
    public init(most: Int = 64) throws(SystemError) {
        let number = calling(.epollCreate) { cposix_epoll() }
        guard number >= 0 else { throw SystemError("epoll_create1") }
        descriptor = Descriptor(owning: number)
        events = [cposix_event](repeating: cposix_event(), count: min(most, Int(CPOSIX_EVENTS)))
    }

    /// Adds the descriptor `number` (EPOLL_CTL_ADD in epoll_ctl(2)). Throws ENOSPC and ENOMEM.
    ///
    /// - Parameters:
    ///   - number: borrowed; open until it leaves the set
    ///   - key: comes back with the descriptor's events
    ///   - reading: whether bytes are waited for
    ///   - writing: whether room is waited for
    public func add(_ number: Int32, key: UInt64, reading: Bool, writing: Bool) throws(SystemError) {
        let result = calling(.epollControl) {
            cposix_epoll_add(descriptor.number, number, key, reading ? 1 : 0, writing ? 1 : 0)
        }
        guard result == 0 else { throw SystemError("epoll_ctl") }
    }

    /// Changes what `number` is waited for (EPOLL_CTL_MOD in epoll_ctl(2)). Traps where it was never added.
    public func change(_ number: Int32, key: UInt64, reading: Bool, writing: Bool) {
        let result = cposix_epoll_change(descriptor.number, number, key, reading ? 1 : 0, writing ? 1 : 0)
        precondition(result == 0, "epoll_ctl of a descriptor that was never added")
    }

    /// Waits for `number` no more (EPOLL_CTL_DEL in epoll_ctl(2)). Traps where it was never added.
    public func remove(_ number: Int32) {
        let result = cposix_epoll_remove(descriptor.number, number)
        precondition(result == 0, "epoll_ctl of a descriptor that was never added")
    }

    /// Waits until a descriptor is ready or `deadline` has come, and calls `body` for each event (epoll_wait(2)).
    public mutating func wait(until deadline: Instant?, _ body: (ReadyEvent) -> Void) throws(SystemError) {
        let count = retryingInterrupted(.epollWait) {
            cposix_epoll_wait(descriptor.number, &events, Int32(events.count), milliseconds(until: deadline))
        }
        guard count >= 0 else { throw SystemError("epoll_wait") }
        for index in 0..<Int(count) { body(self[index]) }
    }

    /// Waits until a descriptor is ready, for up to `nanoseconds`, and returns the number of events.
    ///
    /// Before Linux 5.11, which brought epoll_pwait2(2), the wait is rounded up to whole milliseconds.
    public mutating func wait(nanoseconds: Int64) throws(SystemError) -> Int {
        let count = retryingInterrupted(.preciseEpollWait) {
            cposix_epoll_wait_precisely(descriptor.number, &events, Int32(events.count), max(0, nanoseconds))
        }
        guard count >= 0 else { throw SystemError("epoll_pwait2") }
        return Int(count)
    }

    /// An event of the last `wait`, from 0.
    public subscript(index: Int) -> ReadyEvent {
        let event = events[index]
        return ReadyEvent(key: event.key, isReadable: event.readable != 0, isWritable: event.writable != 0)
    }
}

/// Lets the waits of this thread end within a nanosecond of their time, in place of 50 us (PR_SET_TIMERSLACK in prctl(2)).
///
/// For measurements: the processor sleeps less.
public func wakePrecisely() { cposix_wake_precisely() }
