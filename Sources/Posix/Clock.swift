import Glibc
import Liveness

extension Instant {
    /// The monotonic clock, which no one sets (clock_gettime(2), CLOCK_MONOTONIC).
    public static var now: Instant {
        Instant(sinceStart: .nanoseconds(monotonicNanoseconds()))
    }
}

/// The same clock in whole nanoseconds, for who reads it a million times a second.
public func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The processor time that this process has used, its own and the kernel's for it (getrusage(2)).
public func processorTime() -> Duration {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return .seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + .microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
}

/// The wall clock, for logs alone.
public struct WallTime: Sendable {
    public let year: Int32, month: Int32, day: Int32, hour: Int32, minute: Int32, second: Int32, millisecond: Int32

    /// A time, in whatever place.
    public init(
        year: Int32, month: Int32, day: Int32, hour: Int32, minute: Int32, second: Int32, millisecond: Int32
    ) {
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second) = (hour, minute, second)
        self.millisecond = millisecond
    }

    /// The time now in UTC.
    public static var now: WallTime { now { gmtime_r($0, $1) } }
    /// The time now where this machine stands (TZ, /etc/localtime).
    public static var local: WallTime { now { localtime_r($0, $1) } }

    private static func now(_ divide: (UnsafePointer<time_t>, UnsafeMutablePointer<tm>) -> Void) -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        divide(&time.tv_sec, &parts)
        return WallTime(
            year: parts.tm_year + 1900, month: parts.tm_mon + 1, day: parts.tm_mday, hour: parts.tm_hour,
            minute: parts.tm_min, second: parts.tm_sec, millisecond: Int32(time.tv_nsec / 1_000_000))
    }
}
