import Basics
import Framing
import Posix

/// A connection to one server that stays open for as long as the program likes, and is opened again when it is lost.
///
/// Its heart beats by itself on the library's one thread of input and output, whatever the program is doing. It may be
/// used from any task. It is closed by `close()`, or when the program lets go of it.
///
/// Protocol.md is its full description: sections 5 (heartbeats) and 7 (closing) above all.
public final class LongConnection: Sendable {
    private let thread: IOThread
    private let link: LinkID
    private let sinks: LinkSinks

    /// Connects to `host` and waits for its WELCOME, for `options.connectTimeout` at most.
    ///
    /// `host` is a name, a numeric IPv4 or IPv6 address, or `unix:` and the path of a socket, for which `port` means
    /// nothing. A server that answers BUSY or SHUTTING_DOWN is tried again as `options.reconnect` says; any other
    /// failure is thrown at once. A cancelled task throws `ConnectionError.Kind.cancelled`.
    public static func open(
        host: String, port: UInt16 = 7400, options: ClientOptions = ClientOptions()
    ) async throws(ConnectionError) -> LongConnection {
        let connection = try start(host: host, port: port, options: options)
        try await connection.waitUntilOpen()
        return connection
    }

    /// Begins what `open` does and returns at once, for a program that wants to see the events of it.
    ///
    /// Throws where an option is out of its bounds or the system has no thread or descriptor left.
    public static func start(
        host: String, port: UInt16 = 7400, options: ClientOptions = ClientOptions()
    ) throws(ConnectionError) -> LongConnection {
        let session = Session(
            try options.hello(short: false), policy: options.reconnect,
            connectTimeout: within(options.connectTimeout), at: .now)
        return LongConnection(
            try IOThread.shared(), Endpoint(host: host, port: port), session, unreadMessages: options.unreadMessages)
    }

    /// Waits until there is a connection; throws why there will be none. A cancelled task closes the connection and
    /// throws `ConnectionError.Kind.cancelled`.
    public func waitUntilOpen() async throws(ConnectionError) {
        let failure = await withTaskCancellationHandler {
            await sinks.monitor.waitUntilOpen()
        } onCancel: {
            thread.submit(.close(link, nil))
        }
        if Task.isCancelled { throw ConnectionError(.cancelled, "opening was cancelled") }
        if let failure { throw failure }
    }

    private init(_ thread: IOThread, _ endpoint: Endpoint, _ session: Session, unreadMessages: Int) {
        self.thread = thread
        link = IOThread.newID()
        sinks = LinkSinks(monitor: ConnectionStatus(), messages: InboundMessages(most: unreadMessages))
        thread.submit(.open(link, endpoint, session, sinks))
    }

    deinit { thread.submit(.close(link, nil)) }

    /// Sends `message` and returns the server's answer to it: the outcome DONE. The other four are thrown
    /// (Protocol.md, section 7.7).
    ///
    /// Many requests may be in flight; more than the server has room for wait here. While there is no connection they
    /// wait for the next one. What was certainly not processed is repeated by itself; with `mayRunTwice` also
    /// what perhaps was. When `timeout` has passed, or the task is cancelled, what was sent is cancelled (CANCEL) and the
    /// caller is told at once, as NOT_SENT, REFUSED or UNKNOWN with the reason `timedOut` or `cancelled`.
    public func request(
        _ message: [UInt8], timeout: Duration = .seconds(30), mayRunTwice: Bool = false
    ) async throws(RequestError) -> [UInt8] {
        let call = Call(.request(mayRunTwice: mayRunTwice), message, deadline: .now + within(timeout))
        return try await thread.call(call, on: link, sinks.monitor).get()
    }

    /// Sends `message` one way: returns when it has its place behind less than the server's max_queued bytes that wait
    /// to leave, which is no promise that it arrives (Protocol.md, section 4.7).
    ///
    /// While there is no connection it waits for the next one. A cancelled task throws NOT_SENT.
    public func send(_ message: [UInt8]) async throws(RequestError) {
        _ = try await thread.call(
            Call(.message, message, deadline: nil), on: link, sinks.monitor
        ).get()
    }

    /// The one-way messages of the server. Each goes to one reader.
    public var messages: InboundMessages { sinks.messages }

    /// What happens to the connection, for one reader. Of events that nobody reads the newest 256 are kept.
    public var events: AsyncStream<ConnectionEvent> { sinks.monitor.events }

    /// What the connection is doing now.
    public var state: ConnectionState { sinks.monitor.state }

    /// Closes the connection in order (Protocol.md, section 7.1): no new request is taken, those that wait end as
    /// NOT_SENT, those in flight are waited for, each until its own timeout. Returns when the socket is closed.
    public func close() async {
        await withCheckedContinuation { thread.submit(.close(link, $0)) }
    }
}

/// A connection for one request (Protocol.md, section 7.3).
public enum ShortConnection {
    /// Connects to `host`, sends `message`, and returns the server's answer: the outcome DONE. The others are thrown as
    /// `LongConnection.request` does it; where there was no connection, with the reason `connection`.
    ///
    /// `timeout` is for all of it. A server that has no room (BUSY, REFUSED) or is shutting down is tried again as
    /// `options.reconnect` says, as far as `timeout` allows. `host` and `port` are as in `LongConnection.open`.
    public static func request(
        _ message: [UInt8], host: String, port: UInt16 = 7400, timeout: Duration = .seconds(30),
        mayRunTwice: Bool = false, options: ClientOptions = ClientOptions()
    ) async throws(RequestError) -> [UInt8] {
        let thread: IOThread
        let session: Session
        let timeout = within(timeout)
        let call = Call(.request(mayRunTwice: mayRunTwice), message, deadline: .now + timeout)
        do {
            session = Session(
                try options.hello(short: true), policy: options.reconnect,
                connectTimeout: min(timeout, within(options.connectTimeout)), at: .now)
            thread = try IOThread.shared()
        } catch {
            throw .notSent(.connection(error))
        }
        let link = IOThread.newID()
        let sinks = LinkSinks(monitor: ConnectionStatus(), messages: InboundMessages(most: 0))
        let opening = SessionCommand.open(link, Endpoint(host: host, port: port), session, sinks)
        return try await thread.call(call, on: link, sinks.monitor, opening: opening).get()
    }
}

extension IOThread {
    /// Starts `call` on `link` and waits for its end. With `opening` the link is new, and its first write carries the call.
    fileprivate func call(
        _ call: Call, on link: LinkID, _ monitor: ConnectionStatus, opening: SessionCommand? = nil
    ) async -> Result<[UInt8], RequestError> {
        guard !Task.isCancelled else { return .failure(.notSent(.cancelled)) }
        let id = IOThread.newID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { reply in
                let start = SessionCommand.call(link, id, call, reply, monitor)
                if let opening { submit(opening, start) } else { submit(start) }
                // A cancellation between found no call to abandon.
                if Task.isCancelled { submit(.abandon(link, id)) }
            }
        } onCancel: {
            submit(.abandon(link, id))
        }
    }
}

/// A duration that can be added to any instant: a century is for ever.
private func within(_ duration: Duration) -> Duration { min(duration, .seconds(3_000_000_000)) }
