import Framing
import Liveness
import Posix

/// Why a server cannot start: what was tried, what the system said, and what to do.
public struct StartError: Error, CustomStringConvertible, Sendable {
    /// What kind of trouble it is, for an exit status.
    public enum Kind: Sendable {
        /// An option cannot mean anything: `host` is not an address, or `user` is root.
        case badOptions
        /// The system does not let it listen.
        case cannotListen
        /// The token file cannot be read.
        case noFile
        /// The token file is not one.
        case badFile
        /// There is no such user or group.
        case noUser
        /// The system does not let it become that user.
        case cannotBecome
    }

    /// What kind of trouble it is.
    public let kind: Kind
    /// A sentence for a person.
    public let description: String
    /// The system's reason, where there is one.
    public let cause: SystemError?

    init(_ kind: Kind, _ description: String, cause: SystemError? = nil) {
        self.kind = kind
        self.description = description
        self.cause = cause
    }
}

/// A server that gives every connection a process of its own.
///
///     let server = try Server(ServerOptions())
///     server.run { Echo() }
///
/// The process that runs it must have one thread: it forks, and a lock that another thread holds would stay locked in
/// the child for ever. So neither `async` nor Dispatch may have been used before.
public struct Server: ~Copyable {
    private let options: ServerOptions
    private let listener: Descriptor
    private let signals: SignalDescriptor
    private let slots: Slots
    private let orders: Orders
    private let look: Look.Listeners
    private let tokenFile: TokenFile?
    private let account: Account?
    /// Where it listens, with the port that the system chose.
    public let address: SocketAddress

    /// Listens, and then becomes `ServerOptions.user`; from now on connections are queued, SIGTERM, SIGINT and SIGCHLD
    /// wait for `run`, and no program that is started here gets new privileges (PR_SET_NO_NEW_PRIVS in prctl(2)).
    ///
    /// Throws what is wrong with an address, the token file or the user, or what the system refused (socket(2),
    /// bind(2), listen(2), setuid(2)).
    public init(_ options: ServerOptions) throws(StartError) {
        guard let address = SocketAddress(host: options.host, port: options.port) else {
            throw StartError(
                .badOptions,
                "'\(options.host)' is not an address to listen on: expected a numeric IPv4 or IPv6 "
                    + "address such as 127.0.0.1 or ::, or unix:/path (names are not resolved)")
        }
        Descriptor.openMissingStandardDescriptors()
        let account = try Account.named(in: options)
        var tokenFile = try options.tokenFile.map { path throws(StartError) in try TokenFile(path) }
        ignoreBrokenPipes()
        watchCrashes()
        let signals = try Server.explained(address) { () throws(SystemError) in
            try SignalDescriptor([Signal.terminate, Signal.interrupt, Signal.childEnded])
        }
        let slots = try Server.explained(address) { () throws(SystemError) in try Slots(options.maxConnections) }
        let orders = try Server.explained(address) { () throws(SystemError) in
            try Orders(most: options.maxConnections, level: options.logLevel)
        }
        let listener = try Server.explained(address) { () throws(SystemError) in
            try Server.listen(at: address, backlog: options.backlog)
        }
        var look = Look.Listeners()
        do throws(StartError) {
            try look.open(options, owner: account)
            if let account {
                try account.become()
                // What root could read may be closed to this user, and then no change of it could be read either.
                tokenFile = try options.tokenFile.map { path throws(StartError) in
                    try TokenFile(path, ownGroup: account.group)
                }
            }
            try Server.explained(address) { () throws(SystemError) in try forbidNewPrivileges() }
        } catch {
            if let path = address.unixPath { removeFile(at: path) }
            look.controlFile?.remove()
            throw error
        }
        self.options = options
        self.account = account
        self.tokenFile = tokenFile
        self.address = listener.localAddress
        self.listener = listener
        self.slots = slots
        self.orders = orders
        self.look = look
        self.signals = signals
    }

    static func explained<Value: ~Copyable>(
        _ address: SocketAddress, _ start: () throws(SystemError) -> Value
    ) throws(StartError) -> Value {
        do {
            return try start()
        } catch {
            throw StartError(.cannotListen, "cannot listen on \(address): \(error.text) (\(error.call))", cause: error)
        }
    }

    /// A Unix socket's file outlives a server that was killed; one that nobody listens on any more is replaced.
    static func listen(
        at address: SocketAddress, backlog: Int32, forOwnerAlone: Bool = false
    ) throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return try .listening(at: address, backlog: backlog, forOwnerAlone: forOwnerAlone)
        } catch {
            guard let path = address.unixPath, error.isAddressInUse, isAbandonedSocket(at: address) else { throw error }
            removeFile(at: path)
            return try .listening(at: address, backlog: backlog, forOwnerAlone: forOwnerAlone)
        }
    }

    /// Serves until SIGTERM or SIGINT, and returns when every child has ended.
    ///
    /// `makeHandler` is called in the child, once for each connection.
    public consuming func run<ConnectionHandler: Handler>(_ makeHandler: @escaping () -> ConnectionHandler) {
        let log = Log(level: options.logLevel, format: options.logFormat, orders: orders)
        var fields: [Log.Field] = [("address", .text(address.description)), ("pid", .number(UInt64(processID)))]
        if let account {
            fields += [("user", .number(UInt64(account.user))), ("group", .number(UInt64(account.group)))]
        }
        if let control = options.control { fields.append(("control", .text(control))) }
        if let metrics = look.metricsAddress { fields.append(("metrics", .text(metrics.description))) }
        log.write(.info, "listening", fields)
        tokenFile?.checkPermissions(log)
        Parent(
            options, listener: listener, address: address, signals: signals, slots: slots, orders: orders,
            tokenFile: tokenFile, log: log, makeHandler
        ).run(look)
    }
}
