import Glibc
import RawWire
import Synchronization
import Testing

/// All tests that start a process, in lanes that run beside each other: one for each folder.
///
/// The tests of a lane run one after another, so few of them compete for the machine at a time, and none waits for its
/// turn while its time limit passes.
enum Live {
    /// The command `conformance` on our own two sides.
    @Suite(.lane, .serialized, .timeLimit(.minutes(4))) enum Conformance {}
    /// Our two sides with each other, with the second implementation, and with the bytes of the document.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Interoperation {}
    /// Bytes, frames and the ends of connections: Protocol.md, sections 3, 4, 6, 7 and 10.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Wire {}
    /// Protocol.md, section 5, on both sides.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Heartbeats {}
    /// The client as a command.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Client {}
    /// What the client is made of: its library, and the load generator.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Library {}
    /// Handlers.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Work {}
    /// Programs as handlers.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Programs {}
    /// The processes of the server, and what becomes of the others when one fails.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Children {}
    /// Clients that the server lets in, and those that it refuses.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Access {}
    /// The control socket and the metrics.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Administration {}
    /// Messages from connection to connection, and from back-ends.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Topics {}
    /// The log, and where it goes.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Logging {}
    /// The server as its operator configures, starts and ends it.
    @Suite(.lane, .serialized, .timeLimit(.minutes(3))) enum Operations {}
}

/// Runs each test on a thread that it may block, with an account of its own for descriptors.
struct Lane: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        try await OpenDescriptors.withOwner {
            try await withTaskExecutorPreference(BlockingExecutor.shared) { try await function() }
        }
    }
}

extension Trait where Self == Lane {
    static var lane: Self { Lane() }
}

/// Threads for tasks that block. Swift itself has a thread for each core, and two tests that wait would stop all others.
final class BlockingExecutor: TaskExecutor {
    static let shared = BlockingExecutor(threads: 24)

    /// Guarded by `mutex`.
    nonisolated(unsafe) private var jobs: [UnownedJob] = []
    nonisolated(unsafe) private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    nonisolated(unsafe) private let isThere = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Its threads run for as long as the process.
    private init(threads: Int) {
        // A test that waits competes with those of all other lanes.
        RawPeer.secondsOfPatience.store(20, ordering: .relaxed)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(isThere, nil)
        for _ in 0..<threads {
            var thread = pthread_t()
            let code = pthread_create(
                &thread, nil,
                {
                    Unmanaged<BlockingExecutor>.fromOpaque($0!).takeUnretainedValue().work()
                }, Unmanaged.passRetained(self).toOpaque())
            precondition(code == 0, "pthread_create")
            pthread_detach(thread)
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(mutex)
        jobs.append(job)
        pthread_mutex_unlock(mutex)
        pthread_cond_signal(isThere)
    }

    private func work() -> Never {
        while true {
            pthread_mutex_lock(mutex)
            while jobs.isEmpty { pthread_cond_wait(isThere, mutex) }
            let job = jobs.removeFirst()
            pthread_mutex_unlock(mutex)
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
