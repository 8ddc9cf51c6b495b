import Basics

/// A request that a client has to answer.
struct RoutedAsk {
    let caller: Caller
    /// The tie of the client's process, and the client's connection.
    let tie: TieNumber
    let connection: UInt64
    /// When the router itself says that there is no answer.
    let deadline: Instant
}

/// The requests that are not answered.
struct RouterAsks {
    struct Due: Comparable, Sendable {
        let deadline: Instant
        let ask: UInt64

        static func < (one: Due, other: Due) -> Bool { one.deadline < other.deadline }
    }

    var asks: [UInt64: RoutedAsk] = [:]
    /// The numbers of the requests that are not answered, by who has asked.
    var numbers: [Caller: UInt64] = [:]
    var dues = Heap<Due>()
    var last: UInt64 = 0
}

// Requests to the clients of other processes.
extension TopicRouter {
    /// How much later than the client's process the router gives up.
    private static let patience = Duration.seconds(5)
    /// How many requests of one process wait for their answers.
    static let mostAsks = 10_000

    mutating func request(
        _ bytes: ArraySlice<UInt8>, of recipient: Recipient, timeout: UInt32, _ caller: Caller, at now: Instant
    ) throws(RecordFault) {
        guard caller.call != 0, asks.numbers[caller] == nil else {
            throw RecordFault("a request has the number \(caller.call), which another one has, or none")
        }
        sums.requests += 1
        guard let id = latest(of: recipient), let connection = connections[id] else {
            return reply(to: caller.tie, caller.call, .outcome(.notSent("no connection has \(recipient.text)")))
        }
        guard ties[Int(connection.tie)].isOpen else {
            return reply(to: caller.tie, caller.call, .outcome(.notSent("the connection's process has just ended")))
        }
        guard memory.hasRoom else {
            return reply(to: caller.tie, caller.call, .outcome(.notSent(fullText)))
        }
        guard ties[Int(caller.tie.index)].asking.count < TopicRouter.mostAsks else {
            let text = "\(TopicRouter.mostAsks) requests of this process wait for their answers"
            return reply(to: caller.tie, caller.call, .outcome(.notSent(text)))
        }
        asks.last += 1
        let (ask, index) = (asks.last, Int(connection.tie))
        let deadline = now + .milliseconds(Int64(timeout)) + TopicRouter.patience
        asks.asks[ask] = RoutedAsk(
            caller: caller, tie: TieNumber(index: connection.tie, generation: ties[index].generation), connection: id,
            deadline: deadline)
        asks.numbers[caller] = ask
        asks.dues.insert(RouterAsks.Due(deadline: deadline, ask: ask))
        ties[Int(caller.tie.index)].asking.insert(ask)
        ties[index].asked.insert(ask)
        append(sure: .ask(ask, connection: id, timeout: timeout, bytes), to: connection.tie)
    }

    /// The connection that came last of those that a request may be for.
    private mutating func latest(of recipient: Recipient) -> UInt64? {
        switch recipient {
        case .connection(let id): id
        case .name(let name): names[name]?.order.last(connections)
        case .token(let name): tokens[name]?.order.last(connections)
        case .all: everyone.order.last(connections)
        }
    }

    /// Forgets a request, and returns what it was.
    private mutating func forget(_ ask: UInt64) -> RoutedAsk? {
        guard let asked = asks.asks.removeValue(forKey: ask) else { return nil }
        asks.numbers[asked.caller] = nil
        if isOpen(asked.caller.tie) { ties[Int(asked.caller.tie.index)].asking.remove(ask) }
        if isOpen(asked.tie) { ties[Int(asked.tie.index)].asked.remove(ask) }
        asks.dues.prune(live: asks.asks.count) { [asks = asks.asks] in asks[$0.ask] != nil }
        return asked
    }

    /// The client's process has said what became of a request. One that is over already is none.
    mutating func answered(_ ask: UInt64, _ outcome: RelayedOutcome, by tie: TieNumber) {
        guard asks.asks[ask]?.tie == tie, let asked = forget(ask) else { return }
        reply(to: asked.caller.tie, asked.caller.call, .outcome(outcome))
    }

    /// The asker does not wait any more.
    mutating func giveUp(_ caller: Caller) {
        guard let ask = asks.numbers[caller], let asked = forget(ask) else { return }
        tellGivenUp(ask, asked)
    }

    private mutating func tellGivenUp(_ ask: UInt64, _ asked: RoutedAsk) {
        guard isOpen(asked.tie) else { return }
        append(sure: .giveUp(ask: ask, connection: asked.connection), to: asked.tie.index)
    }

    /// Ends the requests from and to a process that has gone.
    mutating func settleAsks(of index: Int) {
        for ask in ties[index].asking.sorted() {
            if let asked = forget(ask) { tellGivenUp(ask, asked) }
        }
        for ask in ties[index].asked.sorted() {
            guard let asked = forget(ask) else { continue }
            let text = "the connection's process has ended, and may have got the request"
            reply(to: asked.caller.tie, asked.caller.call, .outcome(.unknown(text)))
        }
    }

    /// When `settleOverdue` has something to do; nil for never.
    var deadline: Instant? { asks.dues.first?.deadline }

    /// Ends the requests whose process has not even said that there is no answer.
    mutating func settleOverdue(at now: Instant) {
        while let due = asks.dues.first, due.deadline <= now {
            asks.dues.removeFirst()
            guard let asked = forget(due.ask) else { continue }
            let text = "the connection's process does not answer, and may have got the request"
            reply(to: asked.caller.tie, asked.caller.call, .outcome(.unknown(text)))
            tellGivenUp(due.ask, asked)
        }
    }
}

extension Recipient {
    /// What the connection has, for a sentence: `no connection has …`.
    fileprivate var text: String {
        switch self {
        case .connection(let id): "the number \(id)"
        case .name(let name): "the name '\(Escaping.plain(name, most: 80))'"
        case .token(let name): "a token of the name '\(Escaping.plain(name, most: 80))'"
        case .all: "been opened"
        }
    }
}
