import Framing
import Inheritance
import Posix

/// A server that gives every connection a process of its own.
///
///     Server.serve(ServerOptions()) { Echo() }
///
/// The process that runs it must have one thread. It forks, and a lock that another thread holds at that moment stays
/// locked in the child for ever. So neither `async` nor Dispatch may have been used before.
public struct Server: ~Copyable {
    private let options: ServerOptions
    private var resources: ServerResources
    /// Where it listens first, with the port that the system chose.
    public var address: SocketAddress { resources.listeners[0].address }
    /// Where it listens, each with the port that the system chose.
    public var addresses: [SocketAddress] { resources.listeners.map(\.address) }

    /// Listens, and then becomes `ServerOptions.user`.
    ///
    /// From now on connections are queued, and SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1 and SIGCHLD wait for `run`. No
    /// program that is started here gets new privileges (PR_SET_NO_NEW_PRIVS in prctl(2)).
    ///
    /// The pidfile is locked first, then the log is opened. Sockets that a supervisor hands over (sd_listen_fds(3))
    /// take the place of host, port and `ServerOptions.listen`. Throws what is wrong with an option, what the system
    /// refused, and where this process has more than one thread.
    public init(_ options: ServerOptions) throws(StartError) {
        resources = try ServerResources(options)
        self.options = options
    }

    /// Serves until SIGTERM, SIGINT or SIGQUIT, and returns when every child has ended.
    ///
    /// What a handler prints is on standard output when the line ends, and at the latest at the end of its process.
    ///
    /// Throws where `ServerOptions.poolReuse` is not possible with this handler, and where this process has more than one
    /// thread, before anything is served.
    ///
    /// - Parameters:
    ///   - reload: Reads the configuration again, at SIGHUP. It is called in the parent, and must not start a thread
    ///     there. What it returns holds for connections that are accepted afterwards. An error is logged, and everything
    ///     stays as it was. Without it SIGHUP reads the token file again.
    ///   - makeHandler: Makes the handler. It is called in the child, once for each connection.
    public consuming func run<ConnectionHandler: Handler>(
        reload: (() throws(ReloadError) -> Reloaded)? = nil, _ makeHandler: @escaping () -> ConnectionHandler
    ) throws(StartError) {
        try run(HandlerFactory(makeHandler), reload)
    }

    /// Serves until SIGTERM, SIGINT or SIGQUIT with programs in place of a handler. It returns when every child has
    /// ended, and all that the programs have started. `reload` is as above.
    public consuming func run(
        reload: (() throws(ReloadError) -> Reloaded)? = nil, _ program: Program
    ) throws(StartError) {
        try run(HandlerFactory(program), reload)
    }

    /// Serves as `run` does, and ends the process: with status 0 after a shutdown, or with a sentence on standard error
    /// and the status of sysexits.h that `StartError.exitStatus` has. An error that leaves `main` would be a crash.
    public static func serve<ConnectionHandler: Handler>(
        _ options: ServerOptions, _ makeHandler: @escaping () -> ConnectionHandler
    ) -> Never {
        do throws(StartError) {
            try Server(options).run(makeHandler)
        } catch {
            try? StandardStream.error.write("\(error)\n".utf8)
            exitProcess(error.exitStatus)
        }
        writeUnfinishedOutput()
        exitProcess(0)
    }

    /// Does not serve after all: removes the files of the sockets that it listens on.
    public consuming func abandon() { resources.removeSocketFiles() }

    private consuming func run(_ factory: HandlerFactory, _ reload: Reloader?) throws(StartError) {
        do throws(StartError) {
            try StartError.checkThreads()
            try options.checkPool(against: factory.againstReuse)
            try options.checkSharing(against: factory.againstSharing)
        } catch {
            resources.removeSocketFiles()
            throw error
        }
        reportListening()
        prepareForChildren()
        writeOutputByLine()
        announce()
        Parent(resources, options, factory, reload).run()
    }

    private borrowing func reportListening() {
        let address = resources.listeners.text
        let memory = Capacity.oomGroup().map { StartRemark("memory.oom.group", $0, isWarning: true) }
        for remark in resources.start.remarks + (memory.map { [$0] } ?? []) {
            resources.log.write(.inherited, at: remark.isWarning ? .warning : .info, reason: remark.subject) {
                $0.text(.of, remark.subject)
                $0.text(.text, remark.text)
            }
        }
        resources.log.write(.listening) {
            $0.text(.address, address)
            $0.number(.pid, processID)
            if let account = resources.account {
                $0.number(.user, account.user)
                $0.number(.group, account.group)
            }
            if let control = options.control { $0.text(.control, control) }
            if let metrics = resources.admin.metricsAddress { $0.address(.metrics, metrics) }
            if let publish = options.publishSocket { $0.text(.publish, publish) }
        }
        for listener in resources.listeners where listener.lacksIPv6 {
            resources.log.write(.noIPv6) {
                $0.address(.address, listener.address)
                $0.text(.text, "this kernel has no IPv6: clients of IPv4 alone can connect")
            }
        }
        resources.tokenFile?.checkPermissions(resources.log)
    }

