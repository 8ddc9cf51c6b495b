import Framing
import Liveness
import Posix

/// Why a server cannot start: what was tried, what the system said, and what to do.
public struct StartError: Error, CustomStringConvertible, Sendable {
    /// A sentence for a person.
    public let description: String
    /// The system's reason, where there is one.
    public let cause: SystemError?
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
    private let listening: Listening
    private let signals: SignalDescriptor
    private let log: Log
    private let pidfile: Pidfile?
    private let supervisor: Supervisor
    /// Where it listens, with the port that the system chose.
    public var address: SocketAddress { listening.address }

    /// Listens; from now on connections are queued, and SIGTERM, SIGINT, SIGUSR1 and SIGCHLD wait for `run`.
    ///
    /// The pidfile is locked first, then the log is opened. A socket that a supervisor hands over (sd_listen_fds(3))
    /// takes the place of host and port. Throws what is wrong with an option, or what the system refused.
    public init(_ options: ServerOptions) throws(StartError) {
        try options.checkReadyDescriptor()
        Descriptor.openMissingStandardDescriptors()
        ignoreBrokenPipes()
        let path = options.pidfile
        let pidfile = path == nil ? nil : try Pidfile(at: path!)
        let log = try Server.openLog(options)
        let listening = try Listening(options)
        signals = try Server.signals()
        self.listening = listening
        self.log = log
        self.pidfile = pidfile
        supervisor = Supervisor()
        self.options = options
    }

    private static func openLog(_ options: ServerOptions) throws(StartError) -> Log {
        do throws(SystemError) {
            return try Log(
                level: options.logLevel, format: options.logFormat, destination: options.log,
                floodLines: options.logFlood)
        } catch {
            throw StartError(
                description: "cannot open the log \(options.log): \(error.text) (\(error.call))", cause: error)
        }
    }

    private static func signals() throws(StartError) -> SignalDescriptor {
        do throws(SystemError) {
            return try SignalDescriptor([Signal.terminate, Signal.interrupt, Signal.childEnded, Signal.reopen])
        } catch {
            throw StartError(description: "cannot wait for signals: \(error.text) (\(error.call))", cause: error)
        }
    }

    /// Serves until SIGTERM or SIGINT, and returns when every child has ended.
    ///
    /// `makeHandler` is called in the child, once for each connection.
    public consuming func run<ConnectionHandler: Handler>(_ makeHandler: @escaping () -> ConnectionHandler) {
        let address = address.description
        log.write(.info, "listening", [("address", .text(address)), ("pid", .number(UInt64(processID)))])
        tellReady(address)
        Parent(options, listening, signals, pidfile, supervisor, log, makeHandler).run()
    }

    private func tellReady(_ address: String) {
        supervisor.tell(.ready(address: address))
        guard let number = options.readyDescriptor else { return }
        do throws(SystemError) {
            try Descriptor(owning: number).write(Array("listening on \(address)\n".utf8))
        } catch {
            log.write(.warning, "not announced", [("text", .text("--ready-fd \(number): \(error)"))])
        }
    }
}

extension ServerOptions {
    /// Throws where nobody has handed the descriptor over that is to be told. `Server` does so; a program that opens
    /// others before, one of which may get the number, does it first.
    public func checkReadyDescriptor() throws(StartError) {
        guard let number = readyDescriptor, !Descriptor.isOpen(number) else { return }
        throw StartError(
            description: "--ready-fd \(number) is not open: whoever starts the server hands it over, as in "
                + "server --ready-fd \(number) \(number)>ready", cause: nil)
    }
}
