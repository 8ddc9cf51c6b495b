import Framing
// What a handler's code names of the protocol comes with this module.
@_exported import struct Framing.Code
@_exported import struct Framing.Failure
@_exported import enum Framing.Side

/// What answers the requests of one connection.
///
/// A handler is made after the fork, for one connection, in a process of its own: it may keep state without a lock,
/// and what it breaks is its own connection. Its methods are called one at a time, in the loop that also answers
/// heartbeats, so they should return within milliseconds; while one runs, this connection's heartbeats wait.
public protocol Handler {
    /// The handshake is done; `connection` may be kept, to send messages from any of these methods.
    mutating func opened(_ connection: Connection)

    /// Answers `request`. A thrown `Failure` is sent in place of a response, and the connection goes on.
    mutating func respond(to request: Request) throws(Failure) -> Response

    /// A one-way message came; nothing answers it.
    mutating func received(_ message: ArraySlice<UInt8>)

    /// The connection has ended; nothing can be sent any more.
    mutating func closed(_ ending: Ending)
}

extension Handler {
    /// Does nothing.
    public mutating func opened(_ connection: Connection) {}
    /// Does nothing.
    public mutating func received(_ message: ArraySlice<UInt8>) {}
    /// Does nothing.
    public mutating func closed(_ ending: Ending) {}
}

/// How a connection ended.
public enum Ending: Equatable, Sendable {
    /// With the code and the text of the CLOSE that came first, and the side that said it (Protocol.md, section 8).
    case closed(Code, String, by: Side)
    /// Without CLOSE: the connection broke, for this reason.
    case lost(String)
}

/// A request as the handler sees it (Protocol.md, section 4.5).
public struct Request: Sendable {
    /// The client's number for it, rising from 1 on each connection.
    public let id: UInt32
    /// The message. It shares memory with the receive buffer until one of them changes, so keeping it is safe.
    public let bytes: ArraySlice<UInt8>

    /// The message as text; what is not UTF-8 is replaced.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// The answer to a request (Protocol.md, section 4.6).
public struct Response: Sendable {
    let bytes: ArraySlice<UInt8>

    /// Sends `bytes`.
    public init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    /// Shares memory with `bytes`: a request's own bytes are sent back without a copy.
    public init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    /// The UTF-8 of `text`.
    public init(_ text: String) { bytes = Array(text.utf8)[...] }
}

/// The connection that a handler serves: who is there, and the way to speak unasked.
public final class Connection {
    /// The server's number of it, as in the log.
    public let id: UInt64
    /// Where it comes from, like `192.0.2.7:51234`.
    public let peer: String
    /// What the client calls itself, at most 64 bytes; not to be trusted.
    public let name: String?
    /// What the client proves itself with, at most 256 bytes; compare it in constant time.
    public let token: [UInt8]?
    /// Whom the token stands for in `ServerOptions.tokenFile`: as sure as the token is secret; nil where the file has no
    /// name for it, or there is no file.
    public let tokenName: String?
    private let sendMessage: (ArraySlice<UInt8>) -> Bool

    init(
        id: UInt64, peer: String, options: Options, tokenName: String?,
        sendMessage: @escaping (ArraySlice<UInt8>) -> Bool
    ) {
        self.id = id
        self.peer = peer
        name = options.name
        token = options.token
        self.tokenName = tokenName
        self.sendMessage = sendMessage
    }

    /// Sends a one-way message (Protocol.md, section 4.7).
    ///
    /// False where it cannot be sent: it is longer than the client accepts, max_queued bytes wait already because the
    /// client does not read, the connection is SHORT, or it is ending.
    @discardableResult
    public func send(_ message: [UInt8]) -> Bool { sendMessage(message[...]) }
}
