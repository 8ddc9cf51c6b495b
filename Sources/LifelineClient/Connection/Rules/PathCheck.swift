import Basics
import Framing

/// Whether dead_after can work on the path: a round trip takes less than half of it (Protocol.md, section 5.13).
///
/// One long round trip may be an accident: a lost packet delays all PINGs that are on their way. So it takes two that
/// follow each other, without any that is short enough. The first is that of HELLO and WELCOME: where a round trip takes
/// longer than dead_after, no PONG ever comes in time.
///
/// As a rule the first PONG decides. What is measured until then lies in a box, because the connection is copied often.
struct PathCheck: Sendable {
    private enum State: Sendable {
        case new
        indirect case greeting(since: Instant)
        indirect case measuring(Measured)
        indirect case tooLong(Duration)
        /// A round trip was short enough, or the program knows.
        case decided
    }

    private struct Measured: Sendable {
        let half: Duration
        /// The least round trip, and when the last one ended that counts; all of them were too long.
        let trips: (least: Duration, until: Instant)?
    }

    private var state = State.new

    /// Records that the kernel has accepted bytes; the first are HELLO.
    @inline(__always) mutating func wrote(at now: Instant) {
        if case .new = state { state = .greeting(since: now) }
    }

    /// Records that WELCOME came, and returns the round trip that it ended.
    mutating func welcomed(deadAfter: Duration, at now: Instant) -> Duration? {
        guard case .greeting(let since) = state else { return nil }
        state = .measuring(Measured(half: deadAfter / 2, trips: nil))
        measured(now - since, at: now)
        return now - since
    }

    /// Records a round trip that ended at `now`.
    mutating func measured(_ roundTrip: Duration, at now: Instant) {
        guard case .measuring(let before) = state else { return }
        guard roundTrip > before.half else {
            state = .decided
            return
        }
        guard let trips = before.trips else {
            state = .measuring(Measured(half: before.half, trips: (roundTrip, now)))
            return
        }
        let least = min(trips.least, roundTrip)
        state =
            trips.until + roundTrip <= now
            ? .tooLong(least) : .measuring(Measured(half: before.half, trips: (least, trips.until)))
    }

    /// Records that half of dead_after passed without the answer to a PING.
    mutating func missed() {
        if case .measuring(let before) = state, let trips = before.trips { state = .tooLong(trips.least) }
    }

    /// Records that the connection ended with `code`, the server's or this side's.
    mutating func ended(by code: Code) {
        if code == .silent || code == .noRoundTrip { missed() }
    }

    /// The least round trip, where it is too long and was not returned before.
    mutating func takeTooLong() -> Duration? {
        guard case .tooLong(let least) = state else { return nil }
        state = .decided
        return least
    }
}
