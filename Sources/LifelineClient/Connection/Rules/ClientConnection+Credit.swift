import Framing

// Credit for messages, both ways.
extension ClientConnection {
    /// Both sides have agreed on credit: the limits of the handshake hold.
    mutating func beginCredit(_ welcome: Welcome) {
        guard decoder.agreement.credit, let limit = welcome.options.credit, let offered = hello.options.credit else {
            return
        }
        toServer.begin(limit: limit)
        fromServer = MessagesFromServer(window: window ?? Int(clamping: offered), limit: offered)
    }

    /// The messages that may follow at once; nil where none may, or the connection is about to end. `ended` is the number of
    /// messages of the connections before.
    func messageAllowance(after ended: Int) -> MessageAllowance? {
        guard let welcome, takesRequests, takesMessages else { return nil }
        return MessageAllowance(after: ended + toServer.sent, toServer, queued: outbox.cost, welcome)
    }

    /// Queues messages of an allowance.
    mutating func accept(_ messages: [[UInt8]]) {
        for message in messages {
            outbox.send(.message, message[...], cost: message.count)
            toServer.send(message.count)
        }
    }

    /// Takes what the program has read, and grants what that makes room for.
    mutating func taken(_ inbox: TakenMessages) {
        guard lingeringClose == nil, let credit = fromServer?.update(inbox) else { return }
        outbox.grant(credit)
    }

    /// Grants what is free where the program has read more than the server was told.
    mutating func grantNews() {
        if let credit = fromServer?.news() { outbox.grant(credit) }
    }

    /// Whether the program has had all messages, or reads none.
    var isRead: Bool { fromServer?.isSettled ?? true }

    /// Leaves behind the messages that the server has not told to be handled: it tells that before its CLOSE (3.8-10).
    mutating func leave() {
        guard !hasLeft, toServer.unconfirmed > 0, lingeringClose == nil else { return }
        hasLeft = true
        outbox.leave(GoAway(.normal))
    }
}
