import LifelineClient

extension JSONLine {
    /// An event of the connection.
    init(_ event: ConnectionEvent) {
        switch event {
        case .connected(let terms): self.init("connected", terms)
        case .reconnected(let terms): self.init("reconnected", terms)
        case .roundTrip(let time):
            self.init("round_trip")
            add("time", time)
        case .beatLate(let waited, let lastRoundTrip):
            self.init("beat_late")
            add("waited", waited)
            if let lastRoundTrip { add("last_round_trip", lastRoundTrip) }
        case .pathTooLong(let roundTrip, let deadAfter):
            self.init("path_too_long")
            add("round_trip", roundTrip)
            add("dead_after", deadAfter)
        case .transfer(let progress):
            self.init("transfer")
            if let number = progress.number { add("number", number) }
            add("direction", progress.direction == .sending ? "sending" : "receiving")
            add("bytes", progress.bytes)
            if let total = progress.total { add("total", total) }
            add("bytes_per_second", Int(progress.rate))
            add("after", progress.elapsed)
            add("is_over", progress.isOver)
        case .goingAway(let code, let text, let retryAfter):
            self.init("going_away")
            add("code", "\(code)")
            add("text", text)
            if retryAfter > .zero { add("retry_after", retryAfter) }
        case .lost(let error):
            self.init("lost")
            add(error)
        case .reconnecting(let error, let wait, let attempt):
            self.init("reconnecting")
            add("attempt", attempt)
            add("wait", wait)
            add(error)
        case .messagesUnconfirmed(let numbers):
            self.init("messages_unconfirmed")
            add("count", numbers.count)
            add("first", numbers.lowerBound)
            add("last", numbers.upperBound)
        case .messagesDropped(let count):
            self.init("messages_dropped")
            add("count", count)
        case .closed(let error):
            self.init("closed")
            add(error)
        }
    }

    private init(_ event: String, _ terms: ConnectionTerms) {
        self.init(event)
        add("server", terms.server)
        add("connection", terms.connection)
        add("ping_every", terms.pingEvery)
        add("dead_after", terms.deadAfter)
        add("max_message", terms.maxMessage)
        add("agent", terms.agent)
    }
}
