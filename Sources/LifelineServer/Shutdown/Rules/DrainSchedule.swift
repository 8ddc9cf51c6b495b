import Basics

/// A connection that may end before its turn comes; its slot is another's then.
struct LiveConnection: Equatable {
    let slot: Int
    let connection: UInt64
}

/// When a drain sends each client away, and when each may return.
///
/// Clients leave in an order of chance, evenly over the window, and return in the same order after its end. Each stays
/// away for about as long as the window is. None finds a server that is still on its way out, and they arrive as evenly
/// as they left.
struct DrainSchedule {
    /// When one client leaves, and when it may return.
    struct Departure: Equatable {
        let client: LiveConnection
        /// For GOAWAY, in milliseconds from now.
        let retryAfter: UInt32
    }

    private struct Entry {
        let client: LiveConnection
        let leavesAt: Instant
        let returnsAt: Instant
    }

    /// Clients return over at least this time, however short the window.
    static let leastReturn = Duration.seconds(2)

    /// The next one last.
    private var entries: [Entry] = []
    private let end: Instant
    private let returning: Duration

    /// A drain that begins at `start`.
    ///
    /// - Parameters:
    ///   - clients: The connections.
    ///   - window: Over how long they are sent away.
    ///   - start: When the first may be sent away.
    ///   - random: Returns 0..<1, anew each time.
    init(of clients: [LiveConnection], over window: Duration, from start: Instant, random: () -> Double) {
        end = start + window
        returning = max(window, DrainSchedule.leastReturn)
        var left = clients
        let count = Double(clients.count)
        while !left.isEmpty {
            let chosen = Int(random() * Double(left.count))
            left.swapAt(chosen, left.count - 1)
            let index = Double(entries.count)
            // Each has a part of the window of its own, and leaves somewhere in it.
            entries.append(
                Entry(
                    client: left.removeLast(), leavesAt: start + window * ((index + random()) / count),
                    returnsAt: end + returning * ((index + random()) / count)))
        }
        entries.reverse()
    }

    /// When the next client leaves; nil after the last.
    var deadline: Instant? { entries.last?.leavesAt }

    /// Removes and returns the next client whose time has come; nil where there is none.
    mutating func next(at now: Instant) -> Departure? {
        guard let entry = entries.last, entry.leavesAt <= now else { return nil }
        entries.removeLast()
        return Departure(client: entry.client, retryAfter: milliseconds(from: now, to: entry.returnsAt))
    }

    /// The retry_after, in milliseconds, of a client that has to go at `now` and is not in the schedule.
    func retryAfter(at now: Instant, random: () -> Double) -> UInt32 {
        milliseconds(from: now, to: max(now, end) + returning * random())
    }
}

/// What is left until `instant`, in whole milliseconds rounded up: for a retry_after.
func milliseconds(from now: Instant, to instant: Instant) -> UInt32 {
    UInt32(clamping: Int(((instant - now) / .milliseconds(1)).rounded(.up)))
}
