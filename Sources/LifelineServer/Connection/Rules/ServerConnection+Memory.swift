import Framing

// What the connection holds, and what the budget of all connections leaves it.
extension ServerConnection {
    /// What it holds for its client, in bytes: requests and messages that wait, are worked on or come in chunks, and the
    /// responses and messages that the client has not taken. What is not ended of a response in parts is not in it.
    @inline(__always) var held: Int { requests.held + incoming.held + outbox.cost + heldCost + (news?.bytes ?? 0) }
    /// What messages cost that wait because an empty one has to.
    @inline(__always) var heldCost: Int { heldMessages?.cost ?? 0 }
    /// Whether there are any.
    @inline(__always) var holdsMessages: Bool { !(heldMessages?.isEmpty ?? true) }

    /// Whether the budget has no room for `count` bytes more of a request.
    @inline(__always) func isOverBudget(with count: Int) -> Bool {
        share.isLimited && !share.allows(count + RequestQueue.requestCost, holding: held)
    }

    /// Why a request is refused that the budget has no room for.
    func overBudget(_ request: UInt32) -> Failure {
        // A second or two, so that not all come back at once. Fibonacci hashing: the first bits are spread evenly.
        let spread = UInt32(((id &+ UInt64(request)) &* 0x9E37_79B9_7F4A_7C15) >> 54)
        return Failure(.refused, "what waits at this server fills its memory budget", retryAfter: 1000 + spread)
    }

    /// What messages of the handler may cost, by what is free of the budget.
    @inline(__always) var roomInBudget: Int { share.isLimited ? share.room(holding: held) : .max }

    /// What may be offered for further messages of the client, by what is free of the budget.
    @inline(__always) var roomForMessages: Int { share.isLimited ? share.window(.max, holding: held) : .max }

    /// The server's terms with what is free now as the first credit: the client may send that much without another word.
    var termsNow: Terms {
        var terms = terms
        if let credit = terms.credit, share.isLimited {
            let first = min(Int(clamping: credit), MemoryShare.firstCredit)
            terms.credit = UInt64(share.window(first, holding: held))
        }
        return terms
    }

    /// Takes note of how much it may hold now: a client that waits for room may get some.
    mutating func take(_ share: MemoryShare) {
        self.share = share
        guard received.hasCredit, !isClosing, let credit = received.due(room: roomForMessages) else { return }
        outbox.grant(credit)
    }
}
