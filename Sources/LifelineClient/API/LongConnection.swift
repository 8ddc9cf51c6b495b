import Basics
import Framing
import Posix

/// A connection to one server that stays open until the program closes it, and is opened again when it is lost.
///
/// The library's I/O thread sends its heartbeats, whatever the program does. Any task may use it. It closes with
/// `close()`, or when the program releases the last reference.
///
/// Protocol.md describes it in full, above all sections 5 (heartbeats) and 7 (closing).
public final class LongConnection: Sendable {
    let thread: IOThread
    let id: SessionID
    let sinks: SessionSinks

    /// Connects to `host` and waits for its WELCOME, up to `options.connectTimeout`.
    ///
    /// A server that answers BUSY, SHUTTING_DOWN or REFUSED is tried again as `options.reconnect` allows. Any other failure
    /// is thrown at once, or when `options.wait` has passed. Cancelling the task throws `ConnectionError.Kind.cancelled`.
    ///
    /// - Parameters:
    ///   - host: A name, a numeric IPv4 or IPv6 address, or `unix:` and the path of a socket. A port may stand behind it, as
    ///     in `db:7401` or `[::1]:7401`.
    ///   - port: The TCP port. A Unix socket has none.
    ///   - options: The limits, times and policy of the connection.
    public static func open(
        host: String, port: UInt16 = 7400, options: ClientOptions = ClientOptions()
    ) async throws(ConnectionError) -> LongConnection {
        try await open(hosts: [host], port: port, options: options)
    }

    /// Connects to the first of several servers that answers, as `open(host:port:options:)` does to one. They take turns:
    /// when a connection is lost, the next server is tried, and a server that failed rests for its own back-off.
    ///
    /// - Parameters:
    ///   - hosts: The servers, each as `host` of `open(host:port:options:)`. They have to do the same for the program.
    ///   - port: The TCP port of each that names none.
    ///   - options: The limits, times and policy of the connection.
    public static func open(
        hosts: [String], port: UInt16 = 7400, options: ClientOptions = ClientOptions()
    ) async throws(ConnectionError) -> LongConnection {
        let connection = try start(hosts: hosts, port: port, options: options)
        try await connection.waitUntilOpen()
        return connection
    }

    /// Starts to connect as `open` does, and returns at once, so that the program can follow the events.
    ///
    /// Throws `invalidOptions`, `unreachable` where the system has no thread or descriptor left, or `tls` where it has no
    /// OpenSSL.
    ///
    /// - Parameters:
    ///   - host: A server, as in `open(host:port:options:)`.
    ///   - port: The TCP port. A Unix socket has none.
    ///   - options: The limits, times and policy of the connection.
    public static func start(
        host: String, port: UInt16 = 7400, options: ClientOptions = ClientOptions()
    ) throws(ConnectionError) -> LongConnection {
        try start(hosts: [host], port: port, options: options)
    }

    /// Starts to connect to the first of several servers, as `open(hosts:port:options:)` does, and returns at once.
    ///
    /// Throws `invalidOptions`, `unreachable` where the system has no thread or descriptor left, or `tls` where it has no
    /// OpenSSL.
    ///
    /// - Parameters:
    ///   - hosts: The servers, as in `open(hosts:port:options:)`.
    ///   - port: The TCP port of each that names none.
    ///   - options: The limits, times and policy of the connection.
    public static func start(
        hosts: [String], port: UInt16 = 7400, options: ClientOptions = ClientOptions()
    ) throws(ConnectionError) -> LongConnection {
        let servers = try Endpoint.list(hosts, port: port)
        let tls = try options.tls?.client(for: servers)
        let session = Session(
            try options.hello(short: false), policy: options.reconnect,
            connectTimeout: within(options.connectTimeout), wait: within(options.wait),
            servers: servers.map(\.description), at: .now)
        return LongConnection(try IOThread.shared(), servers, tls, session, options)
    }

    /// Waits until a connection is open: the first one, or the next one after a loss. Throws the reason where none will be.
    /// Cancelling the task closes the connection and throws `ConnectionError.Kind.cancelled`.
    public func waitUntilOpen() async throws(ConnectionError) {
        let failure = await withTaskCancellationHandler {
            await sinks.status.waitUntilOpen()
        } onCancel: {
            thread.submit(.close(id, within: .zero, nil))
        }
        if Task.isCancelled { throw ConnectionError(.cancelled, "opening was cancelled") }
        if let failure { throw failure }
    }

