import Framing

/// A code of the protocol (Protocol.md, section 8).
public typealias Code = Framing.Code

/// Why there is no connection, or no longer.
public struct ConnectionError: Error, Hashable, Sendable {
    /// Who ended it, and at which stage.
    public enum Kind: Hashable, Sendable {
        /// An option is out of its bounds; nothing was tried.
        case invalidOptions
        /// The host name has no address (getaddrinfo(3)).
        case unknownHost
        /// No address of the host could be connected to (connect(2)).
        case unreachable
        /// No connection, or no whole handshake, within the time allowed.
        case timedOut
        /// The task that opened it was cancelled.
        case cancelled
        /// The server said why, in CLOSE or GOAWAY; `code` is the server's.
        case closedByServer
        /// This side dropped it and told the server so; `code` is this side's.
        case dropped
        /// The network or the server broke it off without a word (end of stream, recv(2), send(2)).
        case broken
        /// The program closed it.
        case closedByProgram
    }

    /// Who ended it, and at which stage.
    public let kind: Kind
    /// The protocol's code, where one side named one.
    public let code: Code?
    /// A sentence for a person.
    public let text: String
    /// How long the server asked to stay away; zero where it did not ask.
    public let retryAfter: Duration

    init(_ kind: Kind, _ text: String, code: Code? = nil, retryAfter: Duration = .zero) {
        self.kind = kind
        self.code = code
        self.text = text
        self.retryAfter = retryAfter
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

    static let closedByProgram = ConnectionError(.closedByProgram, "the program closed the connection")

    /// Whether the server turned the client away for now and may take it later.
    public var isTemporary: Bool {
        kind == .closedByServer && (code == .busy || code == .shuttingDown || code == .refused)
    }

    /// Whether connecting again would only fail again: the one place where that is decided.
    ///
    /// Not final are losses that the path, the load or the life of a server explain. TOO_MANY_PINGS is among them: the
    /// library keeps within the limit, so it was a path that held PINGs back and delivered them together.
    public var isFinal: Bool {
        switch kind {
        case .invalidOptions, .cancelled, .closedByProgram: true
        case .unknownHost, .unreachable, .timedOut, .broken: false
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
    /// For people: `the server closed the connection: BUSY, 100 of 100 connections`.
    public var description: String {
        switch kind {
        case .closedByServer: "the server closed the connection: " + named
        case .dropped: "the connection was dropped: " + named
        case .invalidOptions, .unknownHost, .unreachable, .timedOut, .cancelled, .broken, .closedByProgram: text
        }
    }

    private var named: String {
        guard let code else { return text }
        return text.isEmpty ? "\(code)" : "\(code), \(text)"
    }
}
