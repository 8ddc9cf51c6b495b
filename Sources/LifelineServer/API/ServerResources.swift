import Inheritance
import Posix

/// What a server holds from its start on, acquired in this order, before it serves.
///
/// A failure after the listener is open removes the files of its sockets again.
struct ServerResources: ~Copyable {
    let descriptors = ParentDescriptors()
    /// What the process was started with.
    let start: ProcessStart
    let pidfile: Pidfile?
    let commands: ChildCommands
    let log: Log
    let childSignals: SignalDescriptor
    let cleanData: CleanData
    let listeners: [ServerListener]
    /// Where back-ends publish; nil where they do not.
    let backEndListener: ServerListener?
    let signals: SignalDescriptor
    var memory: ChildRegistry.Memory
    let admin: AdminServer.Listeners
    /// The account that the server has become; nil where it stays what it was.
    let account: Account?
    let tokenFile: TokenFile?
    /// Nil without `ServerOptions.topics`.
    let router: RouterSupervisor?
    let notifier: ServiceNotifier

    /// Acquires all; throws what is wrong with an option, or what the system refused.
    init(_ options: ServerOptions) throws(StartError) {
        try StartError.checkThreads()
        try options.checkLimits()
        try options.checkTopics()
        try options.checkReadyDescriptor()
        try options.checkLogDescriptor()
        let start = try ServerResources.takeStock(options)
        for number in [options.readyDescriptor, options.logDescriptor] {
            if let number { ProcessStart.claim(number) }
        }
        let account = try Account.named(in: options)
        var tokenFile = try options.tokenFile.map { path throws(StartError) in try TokenFile(path) }
        installCrashHandlers(notice: ConnectionProcess.crashNotice)
        let path = options.pidfile
        let pidfile = path == nil ? nil : try Pidfile(at: path!)
        let commands = try ServerResources.needing("shared memory") { () throws(SystemError) in
            try ChildCommands(slots: options.mostChildren, level: options.logLevel)
        }
        let log = try ServerResources.openLog(options, commands)
        let descriptors = descriptors
        let router =
            options.topics
            ? try ServerResources.needing("a router") { () throws(SystemError) in
                try RouterSupervisor(in: descriptors)
            } : nil
        let childSignals = try ServerResources.needing("signals") { () throws(SystemError) in
            try ConnectionProcess.signals(but: start.ignoredSignals)
        }
        let cleanData = CleanData()
        let listeners = try ServerListener.all(options, in: descriptors)
        let signals = try ServerResources.openSignals(start)
        let memory = try ServerResources.needing("memory") { () throws(SystemError) in
            try ChildRegistry.Memory(slots: options.mostChildren)
        }
        var admin = AdminServer.Listeners()
        var backEndListener: ServerListener?
        do throws(StartError) {
            try admin.open(options, owner: account)
            backEndListener = try ServerListener.ofBackEnds(options, owner: account, in: descriptors)
            if let account {
                try account.become()
                // What root could read may be closed to this user, and then no change of it could be read either.
                tokenFile = try options.tokenFile.map { path throws(StartError) in
                    try TokenFile(path, ownGroup: account.group)
                }
            }
            try ServerResources.needing("no_new_privs") { () throws(SystemError) in try forbidNewPrivileges() }
        } catch {
            for listener in listeners { listener.removeFile() }
            backEndListener?.removeFile()
            admin.removeFile()
            throw error
        }
        self.start = start
        self.pidfile = pidfile
        self.commands = commands
        self.log = log
        self.router = router
        self.childSignals = childSignals
        self.cleanData = cleanData
        self.listeners = listeners
        self.backEndListener = backEndListener
        self.signals = signals
        self.memory = memory
        self.admin = admin
        self.account = account
        self.tokenFile = tokenFile
        notifier = ServiceNotifier(in: descriptors)
    }

    /// Removes the files of the sockets that it listens on: nothing will answer there.
    borrowing func removeSocketFiles() {
        for listener in listeners { listener.removeFile() }
        backEndListener?.removeFile()
        admin.removeFile()
    }

    private static func openLog(_ options: ServerOptions, _ commands: ChildCommands) throws(StartError) -> Log {
        do throws(SystemError) {
            return try Log(
                level: options.logLevel, format: options.logFormat, destination: options.log,
                floodLines: options.logFlood, commands: commands)
        } catch {
            throw StartError(
                .cannotOpen, "cannot open the log \(options.log): \(error.text) (\(error.call))", cause: error)
        }
    }

    /// Takes stock of what the process was started with; throws where it cannot serve with that.
    private static func takeStock(_ options: ServerOptions) throws(StartError) -> ProcessStart {
        _ = ProcessStart.current
        // Each process that waits for a connection has a channel.
        // The router has a descriptor for each process with connections.
        if options.topics { ProcessStart.needFiles(UInt64(256 + options.mostChildren)) }
        if let pool = options.pool { ProcessStart.needFiles(256 + UInt64(pool.most)) }
        if options.sharesProcesses { ProcessStart.needFiles(max(options.filesOfSharedProcess, options.filesOfParent)) }
        let start = ProcessStart.current
        if let refusal = start.refusal { throw StartError(.refused, refusal) }
        try options.checkSharing(files: ProcessLimit.files.current)
        return start
    }

    private static func openSignals(_ start: ProcessStart) throws(StartError) -> SignalDescriptor {
        try needing("signals") { () throws(SystemError) in
            try SignalDescriptor(
                [
                    Signal.terminate, Signal.interrupt, Signal.quit, Signal.reload, Signal.reopen, Signal.childEnded,
                    Signal.call,
                ].filter { !start.ignoredSignals.contains($0) }
                    + (start.hasProcessorTimeLimit ? [Signal.processorTimeOver] : []))
        }
    }

    /// What `acquire` returns: something that the system gives every process as a rule. Throws its refusal as one of
    /// `what`.
    private static func needing<Value: ~Copyable>(
        _ what: String, _ acquire: () throws(SystemError) -> Value
    ) throws(StartError) -> Value {
        do throws(SystemError) {
            return try acquire()
        } catch {
            throw StartError(.refused, "cannot have \(what): \(error.text) (\(error.call))", cause: error)
        }
    }
}
