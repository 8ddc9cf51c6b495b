import Framing

/// What the program has taken of the messages that came.
struct TakenMessages: Equatable, Sendable {
    /// Whether the program has begun to read them. Until then the oldest make room for others.
    var isRead = false
    /// The number of messages of this connection that the program has taken.
    var handled = 0
    /// The number of them that wait no longer: taken or dropped.
    var gone = 0
    /// The cost of those, or of all that came where the program does not read.
    var freed = 0
    /// The cost of messages of earlier connections that the program has still to read.
    var older = 0
}

/// The messages of the server on a connection where credit is in force: how far the server may go, and what it is told
/// (Protocol.md, section 3.8).
struct MessagesFromServer: Sendable {
    /// What is offered: the cost of the messages that may wait.
    private let window: Int
    /// The greatest numbers that the server was told.
    private var told: Credit
    /// The cost and the number of the messages that came whole.
    private var cost: UInt64 = 0
    private var count = 0
    /// The bytes of the message that is coming.
    private var length = 0
    private var inbox = TakenMessages()

    /// Begins with the limit in HELLO.
    init(window: Int, limit: UInt64) {
        self.window = window
        told = Credit(limit: limit, handled: 0)
    }

    /// Counts a part of a message. Throws where the message may not begin (3.8-2).
    mutating func add(_ part: MessagePart) throws(Violation) {
        if part.isFirst {
            guard cost < told.limit else {
                throw Violation(
                    .protocolError, "a MESSAGE begins after messages that cost \(cost); the limit is \(told.limit)")
            }
            length = 0
        }
        length += part.range.count
        guard part.isLast else { return }
        cost += UInt64(Credit.cost(of: length))
        count += 1
    }

    /// Takes what the program has taken. Returns the CREDIT that is due: half of the window is free again (3.8-5). So the
    /// server never waits while nothing else does (3.8-4).
    mutating func update(_ inbox: TakenMessages) -> Credit? {
        self.inbox = inbox
        let credit = present
        let growth = credit.limit - told.limit
        guard growth > 0, growth >= window / 2 else { return nil }
        told = credit
        return credit
    }

    /// The CREDIT that goes ahead of PONG and CLOSE, where more messages are handled than was told (3.8-8, 3.8-9).
    mutating func news() -> Credit? {
        let credit = present
        guard credit.handled > told.handled else { return nil }
        told = credit
        return credit
    }

    private var present: Credit {
        Credit(
            limit: max(told.limit, UInt64(max(inbox.freed + window - inbox.older, 0))),
            handled: max(told.handled, UInt64(inbox.handled)))
    }

    /// Whether the program has had all messages, or does not read them.
    var isSettled: Bool { !inbox.isRead || inbox.gone >= count }
}
