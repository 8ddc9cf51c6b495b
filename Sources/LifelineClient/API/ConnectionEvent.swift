import Basics
import Framing

/// What both sides agreed on when a connection was opened (Protocol.md, sections 4.2 and 6).
public struct ConnectionTerms: Hashable, Sendable {
    /// The server's number of this connection, as in its log.
    public let connection: UInt64
    /// How often the round trip is proved.
    public let pingEvery: Duration
    /// The silence after which either side drops the other.
    public let deadAfter: Duration
    /// The longest message that the server accepts, in bytes.
    public let maxMessage: Int
    /// The server's program and version, where it says.
    public let agent: String?

    init(_ welcome: Welcome) {
        connection = welcome.connection
        pingEvery = .milliseconds(welcome.pingEvery)
        deadAfter = .milliseconds(welcome.deadAfter)
        maxMessage = Int(welcome.maxMessage)
        agent = welcome.options.agent
    }
}

/// What happens to a `LongConnection`, in the order in which it happens.
public enum ConnectionEvent: Hashable, Sendable {
    /// The first connection is open.
    case connected(ConnectionTerms)
    /// The server has not answered a PING for half of dead_after. Nothing is cut yet (Protocol.md, section 5.6).
    case beatLate
    /// The time that a PING and its PONG took.
    case roundTrip(Duration)
    /// The server asks to leave: requests in flight are finished, new ones wait for the next connection, which is
    /// opened after `comeBack` at the earliest (Protocol.md, section 7.4).
    case goingAway(code: Code, text: String, comeBack: Duration)
    /// The connection is gone. Requests in flight end as Protocol.md, section 7.7 says.
    case lost(ConnectionError)
    /// The next attempt, by number since the last connection that lasted, begins after `wait`; the first tells the loss
    /// once more, the others why the attempt before them failed.
    case reconnecting(after: ConnectionError, wait: Duration, attempt: Int)
    /// There is a connection again.
    case reconnected(ConnectionTerms)
    /// The program reads one-way messages too slowly: so many have been dropped since the start.
    case messagesDropped(Int)
    /// The end: nothing follows.
    case closed(ConnectionError)
}

/// What a `LongConnection` is doing.
public enum ConnectionState: Hashable, Sendable {
    /// Finding the host, connecting to it or waiting for its WELCOME.
    case connecting
    /// Requests are sent as they come.
    case open(ConnectionTerms)
    /// The server asked to leave; requests in flight are finished.
    case goingAway
    /// There is no connection; the next attempt begins at the instant.
    case waiting(until: SuspendingClock.Instant)
    /// There will be none any more.
    case closed(ConnectionError)
}
