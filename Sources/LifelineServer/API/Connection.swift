import Basics
import Framing
import Posix
import Synchronization

/// Makes the connection of a handler: of the client's HELLO, the name of its token, and the mailbox for what is sent.
typealias ConnectionMaker = (Hello, String?, HandlerMailbox) -> Connection

/// The connection that a handler serves: it names the client, sends one-way messages, and asks.
///
/// Every thread of the process may use it. A handler may keep it after the connection has ended.
public final class Connection: Sendable {
    /// The server's number for the connection, as in the log.
    public let id: UInt64
    /// The client's address and port, such as `192.0.2.7:51234`.
    public var peer: String { address.description }
    private let address: SocketAddress
    private let client: ProxiedClient?
    /// The address and port of the proxy that the client has come through; nil where the client has connected itself. Where
    /// the proxy does not name the client, `peer` is the proxy too.
    public var via: String? { client?.via.description }
    /// What the proxy says of the client's TLS; nil where it tells of none, or the client has connected itself.
    public var tls: ProxiedTLS? { client?.tls }
    /// The proxy's name for the connection, up to 128 bytes of any value; nil where it has given none.
    public var uniqueID: [UInt8]? { client?.uniqueID }
    /// The client's name for itself, up to 64 bytes. Any client can claim any name.
    public let name: String?
    /// The client's token, up to 256 bytes. Compare it in constant time.
    public let token: [UInt8]?
    /// The name of the client's token in `ServerOptions.tokenFile`. It is as certain as the token is secret. It is nil where
    /// the file has no name for the token, or there is no file. With `ServerOptions.tokenFromCN` it is the name of the
    /// certificate of a client without a token.
    public let tokenName: String?
    /// Whether the client answers requests: it has said so in HELLO (ANSWERS), speaks 1.1, and the connection is no SHORT one.
    public let answersRequests: Bool
    private let mailbox: HandlerMailbox
    private let tie: RouterTie?
    /// Whether others can reach it.
    private let isReachable: Bool

    init(
        id: UInt64, address: SocketAddress, client: ProxiedClient? = nil, hello: Hello, tokenName: String?,
        mailbox: HandlerMailbox, tie: RouterTie? = nil, isReachable: Bool = true
    ) {
        self.id = id
        self.address = address
        self.client = client
        name = hello.options.name
        token = hello.options.token
        self.tokenName = tokenName
        answersRequests = hello.answersRequests
        self.mailbox = mailbox
        self.tie = tie
        self.isReachable = isReachable && !hello.short
    }

    /// The tie of this process to the router.
    func anyTie() throws(TopicError) -> RouterTie {
        guard let tie else { throw .noTopics }
        return tie
    }

    /// The tie of a connection that others can reach.
    func reachableTie() throws(TopicError) -> RouterTie {
        let tie = try anyTie()
        guard isReachable else { throw .notReachable }
        return tie
    }

    /// Sends a one-way message (Protocol.md, section 4.7). Where the client has no room for it, waits until it has.
    ///
    /// Returns false where the message can never be sent: it is longer than the client accepts, the connection is SHORT, or
    /// it is ending. A thread that waits returns as soon as the connection ends.
    ///
    /// The client has room as far as its credit goes (section 3.8). A client without credit has room while less than
    /// max_queued bytes wait for it. A handler that `answersAtOnce` runs on the loop's thread, which alone makes room: there
    /// this does not wait, and is `trySend(_:)`.
    ///
    /// A handler that waits here takes no message either, so a client that sends without reading makes both wait. The
    /// request's timeout (`ServerOptions.handlerTimeout`) goes on meanwhile.
    ///
    /// Twelve empty messages go at once, the next one each ping_every / 2 (5.10-2). Messages behind one that waits wait too.
    @discardableResult
    public func send(_ message: [UInt8]) -> Bool { mailbox.send(message[...], waits: true) }

    /// Sends the UTF-8 of `text` as a one-way message, and returns what `send(_:)` of bytes returns.
    @discardableResult
    public func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Sends a one-way message as `send(_:)` does, but never waits: returns false where the client has no room now, too.
    public func trySend(_ message: [UInt8]) -> Bool { mailbox.send(message[...], waits: false) }

    /// Sends the UTF-8 of `text` as a one-way message, and returns what `trySend(_:)` of bytes returns.
    public func trySend(_ text: String) -> Bool { trySend(Array(text.utf8)) }

    /// How many of the messages sent the client has not said to be handled; nil where it does not say (section 3.8).
    ///
    /// The client says it with its heartbeat at the latest. What was not handled when the connection ends, the client may
    /// have had or not.
    public var unconfirmedMessages: Int? { mailbox.unconfirmedMessages }

    /// Sends a request to the client, and waits for its answer (Protocol.md, section 3.7).
    ///
    /// Many threads may ask at the same time. The client says how many requests it takes at once; further ones wait for
    /// those, in their order. Requests and messages that one thread sends arrive in their order. A handler that answers at
    /// once may ask from threads of `inBackground` alone.
    ///
    /// The time runs from the call on. A handler whose `ServerOptions.handlerTimeout` is over while it waits is treated as
    /// any other that does not return.
    ///
    /// - Parameters:
    ///   - bytes: The request.
    ///   - timeout: How long the answer may take.
    ///   - request: The client's request that this one is asked for; nil for none. When it is cancelled, so is this one.
    public func request(
        _ bytes: [UInt8], timeout: Duration, for request: Request? = nil
    ) throws(ClientRequestError) -> [UInt8] {
        guard answersRequests else { throw .notSent(.clientAnswersNone) }
        return try mailbox.ask(bytes[...], until: .now + timeout) { request?.isCancelled ?? false }
    }

    /// Sends the UTF-8 of `text` as a request, and returns the answer, as `request(_:timeout:for:)` of bytes does.
    public func request(
        _ text: String, timeout: Duration, for request: Request? = nil
    ) throws(ClientRequestError) -> [UInt8] {
        try self.request(Array(text.utf8), timeout: timeout, for: request)
    }

    /// Whether messages and answers can still be sent. False as soon as the server knows that the connection ends.
    public var isOpen: Bool { mailbox.isOpen }

    /// Sleeps for `duration` and returns true. Returns false at once when the connection ends.
    public func wait(for duration: Duration) -> Bool { mailbox.waitWhileOpen(until: .now + duration) }

    /// Runs `body` on a thread of its own beside the handler, for example to send messages. Returns false where the system
    /// has no thread to give (pthread_create(3)).
    ///
    /// `body` should return soon once `isOpen` is false. The thread ends with the process at the latest.
    @discardableResult
    public func inBackground(_ body: @escaping @Sendable () -> Void) -> Bool {
        backgroundThreads.add(1, ordering: .relaxed)
        do {
            try startThread(named: "background") {
                withCrashStack(body)
                backgroundThreads.subtract(1, ordering: .releasing)
            }
            return true
        } catch {
            backgroundThreads.subtract(1, ordering: .relaxed)
            return false
        }
    }

    /// How many threads of `inBackground` run in this process, for whatever connection: a process in which one is left
    /// serves no further connection.
    static var threads: Int { backgroundThreads.load(ordering: .acquiring) }
}

private let backgroundThreads = Atomic<Int>(0)
