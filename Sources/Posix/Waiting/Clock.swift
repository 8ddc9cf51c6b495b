import Basics
import Glibc

extension Instant {
    /// The instant now on the monotonic clock, which cannot be set (CLOCK_MONOTONIC in clock_gettime(2)).
    public static var now: Instant {
        Instant(sinceStart: .nanoseconds(monotonicNanoseconds()))
    }
}

/// The time on the monotonic clock in nanoseconds, for a loop that reads it a million times a second.
public func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The processor time of this process so far, in user space and in the kernel (getrusage(2)).
public func processorTime() -> Duration {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return .seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + .microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
}

/// The time for which this process's first thread was ready to run and another one had the processor (/proc/self/schedstat);
/// zero where the kernel does not tell.
public func runQueueTime() -> Duration {
    guard let bytes = try? contents(ofTextFile: "/proc/self/schedstat", most: 256) else { return .zero }
    let numbers = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    return numbers.count > 1 ? .nanoseconds(Int64(numbers[1]) ?? 0) : .zero
}

/// The time since the start of 1970 on the wall clock, which can be set.
public func timeSince1970() -> Duration {
    let time = WallTime.sinceEpoch
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

/// A time on the wall clock. Only time stamps of the log use it.
public struct WallTime: Sendable {
    public let year: Int32, month: Int32, day: Int32, hour: Int32, minute: Int32, second: Int32, millisecond: Int32

    /// A time by its parts, in any time zone.
    public init(
        year: Int32, month: Int32, day: Int32, hour: Int32, minute: Int32, second: Int32, millisecond: Int32
    ) {
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second) = (hour, minute, second)
        self.millisecond = millisecond
    }

    /// The time in UTC, `milliseconds` after the start of 1970.
    ///
    /// It is computed here, because gmtime_r(3) takes a lock and looks for time zones.
    public init(milliseconds: Int64) {
        let second = WallTime.divide(milliseconds, by: 1000)
        let minute = WallTime.divide(second.whole, by: 60)
        let hour = WallTime.divide(minute.whole, by: 60)
        let day = WallTime.divide(hour.whole, by: 24)
        // Years begin in March here, so that the day that not all of them have is their last.
        let era = WallTime.divide(day.whole + 719_468, by: 146_097)
        let yearOfEra = (era.rest - era.rest / 1460 + era.rest / 36524 - era.rest / 146_096) / 365
        let dayOfYear = era.rest - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        self.init(
            year: Int32(400 * era.whole + yearOfEra + (month < 10 ? 0 : 1)),
            month: Int32(month < 10 ? month + 3 : month - 9), day: Int32(dayOfYear - (153 * month + 2) / 5 + 1),
            hour: Int32(day.rest), minute: Int32(hour.rest), second: Int32(minute.rest),
            millisecond: Int32(second.rest))
    }

    private static func divide(_ number: Int64, by divisor: Int64) -> (whole: Int64, rest: Int64) {
        let (whole, rest) = number.quotientAndRemainder(dividingBy: divisor)
        return rest < 0 ? (whole - 1, rest + divisor) : (whole, rest)
    }

    fileprivate static var sinceEpoch: timespec {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time
    }

    /// The time now in UTC.
    public static var now: WallTime {
        let time = sinceEpoch
        return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// The time now in the time zone of this machine (TZ, /etc/localtime).
    public static var local: WallTime {
        var time = sinceEpoch
        var parts = tm()
        localtime_r(&time.tv_sec, &parts)
        return WallTime(
            year: parts.tm_year + 1900, month: parts.tm_mon + 1, day: parts.tm_mday, hour: parts.tm_hour,
            minute: parts.tm_min, second: parts.tm_sec, millisecond: Int32(time.tv_nsec / 1_000_000))
    }
}
