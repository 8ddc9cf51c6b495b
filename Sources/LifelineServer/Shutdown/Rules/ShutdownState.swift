import Basics

/// The life of a server, from its first connection to its last child.
///
/// It serves until the first SIGTERM, which drains: clients are sent away one by one. When the drain is over, children
/// end what is left, for as long as the grace. A second SIGTERM or the end of the grace kills. SIGQUIT ends all at
/// once. The server is over when nothing is left that it waits for.
struct ShutdownState {
    /// What is to be done as one state follows another.
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
    }

    private enum State {
        case serving
        case draining(until: Instant)
        case ending(until: Instant)
        case quitting(until: Instant)
        case killing(until: Instant)
        case over
    }

    /// A child that ends at once, and is not held up by its handler, is gone long before.
    private static let quickly = Duration.seconds(1)
    /// A process that was killed and is not gone by then hangs in the kernel. The server leaves without it.
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
    /// Whether nothing is waited for any more.
    var isOver: Bool { if case .over = state { true } else { false } }

    /// When the next step is due by itself.
    var deadline: Instant? {
        switch state {
        case .serving, .over: nil
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
        case .killing, .over:
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
        case .killing, .over:
            return .none
        }
    }

    /// The loop woke up: what is due by now.
    mutating func resumed(at now: Instant) -> Step {
        guard let deadline, deadline <= now else { return .none }
        switch state {
        case .draining:
            state = .ending(until: deadline + grace)
            return .end
        case .killing:
            state = .over
            return .none
        case .serving, .ending, .quitting, .over:
            return kill(at: now)
        }
    }

    /// A turn of the loop ends. A server that does not serve is over without processes, and without clients that it
    /// still has to tell why they are refused; once it quits or kills, such clients are not waited for.
    mutating func endTurn(hasProcesses: Bool, hasClients: Bool) {
        switch state {
        case .serving, .over: break
        case .draining, .ending: if !hasProcesses && !hasClients { state = .over }
        case .quitting, .killing: if !hasProcesses { state = .over }
        }
    }

    private mutating func kill(at now: Instant) -> Step {
        state = .killing(until: now + ShutdownState.patience)
        return .kill
    }
}
