/// What a server offers every client (Protocol.md, section 6).
public struct Terms: Equatable, Sendable {
    /// The server's own dead_after in milliseconds, called T; at least 100.
    public var timeout: UInt32
    /// The server's own interval in milliseconds, called H: the longest ping_every; at least 20.
    public var heartbeat: UInt32
    /// The longest payload that the server accepts in one frame, in bytes; at least 256.
    public var maxFrame: UInt32
    /// The longest message that it accepts, in bytes.
    public var maxMessage: UInt32
    /// The most unanswered requests; at least 1.
    public var maxInFlight: UInt32
    /// At least `maxMessage`.
    public var maxQueued: UInt32
    /// The first limit of the credit for messages of a client that knows credit (section 3.8); nil where the server bounds
    /// no client by it.
    public var credit: UInt64?

    /// Creates terms with the defaults of section 10; a value out of its bounds traps.
    public init(
        timeout: UInt32 = 30_000, heartbeat: UInt32 = Limits.defaultHeartbeat,
        maxFrame: UInt32 = Limits.defaultMaxFrame, maxMessage: UInt32 = Limits.defaultMaxMessage,
        maxInFlight: UInt32 = Limits.defaultMaxInFlight, maxQueued: UInt32 = Limits.defaultMaxQueued,
        credit: UInt64? = nil
    ) {
        precondition(timeout >= Limits.leastDeadAfter && heartbeat >= Limits.leastPingEvery)
        precondition(maxFrame >= Limits.leastMaxFrame && maxInFlight >= 1 && maxQueued >= maxMessage)
        self.timeout = timeout
        self.heartbeat = heartbeat
        self.maxFrame = maxFrame
        self.maxMessage = maxMessage
        self.maxInFlight = maxInFlight
        self.maxQueued = maxQueued
        self.credit = credit
    }
}

/// The WELCOME that answers `hello` under `terms`: one function, so that both sides and every test agree.
///
///     dead_after = T                              where HELLO says 0
///                  clamp(hello.dead_after, 100, T)   else
///     ping_every = min(clamp(hello.ping_every or dead_after / 3, 20, dead_after / 2), H)
public func negotiate(_ hello: Hello, with terms: Terms, connection: UInt64) -> Welcome {
    let deadAfter =
        hello.deadAfter == 0 ? terms.timeout : min(max(hello.deadAfter, Limits.leastDeadAfter), terms.timeout)
    let asked = hello.pingEvery == 0 ? deadAfter / 3 : hello.pingEvery
    let minor = min(hello.minor, Limits.minorVersion)
    let knowsCredit = minor >= 1 && !hello.short && hello.options.credit != nil
    return Welcome(
        pingEvery: min(max(asked, Limits.leastPingEvery), deadAfter / 2, terms.heartbeat), deadAfter: deadAfter,
        maxFrame: terms.maxFrame, maxMessage: terms.maxMessage, maxInFlight: terms.maxInFlight,
        maxQueued: terms.maxQueued, connection: connection,
        options: Options(credit: knowsCredit ? terms.credit : nil), minor: minor)
}

extension Hello {
    /// Whether the client answers requests of a server that speaks this version (section 3.7).
    public var answersRequests: Bool { minor >= 1 && !short && options.answers != nil }
}

extension Welcome {
    /// What this answer to `hello` has agreed on, beside what every connection may carry.
    public func agreement(with hello: Hello) -> FrameDecoder.Agreement {
        guard minor >= 1, !hello.short else { return FrameDecoder.Agreement() }
        return FrameDecoder.Agreement(
            credit: options.credit != nil && hello.options.credit != nil, answers: hello.answersRequests)
    }

    /// Throws where the server's terms are not an answer to `hello`: it may lower the version and
    /// shorten dead_after.
    public func check(against hello: Hello) throws(Violation) {
        guard minor <= hello.minor else { throw .breach("WELCOME's minor version is above HELLO's") }
        guard hello.deadAfter == 0 || deadAfter <= max(hello.deadAfter, Limits.leastDeadAfter) else {
            throw .breach("WELCOME's dead_after \(deadAfter) is above HELLO's \(hello.deadAfter)")
        }
        guard options.credit == nil || agreement(with: hello).credit else {
            throw .breach("WELCOME has CREDIT, which cannot be in force")
        }
    }
}
