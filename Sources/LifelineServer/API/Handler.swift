import Framing
// Users see these types of the protocol, and their members, with this import alone. A type alias would hide the members
// where MemberImportVisibility is on, and two aliases would clash in a program that is server and client.
@_exported import struct Framing.Code
@_exported import struct Framing.Failure
@_exported import enum Framing.Side

/// Answers the requests of one connection.
///
/// The server makes a handler after the fork, in the process of its connection. So a handler may keep state without a
/// lock, and may block. If it crashes, its own connection ends and no other.
///
/// The server calls the methods one at a time, in the order in which frames came, on a thread of the handler's own. The
/// event loop answers heartbeats meanwhile.
public protocol Handler: SendableMetatype {
    /// Whether every method returns within milliseconds.
    ///
    /// The event loop calls the methods itself then, which saves the hand-over to a thread. Heartbeats wait while a method
    /// runs.
    var answersAtOnce: Bool { get }

    /// Whether a handler leaves nothing in its process that the next connection could meet: no changed global state, no
    /// file, no thread.
    ///
    /// A process may serve several connections then, one after another, each with a handler of its own
    /// (`ServerOptions.poolReuse`).
    static var mayBeReused: Bool { get }

    /// Whether handlers of several connections may be in one process at the same time: they share no state without a lock,
    /// and leave nothing behind, as with `mayBeReused`.
    ///
    /// A process may serve many connections at a time then (`ServerOptions.connectionsPerProcess`), each with a handler of its
    /// own. The calls for one connection come one at a time and in order, but on changing threads. A crash ends all
    /// connections of the process.
    static var mayShare: Bool { get }

    /// The handshake is done. The handler may keep `connection`, to send messages at any time.
    mutating func opened(_ connection: Connection)

    /// Answers `request`. The server sends a thrown `Failure` in place of a response, and the connection goes on.
    mutating func respond(to request: Request) throws(Failure) -> Response

    /// A one-way message has come (Protocol.md, section 4.7). It has no answer.
    mutating func received(_ message: ArraySlice<UInt8>)

    /// Whether `received(_:)` is called with what others publish or send to the connection, before the client gets it. Where
    /// it is false, the event loop sends that to the client itself, whatever the handler does meanwhile.
    static var seesPublications: Bool { get }

    /// A message of another connection has come, or of a back-end. Returns what the client is sent as a one-way message: the
    /// bytes of the publication, others, or nil for nothing.
    mutating func received(_ publication: Publication) -> ArraySlice<UInt8>?

    /// Messages of others were lost, because the client or this handler is slow, or the router has died. Several such gaps of
    /// a topic may be told as one.
    mutating func missed(_ gap: MessageGap)

    /// The connection has ended, and nothing can be sent any more. Called last, and only where `opened` was called.
    ///
    /// The handler gets the messages that came before the end first, for up to `ServerOptions.grace`. The process ends when
    /// this method returns, or a second after that. Clean up here: as a rule the process ends
    /// without calling `deinit`.
    mutating func closed(_ reason: CloseReason)
}

extension Handler {
    /// False: the handler has a thread of its own.
    public var answersAtOnce: Bool { false }
    /// False: each connection has a process of its own.
    public static var mayBeReused: Bool { false }
    /// False: no other handler is in the process at the same time.
    public static var mayShare: Bool { false }
    /// Does nothing.
    public mutating func opened(_ connection: Connection) {}
    /// Does nothing.
    public mutating func received(_ message: ArraySlice<UInt8>) {}
    /// False: the client gets all that comes.
    public static var seesPublications: Bool { false }
    /// Changes nothing.
    public mutating func received(_ publication: Publication) -> ArraySlice<UInt8>? { publication.bytes }
    /// Does nothing.
    public mutating func missed(_ gap: MessageGap) {}
    /// Does nothing.
    public mutating func closed(_ reason: CloseReason) {}
}
