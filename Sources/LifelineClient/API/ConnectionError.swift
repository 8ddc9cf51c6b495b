import Framing
import SystemTLS
// Users of this module see the codes of the protocol and their members, as users of LifelineServer do (Handler.swift).
@_exported import struct Framing.Code

/// The reason why a connection could not be opened or has ended.
public struct ConnectionError: Error, Hashable, Sendable {
    /// The side that ended the connection, and the stage.
    public enum Kind: Hashable, Sendable {
        /// An option is out of its bounds. No connection was tried.
        case invalidOptions
        /// The host name has no address (getaddrinfo(3)).
        case unknownHost
        /// No address of the host accepted a connection (connect(2)), or the system has no descriptor or thread left.
        case unreachable
        /// Connecting and handshake took longer than `ClientOptions.connectTimeout`.
        case timedOut
        /// The task that opened the connection was cancelled.
        case cancelled
        /// The server closed it with CLOSE, or sent GOAWAY. `code` is the server's.
        case closedByServer
        /// This side dropped the server with CLOSE (Protocol.md, section 7.5). `code` is this side's.
        case dropped
        /// TLS failed before the server's WELCOME, or the system has no OpenSSL: an expired certificate, a name or an issuer
        /// that is not the expected one, a server without TLS. `text` says what. A session that was open before tries again,
        /// for a certificate can be renewed.
        case tls
        /// The stream ended without CLOSE, or recv(2) or send(2) failed.
        case broken
        /// The program closed it with `LongConnection.close`.
        case closedByProgram
    }

    /// The side that ended the connection, and the stage.
    public let kind: Kind
    /// The code in CLOSE or GOAWAY; nil where neither side sent one.
    public let code: Code?
    /// The reason as text for people. It may come from the server, so escape it before you print it to a terminal.
    public let text: String
    /// The shortest wait before the next attempt that the server asks for; zero where it does not.
    public let retryAfter: Duration
    /// The server that it is about, such as `db:7400`, where the program has named several; nil otherwise.
    public private(set) var server: String?

    init(_ kind: Kind, _ text: String, code: Code? = nil, retryAfter: Duration = .zero) {
        self.kind = kind
        self.code = code
        self.text = text
        self.retryAfter = retryAfter
    }

    init(_ error: TLSError) {
        self.init(error.kind == .options ? .invalidOptions : .tls, error.text)
    }

    init(_ close: Close) {
        self.init(.closedByServer, close.text, code: close.code, retryAfter: .milliseconds(close.retryAfter))
    }

    init(_ goAway: GoAway) {
        self.init(.closedByServer, goAway.text, code: goAway.code, retryAfter: .milliseconds(goAway.retryAfter))
    }

    init(_ violation: Violation) {
        self.init(
            violation.code == .handshakeTimeout ? .timedOut : .dropped, violation.text, code: violation.code)
    }

    /// The same error, about `server`.
    func of(_ server: String) -> ConnectionError {
        var error = self
        error.server = server
        return error
    }

    static let closedByProgram = ConnectionError(.closedByProgram, "the program closed the connection")

    /// Whether the server refused the client for now (BUSY, SHUTTING_DOWN, REFUSED) and may accept it later.
    public var isTemporary: Bool {
        kind == .closedByServer && (code == .busy || code == .shuttingDown || code == .refused)
    }

    /// Whether another attempt would fail for the same reason. The library then does not reconnect.
    ///
    /// Losses by the network, the load or a restart of the server are not final. Neither is TOO_MANY_PINGS: the library
    /// keeps the limit, so a network delayed PINGs and delivered them together.
    public var isFinal: Bool {
        switch kind {
        case .invalidOptions, .cancelled, .closedByProgram: true
        case .unknownHost, .unreachable, .timedOut, .tls, .broken: false
        case .closedByServer, .dropped:
            switch code {
            // The two do not speak the same protocol, or not with the same limits.
            case .protocolError, .badPreface, .unsupportedVersion, .unsupportedOption, .frameTooLarge,
                .messageTooLarge:
                true
            // The server does not want this client.
            case .unauthorized, .kicked: true
            default: false
            }
        }
    }
}

extension ConnectionError: CustomStringConvertible {
    /// The error for people, behind the server where there are several: `the server closed the connection: BUSY, 100 of
    /// 100 connections`.
    public var description: String {
        guard let server, !text.hasPrefix(server) else { return sentence }
        return "\(server): \(sentence)"
    }

    private var sentence: String {
        switch kind {
        case .closedByServer: "the server closed the connection: " + named
        case .dropped: "the connection was dropped: " + named
        case .invalidOptions, .unknownHost, .unreachable, .timedOut, .cancelled, .tls, .broken,
            .closedByProgram:
            text
        }
    }

    private var named: String { code?.with(text) ?? text }
}
