import Glibc
import Synchronization

/// CLOCK_MONOTONIC.
package typealias Moment = SuspendingClock.Instant

extension Moment {
    package var age: Duration { duration(to: .now) }
}

extension Duration {
    package var milliseconds: Double { self / .milliseconds(1) }
}

/// What a test expected and did not get.
package struct Unexpected: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// The error of the call that has just failed.
package func systemError(_ call: String) -> Unexpected { Unexpected("\(call): \(String(cString: strerror(errno)))") }

/// Waits until one of `entries` is ready, and false where `deadline` passes first (poll(2)).
package func waitUntilReady(_ entries: inout [pollfd], until deadline: Moment) -> Bool {
    while true {
        let left = SuspendingClock.now.duration(to: deadline).milliseconds
        let count = poll(&entries, nfds_t(entries.count), Int32(max(0, left.rounded(.up))))
        if count > 0 { return true }
        if count == 0, left <= 0 { return false }
    }
}

package func waitUntilReady(_ descriptor: Int32, _ events: Int32, until deadline: Moment) -> Bool {
    var entries = [pollfd(fd: descriptor, events: Int16(events), revents: 0)]
    return waitUntilReady(&entries, until: deadline)
}

/// Looks at `condition` until it holds; for what no event tells of, such as the files in /proc.
package func eventually(within limit: Duration = .seconds(5), _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = SuspendingClock.now + limit
    while true {
        if try condition() { return true }
        if SuspendingClock.now >= deadline { return false }
        poll(nil, 0, 2)
    }
}

/// How late this machine is just now: a poll(2) of the length `duration` in this process, less that length.
package func machineLateness(over duration: Duration) -> Duration {
    let start = SuspendingClock.now
    poll(nil, 0, Int32(duration.milliseconds.rounded(.up)))
    return max(.zero, start.age - duration)
}

// MARK: Descriptors

/// The descriptors that this target's support has open, so that a test can tell whether it leaks one.
///
/// /proc/self/fd would not do: tests of other targets run in this process at the same time.
package enum OpenDescriptors {
    private static let open = Mutex<Set<Int32>>([])

    package static var count: Int { open.withLock { $0.count } }

    package static func add(_ descriptor: Int32) -> Int32 {
        open.withLock { _ = $0.insert(descriptor) }
        return descriptor
    }

    package static func close(_ descriptor: Int32) {
        open.withLock {
            guard $0.remove(descriptor) != nil else { return }
            _ = Glibc.close(descriptor)
        }
    }
}
