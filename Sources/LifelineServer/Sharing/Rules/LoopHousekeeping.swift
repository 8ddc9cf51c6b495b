import Basics

/// What a shared process has to do beside serving its connections, and when.
struct LoopHousekeeping {
    /// How often the inboxes are read at most: the parent may write to thousands one after another.
    private static let inboxPause = Duration.milliseconds(5)
    private static let releasePause = Duration.seconds(5)
    private static let growthPause = Duration.seconds(5)

    /// Whether the parent has written to inboxes that were not read yet.
    var isCalled = false
    /// Whether much was freed that malloc(3) keeps.
    var hasFreeMemory = false
    /// How many commands the parent had sent when the inboxes were read last.
    var commandCount: UInt32 = 0
    /// How many connections the title names.
    var titledCount = -1
    private var readAt: Instant?
    private var releasedAt: Instant?
    private var measuredAt: Instant?

    /// When there is something to do at the latest; nil for never.
    var deadline: Instant? {
        guard isCalled || hasFreeMemory else { return nil }
        let reading = isCalled ? (readAt.map { $0 + LoopHousekeeping.inboxPause } ?? Instant(sinceStart: .zero)) : nil
        let releasing =
            hasFreeMemory ? (releasedAt.map { $0 + LoopHousekeeping.releasePause } ?? Instant(sinceStart: .zero)) : nil
        return earlier(reading, releasing)
    }

    /// Whether the inboxes are read now.
    mutating func takeCall(at now: Instant) -> Bool {
        guard isCalled, readAt.map({ $0 + LoopHousekeeping.inboxPause <= now }) ?? true else { return false }
        (isCalled, readAt) = (false, now)
        return true
    }

    /// Whether memory is given back now.
    mutating func takeRelease(at now: Instant) -> Bool {
        guard hasFreeMemory, releasedAt.map({ $0 + LoopHousekeeping.releasePause <= now }) ?? true else { return false }
        (hasFreeMemory, releasedAt) = (false, now)
        return true
    }

    /// Whether the size of the process is looked at now.
    mutating func takeMeasurement(at now: Instant) -> Bool {
        guard measuredAt.map({ $0 + LoopHousekeeping.growthPause <= now }) ?? true else { return false }
        measuredAt = now
        return true
    }
}