    private init(
        _ thread: IOThread, _ servers: [Endpoint], _ tls: TLSClient?, _ session: Session, _ options: ClientOptions
    ) {
        self.thread = thread
        id = IOThread.newID()
        sinks = SessionSinks(
            status: ConnectionStatus(),
            messages: InboundMessages(most: options.unreadMessages) { [thread, id] in thread.submit(.taken(id)) },
            answer: options.answer)
        thread.submit(.open(id, servers, tls, session, sinks))
    }

    deinit { thread.submit(.close(id, within: .zero, nil)) }

    /// Sends `message` as a request and returns the server's answer, the outcome DONE. The other four outcomes are thrown
    /// (Protocol.md, section 7.7).
    ///
    /// Many requests may be in flight. A request waits in the client while the server has no room for it, and while there
    /// is no connection. The library repeats a request that the server certainly did not process.
    ///
    /// After `timeout`, or when the task is cancelled, the library cancels what it has sent (CANCEL). It throws at once:
    /// NOT_SENT, REFUSED or UNKNOWN with the reason `timedOut` or `cancelled`.
    ///
    /// - Parameters:
    ///   - message: The bytes of the request.
    ///   - timeout: The limit for the answer, with all waits and repetitions.
    ///   - mayRunTwice: Whether the library also repeats a request that the server may have processed.
    public func request(
        _ message: [UInt8], timeout: Duration = .seconds(30), mayRunTwice: Bool = false
    ) async throws(RequestError) -> [UInt8] {
        let call = Call(.request(mayRunTwice: mayRunTwice), message, deadline: .now + within(timeout))
        return try await thread.call(call, on: id, sinks.status, Reply.answer).get()
    }

    /// Sends `message` one way, without an answer (Protocol.md, section 4.7).
    ///
    /// It returns when the message is on its way: it follows those before it on the connection. That does not promise its
    /// arrival. It waits while the server has no room: for credit (section 3.8), and while more than the server's max_queued
    /// bytes wait before it. Without a connection it waits for the next one. Cancelling the task throws NOT_SENT.
    ///
    /// Where it need not wait, it does not suspend, and the I/O thread writes the message soon after. So a program that exits
    /// without `close()` may lose its last messages.
    ///
    /// Returns the number of the message, from 1 on over all connections. `messageCounts` and `close()` tell how many are
    /// handled, and `ConnectionEvent.messagesUnconfirmed` the numbers of those that nothing is known of.
    @discardableResult
    public nonisolated(nonsending) func send(_ message: [UInt8]) async throws(RequestError) -> Int {
        if !Task.isCancelled, let sent = sinks.lane.add(message) {
            if sent.wakes { thread.submit(.sent(id)) }
            return sent.number
        }
        let call = Call(.message, message, deadline: nil)
        return try await thread.call(call, on: id, sinks.status, Reply.number).get()
    }

    /// What became of the messages that were sent, as far as the server has told.
    public var messageCounts: MessageCounts {
        var counts = sinks.status.messageCounts
        counts.sent = max(counts.sent, sinks.lane.lastNumber)
        return counts
    }

    /// The one-way messages of the server. Each message goes to one reader.
    public var messages: InboundMessages { sinks.messages }

    /// The events of the connection, for one reader. The newest 256 unread events are kept. `ConnectionEvent.transfer` comes
    /// only after the first use of this property.
    public var events: AsyncStream<ConnectionEvent> { sinks.status.events }

    /// The number of events that have come, as a reader of `events` counts them.
    package var publishedEvents: Int { sinks.status.publishedEvents }

    /// The present state of the connection.
    public var state: ConnectionState { sinks.status.state }

    /// Closes the connection in order (Protocol.md, section 7.1), and returns when the socket is closed.
    ///
    /// Waiting and new calls end as NOT_SENT. Requests in flight continue until their answer or timeout. Answers that the
    /// program works on, and messages that it reads, have up to two seconds.
    ///
    /// Where the server has not told that all messages are handled, it is asked to (GOAWAY), and the connection waits for
    /// that while its heart goes on beating. The server sets a bound, its grace period. When `limit` has passed, or the task
    /// is cancelled, the connection waits no longer.
    ///
    /// Returns what became of all messages. Where `MessageCounts.areAllHandled`, the server has handled each of them.
    @discardableResult
    public func close(within limit: Duration = .seconds(60)) async -> MessageCounts {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                thread.submit(.close(id, within: within(limit), continuation))
                // A cancellation before `submit` found no wait to shorten.
                if Task.isCancelled { thread.submit(.close(id, within: .zero, nil)) }
            }
        } onCancel: {
            thread.submit(.close(id, within: .zero, nil))
        }
        return messageCounts
    }
}

