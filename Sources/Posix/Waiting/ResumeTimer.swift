import Basics
import CPosix
import Glibc

/// A descriptor that wakes a loop when the machine resumes from suspend (TFD_TIMER_CANCEL_ON_SET in timerfd_create(2)).
///
/// The kernel cancels the timer also when somebody sets the time of day. `SuspendMeter` tells which it was.
public struct ResumeTimer: ~Copyable {
    private let descriptor: Descriptor?

    /// The descriptor, for poll(2) and epoll(7); borrowed. It is nil where the kernel gave none. The loop then learns of a
    /// suspend by nothing but its own lateness.
    public let number: Int32?

    /// Arms the timer.
    public init() {
        let timer = calling(.timerfd) { cposix_resume_timer() }
        #if DEBUG
            let number = ForcedSuspend.descriptor(inPlaceOf: timer)
        #else
            let number = timer
        #endif
        self.number = number < 0 ? nil : number
        descriptor = number < 0 ? nil : Descriptor(owning: number)
    }

    /// Handles the descriptor being readable: from now on it waits for the next time.
    public func clear() {
        guard let number else { return }
        #if DEBUG
            if ForcedSuspend.take(from: number) { return }
        #endif
        var expirations: UInt64 = 0
        // It fails with ECANCELED, and the timer stays armed.
        _ = Glibc.read(number, &expirations, 8)
    }
}

extension SuspendMeter.Reading {
    /// CLOCK_MONOTONIC and CLOCK_BOOTTIME, which goes on in suspend (clock_gettime(2)).
    public static var now: Self {
        #if DEBUG
            let forced = ForcedSuspend.total
        #else
            let forced = Duration.zero
        #endif
        let before = time(CLOCK_MONOTONIC)
        let sleepless = time(CLOCK_BOOTTIME) + forced
        return Self(before: before, sleepless: sleepless, after: time(CLOCK_MONOTONIC))
    }

    private static func time(_ clock: clockid_t) -> Duration {
        var time = timespec()
        clock_gettime(clock, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
