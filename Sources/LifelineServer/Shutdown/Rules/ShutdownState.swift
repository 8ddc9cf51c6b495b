import Basics

/// How a server ends: the first SIGTERM drains and then ends what is left, a second signal kills, and so does the end of
/// the grace. SIGQUIT ends everything at once.
struct ShutdownState {
    enum Step: Equatable {
        case none
        /// Stop listening, and send the clients away one by one.
        case drain
        /// The drain is over: tell every child to end its connection.
        case end
        /// Stop listening, and tell every child to end at once.
        case quit
        /// Kill every child that is left.
        case kill
        /// Leave, though children that were killed have not been reaped.
        case leave
    }

    private enum State {
        case serving
        case draining(until: Instant)
        case ending(until: Instant)
        case quitting(until: Instant)
        case killing(until: Instant)
    }

    /// A child that ends at once, and is not held up by its handler, is gone long before.
    private static let quickly = Duration.seconds(1)
    /// A process that was killed and is not gone by then hangs in the kernel, and nobody can help it.
    private static let patience = Duration.seconds(5)

    private let drain: Duration
    private let grace: Duration
    private var state = State.serving

    /// `drain` is how long clients are sent away, and `grace` how long what is left may take after that.
    init(drain: Duration, grace: Duration) {
        self.drain = drain
        self.grace = grace
    }

    var isServing: Bool { if case .serving = state { true } else { false } }

    /// Whether nothing but the children is waited for.
    var isAtOnce: Bool {
        switch state {
        case .quitting, .killing: true
        case .serving, .draining, .ending: false
        }
    }

    var deadline: Instant? {
        switch state {
        case .serving: nil
        case .draining(let until), .ending(let until), .quitting(let until), .killing(let until): until
        }
    }

    /// SIGTERM or SIGINT came.
    mutating func signalled(at now: Instant) -> Step {
        switch state {
        case .serving:
            state = .draining(until: now + drain)
            return .drain
        case .draining, .ending, .quitting:
            return kill(at: now)
        case .killing:
            return .none
        }
    }

    /// SIGQUIT came.
    mutating func quit(at now: Instant) -> Step {
        switch state {
        case .serving, .draining, .ending:
            state = .quitting(until: now + ShutdownState.quickly)
            return .quit
        case .quitting:
            return kill(at: now)
        case .killing:
            return .none
        }
    }

    /// The loop woke up.
    mutating func woke(at now: Instant) -> Step {
        guard let deadline, deadline <= now else { return .none }
        switch state {
        case .draining:
            state = .ending(until: deadline + grace)
            return .end
        case .killing:
            return .leave
        case .serving, .ending, .quitting:
            return kill(at: now)
        }
    }

    private mutating func kill(at now: Instant) -> Step {
        state = .killing(until: now + ShutdownState.patience)
        return .kill
    }
}
