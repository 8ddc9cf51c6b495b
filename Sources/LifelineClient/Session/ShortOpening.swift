import Basics
import Posix

/// The session of a short connection and its one call, ready to be submitted together.
struct ShortOpening {
    let thread: IOThread
    let id: SessionID
    let call: Call
    let status: ConnectionStatus
    /// The command that opens the session; its first write carries the call.
    let command: SessionCommand

    /// The parameters are those of `ShortConnection.request`; `number` is what the caller knows the call by, and
    /// `isExpected` says that the server has answered a moment ago.
    init(
        _ message: [UInt8], hosts: [String], port: UInt16, timeout: Duration, mayRunTwice: Bool, options: ClientOptions,
        _ status: ConnectionStatus, number: Int? = nil, isExpected: Bool = false
    ) throws(ConnectionError) {
        let timeout = within(timeout)
        let wait = within(options.wait)
        call = Call(
            .request(mayRunTwice: mayRunTwice), message, deadline: .now + timeout,
            timeout: wait > .zero ? timeout : nil,
            number: number)
        let servers = try Endpoint.list(hosts, port: port)
        let tls = try options.tls?.client(for: servers)
        let session = Session(
            try options.hello(short: true), policy: options.reconnect,
            connectTimeout: min(timeout, within(options.connectTimeout)), wait: wait, isExpected: isExpected,
            servers: servers.map(\.description), at: .now)
        thread = try IOThread.shared()
        id = IOThread.newID()
        self.status = status
        command = .open(id, servers, tls, session, SessionSinks(status: status, messages: InboundMessages(most: 0)))
    }
}
