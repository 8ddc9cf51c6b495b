import Glibc
import RawWire

/// Runs `serve` with a raw server on a thread of its own while `body` uses that server's port, and waits for both.
///
/// A thread, because `serve` blocks, and the threads that run tasks are few.
func withRawServer(
    _ serve: @escaping @Sendable (RawListener) throws -> Void, _ body: @Sendable (UInt16) async throws -> Void
) async throws {
    // Only the thread uses it until that has ended.
    nonisolated(unsafe) let listener = try RawListener()
    let port = listener.address.port ?? 0
    async let served: Void = onThread { try serve(listener) }
    do {
        try await body(port)
    } catch {
        do { try await served } catch let other { throw Unexpected("\(error)\nThe raw server: \(other)") }
        throw error
    }
    try await served
}

/// What `work` returns on a thread that is made for it.
func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    // What the thread opens is this test's.
    let owner = OpenDescriptors.owner
    return try await withCheckedThrowingContinuation { continuation in
        let job = Unmanaged.passRetained(
            Job {
                OpenDescriptors.$owner.withValue(owner) { continuation.resume(with: Result(catching: work)) }
            })
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            {
                Unmanaged<Job>.fromOpaque($0!).takeRetainedValue().run()
                return nil
            }, job.toOpaque())
        precondition(code == 0, "pthread_create")
        pthread_detach(thread)
    }
}

/// An expectation on such a thread, where `#expect` does not know which test it belongs to.
func demand(_ holds: Bool, _ text: @autoclosure () -> String = "", line: Int = #line) throws {
    guard holds else { throw Unexpected("line \(line): \(text())") }
}

/// What `body` throws.
func failure<Value>(_ body: () async throws -> Value) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

private final class Job {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}
