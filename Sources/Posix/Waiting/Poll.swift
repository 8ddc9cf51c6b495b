import Basics
import Glibc

/// One descriptor in a call of poll(2): what it is watched for, and what was found.
public struct PollEntry: Sendable {
    @usableFromInline var entry: pollfd

    /// Watches `descriptor`, which stays the caller's. poll(2) passes over -1.
    @inlinable public init(_ descriptor: Int32, reading: Bool = true, writing: Bool = false) {
        entry = pollfd(fd: descriptor, events: Int16((reading ? POLLIN : 0) | (writing ? POLLOUT : 0)), revents: 0)
    }

    /// Bytes, the end or an error can be read.
    @inlinable public var isReadable: Bool { entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 }
    /// The descriptor is closed: it would be ready for ever.
    var isInvalid: Bool { entry.revents & Int16(POLLNVAL) != 0 }
    /// Bytes or an error can be written.
    @inlinable public var isWritable: Bool { entry.revents & Int16(POLLOUT | POLLHUP | POLLERR) != 0 }
}

/// Waits until an entry is ready or `deadline` has come, and returns how many are ready (poll(2)).
///
/// The wait is rounded up to whole milliseconds; without that the caller would spin during the last one. After a signal
/// (EINTR) the wait goes on with the time that is left. Throws ENOMEM.
@discardableResult
public func poll(_ entries: inout [PollEntry], until deadline: Instant?) throws(SystemError) -> Int {
    while true {
        let ready = entries.withUnsafeMutableBytes { bytes in
            calling(.poll) {
                Glibc.poll(
                    bytes.assumingMemoryBound(to: pollfd.self).baseAddress,
                    nfds_t(bytes.count / MemoryLayout<pollfd>.size), milliseconds(until: deadline))
            }
        }
        if ready >= 0 {
            precondition(!entries.contains { $0.isInvalid }, "poll of a descriptor that is closed")
            return Int(ready)
        }
        guard errno == EINTR else { throw SystemError("poll") }
    }
}

/// The timeout in milliseconds of poll(2) and epoll_wait(2) for a wait until `deadline`, rounded up; -1 waits for ever.
public func milliseconds(until deadline: Instant?) -> Int32 {
    guard let deadline else { return -1 }
    let left = (deadline - .now).attoseconds
    guard left > 0 else { return 0 }
    // A millisecond is 5^15 times 2^15 attoseconds. Divided by 2^15, up to three days fit into 64 bits. A longer wait may
    // end early.
    let most: Int64 = 250_000_000
    let part: Int64 = 30_517_578_125
    let units = min((left + (1 << 15 - 1)) >> 15, Int128(most * part))
    return Int32((Int64(units) + part - 1) / part)
}