    /// Makes children cheap: what each would make for itself is made here.
    private mutating func prepareForChildren() {
        // They are whoever's that started the server, and of no use to a child.
        for number in ProcessStart.current.descriptors { resources.descriptors.keep(number) }
        resources.memory.run(WarmUp(options, log: resources.log, commands: resources.commands[0]))
        // Of what was read until now children read little, and that is in the cache of the file.
        resources.cleanData.forget()
        moveCodeToHugePages()
        // It keeps copies, which others need not lie between.
        _ = options.title
        // What the parent writes to between two forks is made from now on: each page of it that a child has as it was
        // is the child's alone.
        fillHeap()
    }

    /// Tells the supervisor, and the reader of `ServerOptions.readyDescriptor`, where the server listens.
    private borrowing func announce() {
        resources.notifier.notify(.ready(address: resources.listeners.text))
        guard let number = options.readyDescriptor else { return }
        do throws(SystemError) {
            try Descriptor(owning: number).write(Array(addresses.map { "listening on \($0)\n" }.joined().utf8))
        } catch {
            resources.log.write(.notAnnounced) { $0.text(.text, "--ready-fd \(number): \(error)") }
        }
    }
}

extension ServerOptions {
    /// Throws where a limit is one that the protocol does not know, or contradicts another.
    func checkLimits() throws(StartError) {
        let limits: [(Bool, String)] = [
            (timeout >= .milliseconds(Limits.leastDeadAfter), "timeout is under \(Limits.leastDeadAfter) ms"),
            (heartbeat >= .milliseconds(Limits.leastPingEvery), "heartbeat is under \(Limits.leastPingEvery) ms"),
            (maxFrame >= Limits.leastMaxFrame, "maxFrame is under \(Limits.leastMaxFrame)"),
            (maxMessage >= 1 && maxInFlight >= 1, "maxMessage and maxInFlight are 1 at least"),
            (maxQueued >= maxMessage, "maxQueued (\(maxQueued)) is under maxMessage (\(maxMessage))"),
            (
                memoryBudget ?? .max >= 2 * UInt64(maxMessage),
                "memoryBudget (\(memoryBudget ?? 0)) is under twice maxMessage (\(maxMessage)): a connection may hold half "
                    + "of it alone"
            ),
        ]
        if let (_, text) = limits.first(where: { !$0.0 }) { throw StartError(.badOptions, text) }
    }

    /// Throws where back-ends are to publish on a server without topics.
    func checkTopics() throws(StartError) {
        guard publishSocket != nil, !topics else { return }
        throw StartError(
            .badOptions, "publishSocket is set, and topics is not: there is nobody to publish to without topics")
    }

    /// Throws where `readyDescriptor` cannot be written to: the caller of the program must hand it over. `Server` checks this; a
    /// program that opens descriptors before, of which one may get the number, checks it first.
    public func checkReadyDescriptor() throws(StartError) {
        guard let number = readyDescriptor, !Descriptor.isUsable(number, forWriting: true) else { return }
        throw StartError(
            .badOptions,
            "--ready-fd \(number) is not open for writing: whoever starts the server hands it over, as in "
                + "server --ready-fd \(number) \(number)>ready")
    }

    /// Throws where `log` names a descriptor of this process, such as /dev/fd/7, that is not open. It is checked as
    /// `checkReadyDescriptor` is.
    public func checkLogDescriptor() throws(StartError) {
        guard let number = logDescriptor, number > 2, !Descriptor.isOpen(number) else { return }
        throw StartError(
            .badOptions,
            "--log \(log) is descriptor \(number), which is not open: whoever starts the server hands it over")
    }

    /// The descriptor of this process that `log` names, as /dev/fd/7 does; nil where it names something else.
    package var logDescriptor: Int32? {
        if case .file(let path) = log { ownDescriptor(atPath: path) } else { nil }
    }

    /// The title of a process, where it is to show what it does.
    var title: ProcessTitle? { showsTitles ? ProcessTitle.own : nil }
    /// How many slots there may have to be: for connections of clients and back-ends, and for processes that wait for
    /// one. Of processes with several, each may be left with a single one.
    var mostChildren: Int {
        let connections = maxConnections + (topics ? ConnectionAcceptor.mostBackEnds : 0)
        return connections + (pool?.most ?? 0) + (sharesProcesses ? connections : 0)
    }
}
