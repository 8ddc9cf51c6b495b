import Glibc
import let Posix.isSanitized
import Synchronization
import Testing
import RawWire

/// Judges a promise of the form "between `earliest` and `latest`".
///
/// A sample that is too early is a fault, always. One that is late may be the machine's: it may be as late as this process
/// was to wake up meanwhile, it is taken again, up to three times, and the best one counts.
func expectBetween(
    _ earliest: Duration, _ latest: Duration, sourceLocation: SourceLocation = #_sourceLocation,
    _ measure: () throws -> Duration
) throws {
    var samples: [Duration] = []
    repeat {
        let watch = LatenessWatch()
        let sample = try measure()
        let lateness = watch.end()
        #expect(sample >= earliest, "too early", sourceLocation: sourceLocation)
        if sample <= latest + lateness { return }
        samples.append(sample)
    } while samples.count < 3
    Issue.record("never within \(latest): \(samples)", sourceLocation: sourceLocation)
}

/// Judges a promise that is broken only by what takes `fault` or longer.
///
/// Whatever is late on a busy machine is measured with it, so it is taken again, up to three times. A fault takes that long
/// each time.
func expectSooner(
    than fault: Duration, sourceLocation: SourceLocation = #_sourceLocation, _ measure: () throws -> Duration
) throws {
    var samples: [Duration] = []
    repeat {
        samples.append(try measure())
        if samples.last! < fault { return }
    } while samples.count < 3
    Issue.record("never sooner than \(fault): \(samples)", sourceLocation: sourceLocation)
}

/// Sees how late this machine wakes a process that has slept, at its worst, until it is ended.
final class LatenessWatch: Sendable {
    private let worst = Atomic<Int64>(0)
    private let isOver = Atomic(false)

    init() {
        let thread = Unmanaged.passRetained(self)
        var id = pthread_t()
        let code = pthread_create(
            &id, nil,
            {
                let watch = Unmanaged<LatenessWatch>.fromOpaque($0!).takeRetainedValue()
                while !watch.isOver.load(ordering: .relaxed) {
                    let late = machineLateness(over: .milliseconds(5))
                    watch.worst.max(Int64(late / .nanoseconds(1)), ordering: .relaxed)
                }
                return nil
            }, thread.toOpaque())
        precondition(code == 0, "pthread_create")
        pthread_detach(id)
    }

    func end() -> Duration {
        isOver.store(true, ordering: .relaxed)
        return .nanoseconds(worst.load(ordering: .relaxed))
    }
}

/// The latest instant of what is promised for `time`: a tenth more, and 50 ms for the way and the machine; ten times as
/// much where a sanitizer makes every fork and exit of a process slow.
func withSlack(_ time: Duration) -> Duration {
    time + time / 10 + .milliseconds(isSanitized ? 500 : 50)
}

/// Runs `body` again, up to three times, where it throws: for a client that has to be in time itself, which a starved
/// test process is not. What the server does wrong it does each time.
func withPunctualClient(_ body: () throws -> Void) throws {
    for _ in 0..<2 {
        do { return try body() } catch {}
    }
    try body()
}

extension Trait where Self == ConditionTrait {
    /// A test that bounds the memory or the address space of a process: a sanitizer takes more of both than any bound.
    static var boundsMemory: Self {
        .disabled(if: isSanitized, "a sanitizer keeps freed memory, and needs terabytes of address space")
    }
}
