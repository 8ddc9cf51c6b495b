import Liveness

/// How a server ends: the first signal drains, the second kills, and so does the end of the grace.
struct Shutdown {
    enum Step: Equatable {
        case none
        /// Stop listening and tell every child.
        case drain
        /// Kill every child that is left.
        case kill
        /// Leave, though children that were killed have not been reaped.
        case leave
    }

    private enum State {
        case serving
        case draining(until: Instant)
        case killing(until: Instant)
    }

    /// A process that was killed and is not gone by then hangs in the kernel, and nobody can help it.
    private static let patience = Duration.seconds(5)

    private let grace: Duration
    private var state = State.serving

    init(grace: Duration) { self.grace = grace }

    var isServing: Bool { if case .serving = state { true } else { false } }

    var deadline: Instant? {
        switch state {
        case .serving: nil
        case .draining(let until), .killing(let until): until
        }
    }

    /// SIGTERM or SIGINT came.
    mutating func signalled(at now: Instant) -> Step {
        switch state {
        case .serving:
            state = .draining(until: now + grace)
            return .drain
        case .draining:
            state = .killing(until: now + Shutdown.patience)
            return .kill
        case .killing:
            return .none
        }
    }

    /// The loop woke up.
    mutating func woke(at now: Instant) -> Step {
        guard let deadline, deadline <= now else { return .none }
        if case .killing = state { return .leave }
        state = .killing(until: now + Shutdown.patience)
        return .kill
    }
}
