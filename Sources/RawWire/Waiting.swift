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
///
/// The looks become rarer, so that what takes long costs little; they make it at most a twentieth longer.
package func eventually(
    within limit: Duration = RawPeer.patience, _ condition: () throws -> Bool
) rethrows -> Bool {
    let start = SuspendingClock.now
    while true {
        if try condition() { return true }
        let left = limit - start.age
        if left <= .zero { return false }
        let pause = min(start.age / 20, .milliseconds(10), left).milliseconds
        poll(nil, 0, Int32(max(1, pause.rounded(.up))))
    }
}

/// How late this machine is just now: a poll(2) of the length `duration` in this process, less that length.
package func machineLateness(over duration: Duration) -> Duration {
    let start = SuspendingClock.now
    poll(nil, 0, Int32(duration.milliseconds.rounded(.up)))
    return max(.zero, start.age - duration)
}

// MARK: Descriptors

/// The descriptors that the support of tests has open, each with its owner, so that a test can tell whether it leaks one.
///
/// /proc/self/fd would not do: other tests run in this process at the same time.
package enum OpenDescriptors {
    private static let owners = Mutex<[Int32: Int]>([:])
    private static let lastOwner = Atomic(0)

    /// The test that this task or thread runs; 0 outside of all.
    @TaskLocal package static var owner = 0

    /// Runs `body` as an owner of its own.
    package static func withOwner(_ body: () async throws -> Void) async rethrows {
        let owner = lastOwner.add(1, ordering: .relaxed).newValue
        try await $owner.withValue(owner) { try await body() }
    }

    /// How many of them this owner has.
    package static var count: Int {
        let owner = owner
        return owners.withLock { $0.values.count { $0 == owner } }
    }

    package static func add(_ descriptor: Int32) -> Int32 {
        let owner = owner
        owners.withLock { $0[descriptor] = owner }
        return descriptor
    }

    /// A pipe that no process inherits, both ends added.
    package static func pipe() throws -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [0, 0]
        let code = betweenStarts {
            let code = Glibc.pipe(&ends)
            if code == 0 { for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) } }
            return code
        }
        guard code == 0 else { throw systemError("pipe") }
        return (add(ends[0]), add(ends[1]))
    }

    /// The next connection of a listener that has one; no process inherits it.
    package static func accept(_ listener: Int32) throws -> Int32 {
        let accepted = betweenStarts {
            let accepted = Glibc.accept(listener, nil, nil)
            if accepted >= 0 { _ = fcntl(accepted, F_SETFD, FD_CLOEXEC) }
            return accepted
        }
        guard accepted >= 0 else { throw systemError("accept") }
        return add(accepted)
    }

    private static let starts = Mutex(())

    /// Makes a call while no other thread starts a process, or is one that does: a new process inherits what another thread
    /// has just opened and not yet marked.
    static func betweenStarts(_ call: () -> Int32) -> Int32 { starts.withLock { _ in call() } }

    package static func close(_ descriptor: Int32) {
        owners.withLock {
            guard $0.removeValue(forKey: descriptor) != nil else { return }
            _ = Glibc.close(descriptor)
        }
    }
}
