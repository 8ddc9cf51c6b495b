import Basics

/// The instants at which a program is looked at, to see how much of its input it has read: the kernel does not tell of it.
///
/// The pauses double while nothing is read, and halve where something is.
struct ReadingLooks {
    private static let shortestPause = Duration.milliseconds(1)
    private static let longestInHaste = Duration.milliseconds(50)

    private var longestPause = Duration.seconds(1)
    private var pause = ReadingLooks.shortestPause
    /// When the next look is due.
    private(set) var next: Instant

    /// Looks that begin at once.
    init(at now: Instant) { next = now }

    /// Somebody waits for the program to have read all: from now on looks are at most 50 ms apart.
    mutating func hasten(at now: Instant) {
        longestPause = ReadingLooks.longestInHaste
        next = min(next, now + longestPause)
    }

    /// A look was taken.
    mutating func looked(hasRead: Bool, at now: Instant) {
        pause = hasRead ? max(pause / 2, ReadingLooks.shortestPause) : min(pause * 2, longestPause)
        next = now + pause
    }
}
