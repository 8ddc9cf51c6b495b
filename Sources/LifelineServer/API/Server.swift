import Framing
import Posix

/// Why a server cannot start: what was tried, what the system said, and what to do.
public struct StartError: Error, CustomStringConvertible, Sendable {
    /// What kind of trouble it is, for an exit status.
    public enum Kind: Sendable {
        /// An option cannot mean anything: `host` is not an address, or `user` is root.
        case badOptions
        /// The system does not let it listen.
        case cannotListen
        /// The log or the pidfile cannot be made, or another server holds the pidfile.
        case cannotOpen
        /// The system refuses something else.
        case refused
        /// The token file cannot be read.
        case noFile
        /// The token file is not one.
        case badFile
        /// A program is not there, or cannot be executed.
        case noProgram
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
    private let listening: ServerListener
    private let signals: SignalDescriptor
    private let childSignals: SignalDescriptor
    private let cleanData: CleanData
    private let log: Log
    private let pidfile: Pidfile?
    private let supervisor: ServiceNotifier
    private var books: Books
    private let orders: ChildCommands
    private let look: AdminServer.Listeners
    private let tokenFile: TokenFile?
    private let account: Account?
    /// Where it listens, with the port that the system chose.
    public var address: SocketAddress { listening.address }

    /// Listens, and then becomes `ServerOptions.user`; from now on connections are queued, SIGTERM, SIGINT, SIGQUIT,
    /// SIGHUP, SIGUSR1 and SIGCHLD wait for `run`, and no program that is started here gets new privileges
    /// (PR_SET_NO_NEW_PRIVS in prctl(2)).
    ///
    /// The pidfile is locked first, then the log is opened. A socket that a supervisor hands over (sd_listen_fds(3))
    /// takes the place of host and port. Throws what is wrong with an option, or what the system refused.
    public init(_ options: ServerOptions) throws(StartError) {
        try options.checkReadyDescriptor()
        Descriptor.openMissingStandardDescriptors()
        let account = try Account.named(in: options)
        var tokenFile = try options.tokenFile.map { path throws(StartError) in try TokenFile(path) }
        ignoreBrokenPipes()
        installCrashHandlers(notice: ConnectionProcess.crashNotice)
        let path = options.pidfile
        let pidfile = path == nil ? nil : try Pidfile(at: path!)
        let orders = try Server.needing("shared memory") { () throws(SystemError) in
            try ChildCommands(most: options.mostChildren, level: options.logLevel)
        }
        let log = try Server.openLog(options, orders)
        // Before what no child is to have, so that this lies together and is closed with one call.
        let childSignals = try Server.needing("signals") { () throws(SystemError) in try ConnectionProcess.signals() }
        let cleanData = CleanData()
        let listening = try ServerListener(options)
        let signals = try Server.signals()
        let books = try Server.needing("memory") { () throws(SystemError) in try Books(options.mostChildren) }
        var look = AdminServer.Listeners()
        do throws(StartError) {
            try look.open(options, owner: account)
            if let account {
                try account.become()
                // What root could read may be closed to this user, and then no change of it could be read either.
                tokenFile = try options.tokenFile.map { path throws(StartError) in
                    try TokenFile(path, ownGroup: account.group)
                }
            }
            try Server.needing("no_new_privs") { () throws(SystemError) in try forbidNewPrivileges() }
        } catch {
            listening.removeFile()
            look.controlFile?.remove()
            throw error
        }
        self.listening = listening
        self.signals = signals
        self.childSignals = childSignals
        self.cleanData = cleanData
        self.books = books
        self.log = log
        self.pidfile = pidfile
        supervisor = ServiceNotifier()
        self.options = options
        self.account = account
        self.tokenFile = tokenFile
        self.orders = orders
        self.look = look
    }

    private static func openLog(_ options: ServerOptions, _ orders: ChildCommands) throws(StartError) -> Log {
        do throws(SystemError) {
            return try Log(
                level: options.logLevel, format: options.logFormat, destination: options.log,
                floodLines: options.logFlood, orders: orders)
        } catch {
            throw StartError(
                .cannotOpen, "cannot open the log \(options.log): \(error.text) (\(error.call))", cause: error)
        }
    }

