import Framing

/// A code of the protocol, such as `handlerFailed` (Protocol.md, section 8).
public typealias Code = Framing.Code
/// The failure of a request, which is sent in place of a response (Protocol.md, section 4.9).
public typealias Failure = Framing.Failure
/// The side of a connection: client or server.
public typealias Side = Framing.Side

/// What answers the requests of one connection.
///
/// A handler is made after the fork, for one connection, in a process of its own: it may keep state without a lock,
/// block, and crash; what it breaks is its own connection. Its methods are called one at a time, in the order in which
/// things came, on a thread of their own, while heartbeats are answered beside it.
public protocol Handler: SendableMetatype {
    /// Whether every method returns within milliseconds. Then they are called in the loop that reads and writes, which
    /// saves the hand-over to a thread; while one runs, this connection's heartbeats wait.
    var answersAtOnce: Bool { get }

    /// Whether a connection leaves nothing behind in its process that the next one could meet: no global state that it
    /// changes, no file, no thread. Then a process may serve several, one after another, each with a handler of its own
    /// (`ServerOptions.poolReuse`).
    static var mayBeReused: Bool { get }

    /// The handshake is done; `connection` may be kept, to send messages at any time.
    mutating func opened(_ connection: Connection)

    /// Answers `request`. A thrown `Failure` is sent in place of a response, and the connection goes on.
    mutating func respond(to request: Request) throws(Failure) -> Response

    /// A one-way message came; nothing answers it.
    mutating func received(_ message: ArraySlice<UInt8>)

    /// The connection has ended; nothing can be sent any more. Called last, where `opened` was called. The process ends
    /// when it returns, at the latest after `ServerOptions.grace`, and as a rule no `deinit` is called first: what
    /// one would do belongs here.
    mutating func closed(_ ending: CloseReason)
}

extension Handler {
    /// False: a thread of its own.
    public var answersAtOnce: Bool { false }
    /// False: a process for each connection.
    public static var mayBeReused: Bool { false }
    /// Does nothing.
    public mutating func opened(_ connection: Connection) {}
    /// Does nothing.
    public mutating func received(_ message: ArraySlice<UInt8>) {}
    /// Does nothing.
    public mutating func closed(_ ending: CloseReason) {}
}
