import Basics
import Framing

/// The terms of an open connection: its number and the limits that the server's WELCOME set (Protocol.md, sections 4.2
/// and 6).
public struct ConnectionTerms: Hashable, Sendable {
    /// The server's number for this connection, which its log shows too.
    public let connection: UInt64
    /// The interval of heartbeats: each side proves the round trip this often (section 5.2).
    public let pingEvery: Duration
    /// The silence after which either side drops the other (section 5.5).
    public let deadAfter: Duration
    /// The longest message that the server accepts, in bytes.
    public let maxMessage: Int
    /// The server's program and version; nil where it does not tell.
    public let agent: String?
    /// Whether the server gives credit for messages, and tells which it has handled (section 3.8).
    public let confirmsMessages: Bool
    /// The server of the program's list that this is: `db:7400`, `[::1]:7400` or `unix:/path`.
    public let server: String

    init(_ welcome: Welcome, server: String = "") {
        self.server = server
        connection = welcome.connection
        pingEvery = .milliseconds(welcome.pingEvery)
        deadAfter = .milliseconds(welcome.deadAfter)
        maxMessage = Int(welcome.maxMessage)
        agent = welcome.options.agent
        confirmsMessages = welcome.options.credit != nil
    }
}

/// An event of a `LongConnection`. Events arrive in the order in which they happen.
public enum ConnectionEvent: Hashable, Sendable {
    /// The first connection is open.
    case connected(ConnectionTerms)
    /// The server has not answered a PING for half of dead_after. The connection goes on (Protocol.md, section 5.6).
    ///
    /// `waited` is the time since the PING left: the round trip takes at least this long now. `lastRoundTrip` is the last
    /// one that a PONG proved on this connection; nil before the first.
    case beatLate(waited: Duration, lastRoundTrip: Duration?)
    /// The time from a PING to its PONG (Protocol.md, section 4.4).
    case roundTrip(Duration)
    /// A round trip takes longer than half of dead_after, so heartbeats cannot keep the connection. Ask for a longer
    /// `ClientOptions.deadAfter`, or the server for a longer timeout (Protocol.md, section 5.13).
    ///
    /// `roundTrip` is the least that this connection has measured. It comes once a connection, after the second
    /// measurement, or after one that no proof in time has followed.
    case pathTooLong(roundTrip: Duration, deadAfter: Duration)
    /// The progress of a message that takes longer than a second: after the first second, each second, and at its end.
    case transfer(TransferProgress)
    /// The server is going to close the connection (GOAWAY; Protocol.md, section 7.4).
    ///
    /// Requests in flight continue to their end. New requests wait for the next connection, which opens after `retryAfter`
    /// at the earliest. `code` and `text` are the server's reason.
    case goingAway(code: Code, text: String, retryAfter: Duration)
    /// The connection has ended before the server told that these messages are handled: nothing is known of them
    /// (Protocol.md, section 3.8).
    ///
    /// `numbers` are the ones that `LongConnection.send` has returned. All messages before them are handled, or were in an
    /// earlier event. It comes before `lost` or `closed`, where the server tells what it handles
    /// (`ConnectionTerms.confirmsMessages`).
    case messagesUnconfirmed(numbers: ClosedRange<Int>)
    /// The connection is lost. The outcomes of requests in flight are those of Protocol.md, section 7.7.
    case lost(ConnectionError)
    /// Another attempt to connect begins after `wait`.
    ///
    /// `attempt` counts from 1 since the last connection. `after` is the loss before the first attempt, and the failure of
    /// the attempt before any other. Where there are several servers, `wait` is zero when the next one is tried at once.
    case reconnecting(after: ConnectionError, wait: Duration, attempt: Int)
    /// A connection is open again after a loss.
    case reconnected(ConnectionTerms)
    /// The program reads one-way messages too slowly. The number counts all dropped messages of the `LongConnection`.
    case messagesDropped(Int)
    /// The connection is closed for good. This is the last event.
    case closed(ConnectionError)
}

/// The state of a `LongConnection`.
public enum ConnectionState: Hashable, Sendable {
    /// The client looks up the host, connects to it, or waits for its WELCOME.
    case connecting
    /// The connection is open, and requests are sent.
    case open(ConnectionTerms)
    /// The server has sent GOAWAY. Requests in flight continue; new ones wait.
    case goingAway
    /// There is no connection. The next attempt begins at the instant.
    case waiting(until: SuspendingClock.Instant)
    /// The connection is closed for good.
    case closed(ConnectionError)
}
