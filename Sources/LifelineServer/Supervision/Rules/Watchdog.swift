import Basics

/// When to tell a supervisor that the parent is alive (WATCHDOG_USEC in sd_notify(3)).
///
/// It is told at the end of a turn of the parent's loop, which has reaped what ended and accepted what came, so a loop
/// that hangs in either tells nothing. It is told nothing, too, when accept(2) has done nothing but fail for as long as
/// the supervisor waits: a new start may help then. That fork(2) fails is no reason: the clients are told BUSY.
struct Watchdog {
    private let patience: Duration
    /// The loop must have come round by then.
    private(set) var due: Instant
    private var failingSince: Instant?

    /// A supervisor that waits for `patience`; it is told twice as often.
    init(patience: Duration, at now: Instant) {
        self.patience = patience
        due = now
    }

    /// accept(2) failed.
    mutating func acceptFailed(at now: Instant) { if failingSince == nil { failingSince = now } }

    /// accept(2) returned a connection, or none waits for it.
    mutating func accepted() { failingSince = nil }

    /// The loop has come round; whether the supervisor is to be told now.
    mutating func turned(at now: Instant) -> Bool {
        guard due <= now else { return false }
        due = now + patience / 2
        return failingSince.map { now - $0 < patience } ?? true
    }
}