    private static func signals() throws(StartError) -> SignalDescriptor {
        try needing("signals") { () throws(SystemError) in
            try SignalDescriptor([
                Signal.terminate, Signal.interrupt, Signal.quit, Signal.reload, Signal.reopen, Signal.childEnded,
            ])
        }
    }

    /// What the system gives every process as a rule.
    private static func needing<Value: ~Copyable>(
        _ what: String, _ ask: () throws(SystemError) -> Value
    ) throws(StartError) -> Value {
        do throws(SystemError) {
            return try ask()
        } catch {
            throw StartError(.refused, "cannot have \(what): \(error.text) (\(error.call))", cause: error)
        }
    }

    /// Serves until SIGTERM, SIGINT or SIGQUIT, and returns when every child has ended.
    ///
    /// `makeHandler` is called in the child, once for each connection. `reload` is called at SIGHUP, in the parent, which
    /// must not grow a thread by it; what it returns holds for the connections that are accepted afterwards. An error is
    /// logged, and everything stays as it was. Without it SIGHUP reads the token file again.
    ///
    /// Throws where `ServerOptions.poolReuse` is not possible with this handler, before anything is served.
    public consuming func run<ConnectionHandler: Handler>(
        reload: (() throws(ReloadError) -> Reloaded)? = nil, _ makeHandler: @escaping () -> ConnectionHandler
    ) throws(StartError) {
        try run(HandlerFactory(makeHandler), reload)
    }

    /// Serves until SIGTERM, SIGINT or SIGQUIT with programs in place of a handler, and returns when every child and all
    /// that the programs started has ended. `reload` is as above.
    public consuming func run(
        reload: (() throws(ReloadError) -> Reloaded)? = nil, _ program: Program
    ) throws(StartError) {
        try run(HandlerFactory(program), reload)
    }

    private consuming func run(_ source: HandlerFactory, _ reload: Reloader?) throws(StartError) {
        do throws(StartError) {
            try options.checkPool(against: source.againstReuse)
        } catch {
            listening.removeFile()
            look.controlFile?.remove()
            throw error
        }
        let address = address.description
        log.write(.listening) {
            $0.text(.address, address)
            $0.number(.pid, processID)
            if let account {
                $0.number(.user, account.user)
                $0.number(.group, account.group)
            }
            if let control = options.control { $0.text(.control, control) }
            if let metrics = look.metricsAddress { $0.address(.metrics, metrics) }
        }
        tokenFile?.checkPermissions(log)
        prepareForChildren()
        tellReady(address)
        Parent(
            options, listening, signals, childSignals: childSignals, cleanData, pidfile, supervisor, books,
            orders: orders, tokenFile: tokenFile, ownGroup: account?.group, log: Log(movingFrom: log), source,
            reload: reload
        ).run(look)
    }

    /// Makes children cheap: what each would make for itself is made here.
    private mutating func prepareForChildren() {
        WarmUp(options, log: log, orders: orders[0]).run(in: &books.slots)
        // Of what was read until now children read little, and that is in the cache of the file.
        cleanData.forget()
        moveCodeToHugePages()
        // It keeps copies, which others need not lie between.
        _ = options.title
        // What the parent writes to between two forks is made from now on: each page of it that a child has as it was is
        // the child's alone.
        fillHeap()
    }

    private func tellReady(_ address: String) {
        supervisor.tell(.ready(address: address))
        guard let number = options.readyDescriptor else { return }
        do throws(SystemError) {
            try Descriptor(owning: number).write(Array("listening on \(address)\n".utf8))
        } catch {
            log.write(.notAnnounced) { $0.text(.text, "--ready-fd \(number): \(error)") }
        }
    }
}

extension ServerOptions {
    /// Throws where nobody has handed the descriptor over that is to be told. `Server` does so; a program that opens
    /// others before, one of which may get the number, does it first.
    public func checkReadyDescriptor() throws(StartError) {
        guard let number = readyDescriptor, !Descriptor.isOpen(number) else { return }
        throw StartError(
            .badOptions,
            "--ready-fd \(number) is not open: whoever starts the server hands it over, as in "
                + "server --ready-fd \(number) \(number)>ready")
    }

    /// The title of a process, where it is to show what it does.
    var title: ProcessTitle? { showsTitles ? ProcessTitle.own : nil }
    /// How many processes there may be for connections: with one, or waiting for one.
    var mostChildren: Int { maxConnections + (pool?.most ?? 0) }
}
