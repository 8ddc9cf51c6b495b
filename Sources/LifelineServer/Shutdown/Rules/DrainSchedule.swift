import Basics

/// Whom a drain sends away when, and when each may come back.
///
/// The clients leave in an order of chance, evenly over the window, and come back in the same order behind its end:
/// each stays away for about as long as the window is, nobody finds a server that is still on its way out, and they
/// are as spread when they come as when they went.
struct DrainSchedule {
    /// What one child is told.
    struct Departure: Equatable {
        let child: Int32
        /// For GOAWAY, in milliseconds from now.
        let retryAfter: UInt32
    }

    private struct Place {
        let child: Int32
        let leaves: Instant
        let returns: Instant
    }

    /// Clients come back over at least so long a time, however short the window.
    static let leastReturn = Duration.seconds(2)

    /// The next one last.
    private var places: [Place] = []
    private let end: Instant
    private let returning: Duration

    /// A drain of `children` that begins at `start`; `random` returns 0..<1, anew each time.
    init(of children: [Int32], over window: Duration, from start: Instant, random: () -> Double) {
        end = start + window
        returning = max(window, DrainSchedule.leastReturn)
        var left = children
        let count = Double(children.count)
        while !left.isEmpty {
            let chosen = Int(random() * Double(left.count))
            left.swapAt(chosen, left.count - 1)
            let index = Double(places.count)
            // Somewhere in a part of the window of its own.
            places.append(
                Place(
                    child: left.removeLast(), leaves: start + window * ((index + random()) / count),
                    returns: end + returning * ((index + random()) / count)))
        }
        places.reverse()
    }

    /// When the next child is to be told.
    var deadline: Instant? { places.last?.leaves }

    /// The next child whose time has come, if there is one.
    mutating func next(at now: Instant) -> Departure? {
        guard let place = places.last, place.leaves <= now else { return nil }
        places.removeLast()
        return Departure(child: place.child, retryAfter: milliseconds(from: now, to: place.returns))
    }

    /// The retry_after, in milliseconds, of a client that is told to go at `now` without having had a place.
    func retryAfter(at now: Instant, random: () -> Double) -> UInt32 {
        milliseconds(from: now, to: max(now, end) + returning * random())
    }
}

/// What is left until `instant`, in whole milliseconds rounded up: for a retry_after.
func milliseconds(from now: Instant, to instant: Instant) -> UInt32 {
    UInt32(clamping: Int(((instant - now) / .milliseconds(1)).rounded(.up)))
}