/// A connection for one request (Protocol.md, section 7.3).
public enum ShortConnection {
    /// Connects to `host`, sends `message`, and returns the server's answer, the outcome DONE. The other outcomes are thrown
    /// as by `LongConnection.request`, with the reason `connection` where there was none.
    ///
    /// A server without room (BUSY, REFUSED), or one that is shutting down, is tried again as `options.reconnect` allows,
    /// until `timeout`.
    ///
    /// - Parameters:
    ///   - message: The bytes of the request.
    ///   - host: A server, as in `LongConnection.open(host:port:options:)`.
    ///   - port: The TCP port. A Unix socket has none.
    ///   - timeout: The limit for connecting, the request and its answer together. It begins anew with each attempt that
    ///     `options.wait` allows.
    ///   - mayRunTwice: Whether the library also repeats a request that the server may have processed.
    ///   - options: The limits, times and policy of the connection.
    ///   - events: Where the events of the connection go. The library finishes it when the connection is closed, which may
    ///     be after the answer. Where no connection is tried, it gets nothing.
    public static func request(
        _ message: [UInt8], host: String, port: UInt16 = 7400, timeout: Duration = .seconds(30),
        mayRunTwice: Bool = false, options: ClientOptions = ClientOptions(),
        events: AsyncStream<ConnectionEvent>.Continuation? = nil
    ) async throws(RequestError) -> [UInt8] {
        try await request(
            message, hosts: [host], port: port, timeout: timeout, mayRunTwice: mayRunTwice, options: options,
            events: events)
    }

    /// Sends `message` to the first of several servers that answers, as
    /// `request(_:host:port:timeout:mayRunTwice:options:events:)` does to one. While another server is left, the request
    /// waits for WELCOME: one that was sent is never sent to two.
    ///
    /// - Parameters:
    ///   - message: The bytes of the request.
    ///   - hosts: The servers, as in `LongConnection.open(hosts:port:options:)`.
    ///   - port: The TCP port of each that names none.
    ///   - timeout: The limit for connecting, the request and its answer together. It begins anew with each attempt that
    ///     `options.wait` allows.
    ///   - mayRunTwice: Whether the library also repeats a request that the server may have processed.
    ///   - options: The limits, times and policy of the connection.
    ///   - events: Where the events of the connection go.
    public static func request(
        _ message: [UInt8], hosts: [String], port: UInt16 = 7400, timeout: Duration = .seconds(30),
        mayRunTwice: Bool = false, options: ClientOptions = ClientOptions(),
        events: AsyncStream<ConnectionEvent>.Continuation? = nil
    ) async throws(RequestError) -> [UInt8] {
        let opening: ShortOpening
        do {
            opening = try ShortOpening(
                message, hosts: hosts, port: port, timeout: timeout, mayRunTwice: mayRunTwice, options: options,
                ConnectionStatus(events))
        } catch {
            throw .notSent(.connection(error))
        }
        return try await opening.thread.call(
            opening.call, on: opening.id, opening.status, opening: opening.command, Reply.answer
        ).get()
    }
}

extension IOThread {
    /// Starts `call` on `session` and waits for its result.
    ///
    /// - Parameters:
    ///   - call: The request or message.
    ///   - session: The number of the session.
    ///   - status: Holds the reason where the session is over.
    ///   - opening: The command that opens the session; its first write carries the call.
    ///   - reply: The kind of the result.
    fileprivate func call<Value: Sendable>(
        _ call: Call, on session: SessionID, _ status: ConnectionStatus, opening: SessionCommand? = nil,
        _ reply: @Sendable (CheckedContinuation<Result<Value, RequestError>, Never>) -> Reply
    ) async -> Result<Value, RequestError> {
        guard !Task.isCancelled else { return .failure(.notSent(.cancelled)) }
        let id = IOThread.newID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let start = SessionCommand.call(session, id, call, reply(continuation), status)
                if let opening { submit(opening, start) } else { submit(start) }
                // A cancellation before `submit` found no call to abandon.
                if Task.isCancelled { submit(.abandon(session, id)) }
            }
        } onCancel: {
            submit(.abandon(session, id))
        }
    }
}

/// `duration` limited to a century, so that it can be added to any instant.
func within(_ duration: Duration) -> Duration { min(duration, .seconds(3_000_000_000)) }
