import Basics

/// Decides when the supervisor hears that the parent is alive (WATCHDOG_USEC in sd_notify(3)).
///
/// It hears so at the end of a turn of the parent's loop. A loop that hangs as it reaps or accepts sends nothing. Nor
/// does one whose accept(2) has only failed for as long as the supervisor waits: a restart may help then. A fork(2)
/// that fails is no reason, for clients hear BUSY.
struct Watchdog {
    private let patience: Duration
    /// The loop must have come round by then.
    private(set) var due: Instant
    private var failingSince: Instant?

    /// A supervisor that waits for `patience`; it hears of the parent twice as often.
    init(patience: Duration, at now: Instant) {
        self.patience = patience
        due = now
    }

    /// accept(2) failed.
    mutating func acceptFailed(at now: Instant) { if failingSince == nil { failingSince = now } }

    /// accept(2) returned a connection, or none waits for it.
    mutating func accepted() { failingSince = nil }

    /// The loop has come round; whether the supervisor is to hear so now.
    mutating func turned(at now: Instant) -> Bool {
        guard due <= now else { return false }
        due = now + patience / 2
        return failingSince.map { now - $0 < patience } ?? true
    }
}
