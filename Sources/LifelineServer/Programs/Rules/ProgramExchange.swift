import Basics

/// The request or message that a program works on, and the time that its answer may take.
struct ProgramExchange {
    private enum Stage {
        case none
        /// A message, until it waits no more to be written.
        case message
        /// A request that waits for its answer; `sent` bytes of it have been passed on.
        case request(UInt32, sent: Int)
        /// A request that has its ending. The program may still answer it.
        case ended(UInt32)
    }

    private let timeout: Duration?
    private var current = Stage.none
    /// When the answer is late; nil for never.
    private(set) var deadline: Instant?

    init(timeout: Duration?) { self.timeout = timeout }

    var isNone: Bool { if case .none = current { true } else { false } }
    var isMessage: Bool { if case .message = current { true } else { false } }

    /// The request, with an ending or without.
    var request: UInt32? {
        switch current {
        case .request(let id, _), .ended(let id): id
        case .none, .message: nil
        }
    }

    /// The request, where it has no ending.
    var unanswered: UInt32? { if case .request(let id, _) = current { id } else { nil } }

    /// How many bytes of the answer have been passed on.
    var sent: Int { if case .request(_, let sent) = current { sent } else { 0 } }

    mutating func begin(_ id: UInt32, at now: Instant) {
        current = .request(id, sent: 0)
        deadline = timeout.map { now + $0 }
    }

    mutating func beginMessage() { current = .message }

    /// A part of the answer is passed on.
    mutating func passed(_ count: Int) {
        if case .request(let id, let sent) = current { current = .request(id, sent: sent + count) }
    }

    /// The request has its ending, whatever the program says.
    mutating func cancel() {
        if case .request(let id, _) = current { current = .ended(id) }
    }

    /// No answer is awaited any more.
    mutating func stopClock() { deadline = nil }

    /// The program can have the next request or message.
    mutating func finish() {
        current = .none
        deadline = nil
    }

    /// The time that has passed without an answer, where that is all that the program had.
    func overrun(at now: Instant) -> Duration? { deadline.map { $0 <= now } ?? false ? timeout : nil }

    /// Gives the program its time once more, where an answer is still awaited.
    mutating func restartClock(at now: Instant) {
        if let timeout, deadline != nil { deadline = now + timeout }
    }
}
