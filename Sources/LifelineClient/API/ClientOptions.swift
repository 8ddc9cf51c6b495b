import Basics
import Framing

/// The options of a client's connections (Protocol.md, sections 5, 6 and 10).
///
/// A connection checks its options when it is opened, and fails with `ConnectionError.Kind.invalidOptions`.
public struct ClientOptions: Sendable {
    /// The client's name for the server's log and status: up to 64 bytes of UTF-8 (section 4.1).
    public var name: String?
    /// The token that authenticates the client: up to 256 bytes. The library never logs it.
    public var token: [UInt8]?
    /// The program and its version for the server's log: up to 256 bytes of UTF-8.
    public var agent: String? = "lifeline-client/\(lifelineVersion)"
    /// How to speak TLS. Nil speaks plain TCP, on which anybody on the path can read the token.
    public var tls: TLSOptions?
    /// The interval of heartbeats, in whole milliseconds from 1 ms to 49 days. The server may change it to the nearest
    /// value that it allows. Nil lets the server choose.
    public var pingEvery: Duration?
    /// The silence after which either side drops the other, in whole milliseconds from 1 ms to 49 days. The server may
    /// shorten it; it lengthens only a value below 100 ms. Nil lets the server choose.
    public var deadAfter: Duration?
    /// The timeout of each attempt, from the look-up of the name to the end of the handshake, and of `open` as a whole.
    public var connectTimeout: Duration = .seconds(30)
    /// How long the first connection waits for a server that is not there yet, beyond `connectTimeout` if it is longer: a
    /// name that does not resolve, a socket without a file, a refused connection, a handshake that fails, or BUSY. Zero
    /// reports all but BUSY, SHUTTING_DOWN and REFUSED at once.
    public var wait: Duration = .zero
    /// When and how often a lost connection is opened again.
    public var reconnect = ReconnectPolicy()
    /// The longest frame that the client accepts, in bytes; at least 256.
    public var maxFrame: UInt32 = Limits.defaultMaxFrame
    /// The longest message that the client accepts, in bytes.
    public var maxMessage: UInt32 = Limits.defaultMaxMessage
    /// The limit of unread one-way messages, in bytes, and 12 more for each.
    ///
    /// Where the program reads `LongConnection.messages`, the server waits while so many are unread; the last one may go
    /// beyond the limit. The oldest are dropped and counted in `ConnectionEvent.messagesDropped` where the program has not
    /// begun to read, or the server knows no credit (section 3.8): a client that stopped reading the socket would miss
    /// heartbeats. Twice as many may wait once, for a program that begins to read late.
    public var unreadMessages = 4 << 20
    /// Answers the requests of the server: it gets the bytes of a request, and returns those of the answer (section 3.7).
    /// Nil tells the server that the program answers none. A short connection never answers.
    ///
    /// The library runs it in a task of its own for each request, never on the I/O thread, so it holds up no heartbeat.
    /// What it throws becomes FAILURE: a `RequestFailure` with its code and text, any other error with HANDLER_FAILED. The
    /// task is cancelled where the server takes the request back, and where the connection ends; nothing is sent then.
    ///
    /// The library keeps the closure while the session lasts. A closure that holds its `LongConnection` keeps it open until
    /// `close()`.
    public var answer: (@Sendable ([UInt8]) async throws -> [UInt8])?
    /// The most requests of the server that are answered at once; at least 1. The library refuses those beyond it.
    public var answersAtOnce = 16
    /// The most bytes of those requests and their answers. Nil is the greater of 1 MiB and `maxMessage`.
    public var answersBytes: UInt32?

    /// Creates the default options: the server chooses the times, and a lost connection is opened again without limit.
    public init() {}

    /// The HELLO with these options. Throws `invalidOptions` where one is out of its bounds.
    func hello(short: Bool) throws(ConnectionError) -> Hello {
        func check(_ holds: Bool, _ text: String) throws(ConnectionError) {
            guard holds else { throw ConnectionError(.invalidOptions, text) }
        }
        func milliseconds(_ duration: Duration?, _ name: String) throws(ConnectionError) -> UInt32 {
            guard let duration else { return 0 }
            let count = duration / .milliseconds(1)
            try check(count >= 1 && count <= Double(UInt32.max), "\(name) is not within 1 ms and 49 days")
            return UInt32(count)
        }
        try check((name ?? "").utf8.count <= Limits.nameLength, "the name is over \(Limits.nameLength) bytes")
        try check((token ?? []).count <= Limits.tokenLength, "the token is over \(Limits.tokenLength) bytes")
        try check((agent ?? "").utf8.count <= 256, "the agent is over 256 bytes")
        try check(maxFrame >= Limits.leastMaxFrame, "maxFrame is under \(Limits.leastMaxFrame) bytes")
        try check(connectTimeout > .zero, "connectTimeout is not above zero")
        try check(wait >= .zero, "wait is below zero")
        try check(
            answersAtOnce >= 1 && answersAtOnce <= UInt32.max,
            "answersAtOnce is \(answersAtOnce), and not within 1 and \(UInt32.max)")
        let answers = AnswerTerms(
            maxInFlight: UInt32(answersAtOnce), maxQueued: answersBytes ?? max(1 << 20, maxMessage))
        return Hello(
            short: short, pingEvery: try milliseconds(pingEvery, "pingEvery"),
            deadAfter: try milliseconds(deadAfter, "deadAfter"), maxFrame: maxFrame, maxMessage: maxMessage,
            options: Options(
                token: token, name: name, agent: agent, credit: short ? nil : UInt64(max(unreadMessages, 1)),
                answers: short || answer == nil ? nil : answers))
    }
}
