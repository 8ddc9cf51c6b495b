import Framing
import Posix

/// Makes the handler runners of a server: of its handler, or of its program.
struct HandlerFactory {
    /// Whether children may leave processes behind.
    let leavesOrphans: Bool
    /// Why a process serves one connection only; nil where it may serve several.
    let againstReuse: ReuseObstacle?
    /// Why a process serves one connection at a time only; nil where it may serve several.
    let againstSharing: ReuseObstacle?
    /// Makes what makes the runners of clients.
    private let make: (Log, ServerOptions) -> ChildLauncher.RunnerMaker

    init<ConnectionHandler: Handler>(_ makeHandler: @escaping () -> ConnectionHandler) {
        leavesOrphans = false
        againstReuse = ConnectionHandler.mayBeReused ? nil : .handler
        againstSharing = ConnectionHandler.mayShare ? nil : .handler
        make = { log, _ in
            { host, _, assignment, client in
                HandlerFactory.runner(of: makeHandler(), in: host, for: assignment, client, log: log)
            }
        }
    }

    init(_ program: Program) {
        leavesOrphans = true
        againstReuse = .program
        againstSharing = .program
        let server = processID
        make = { log, options in
            { _, socket, assignment, client in
                let environment = ProgramEnvironment(
                    server: server, connection: assignment.connection, peer: assignment.peer,
                    local: socket.localAddress, client: client, publishSocket: options.publishSocket)
                return ProgramRunner(
                    program, environment, timeout: options.handlerTimeout, patience: options.grace, log: log)
            }
        }
    }

    /// Makes what makes the runners of all connections. The handler of back-ends is the server's own.
    func maker(_ log: Log, _ options: ServerOptions) -> ChildLauncher.RunnerMaker {
        let make = make(log, options)
        return { host, socket, assignment, client in
            guard assignment.isBackEnd else { return make(host, socket, assignment, client) }
            return HandlerFactory.runner(of: PushHandler(log: log), in: host, for: assignment, client, log: log)
        }
    }

    /// Makes the runner of one connection.
    ///
    /// The runners are not generic: the runtime would have to make their types in each child anew. The warm-up comes here
    /// too, for the types that the closure copies.
    static func runner(
        of handler: any Handler, in host: HandlerHost, for assignment: ConnectionAssignment, _ client: ProxiedClient?,
        log: Log
    ) -> any HandlerRunner {
        let makeConnection: ConnectionMaker = { hello, tokenName, mailbox in
            Connection(
                id: assignment.connection, address: assignment.peer, client: client, hello: hello,
                tokenName: tokenName, mailbox: mailbox, tie: host.tie, isReachable: !assignment.isBackEnd)
        }
        if handler.answersAtOnce {
            return InlineHandlerRunner(
                handler, waking: host.waker, sharesProcess: host.threads != nil, makeConnection)
        }
        // A back-end may wait for a client, whose handler needs one of the threads that all have in common.
        guard let threads = host.threads, !assignment.isBackEnd else {
            return ThreadHandlerRunner(handler, waking: host.waker, makeConnection)
        }
        return PooledHandlerRunner(
            handler, on: threads, waking: host.waker, log: log, blaming: host.crashNotice, makeConnection)
    }
}
