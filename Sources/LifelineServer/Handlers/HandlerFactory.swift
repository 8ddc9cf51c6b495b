import Framing
import Posix

/// What works for the connections of a server: handlers or programs.
struct HandlerFactory {
    /// Whether children may leave processes behind.
    let leavesOrphans: Bool
    /// Why a child serves one connection alone; nil where it may serve several.
    let againstReuse: ReuseObstacle?
    let make: (Log, ServerOptions) -> ChildLauncher.RunnerMaker

    init<ConnectionHandler: Handler>(_ makeHandler: @escaping () -> ConnectionHandler) {
        leavesOrphans = false
        againstReuse = ConnectionHandler.mayBeReused ? nil : .handler
        make = { _, _ in
            { _, id, peer in
                // The workers are not generic: the runtime would have to make their types in each child anew.
                let handler: any Handler = makeHandler()
                let connection: ConnectionMaker = { hello, tokenName, mailbox in
                    Connection(
                        id: id, address: peer, options: hello.options, tokenName: tokenName, mailbox: mailbox)
                }
                let loop = LoopWaker()
                return handler.answersAtOnce
                    ? InlineHandlerRunner(handler, waking: loop, connection)
                    : ThreadHandlerRunner(handler, waking: loop, connection)
            }
        }
    }

    init(_ program: Program) {
        leavesOrphans = true
        againstReuse = .program
        let server = processID
        make = { log, options in
            { socket, id, peer in
                let setting = ProgramEnvironment(server: server, connection: id, peer: peer, local: socket.localAddress)
                return ProgramRunner(program, setting, timeout: options.handlerTimeout, log: log)
            }
        }
    }
}

/// What reads the configuration again.
typealias Reloader = () throws(ReloadError) -> Reloaded

/// What SIGHUP is to change: the options of connections that come from now on, and what answers their requests.
public struct Reloaded {
    let options: ServerOptions
    let alsoKept: [String]
    let source: HandlerFactory

    /// `alsoKept` are names of settings outside `options` that have changed and cannot while the server runs; they are
    /// logged beside those that `options` has.
    public init<ConnectionHandler: Handler>(
        _ options: ServerOptions, alsoKept: [String] = [], _ makeHandler: @escaping () -> ConnectionHandler
    ) {
        self.options = options
        self.alsoKept = alsoKept
        source = HandlerFactory(makeHandler)
    }

    /// The same with programs in place of a handler.
    public init(_ options: ServerOptions, alsoKept: [String] = [], _ program: Program) {
        self.options = options
        self.alsoKept = alsoKept
        source = HandlerFactory(program)
    }
}
