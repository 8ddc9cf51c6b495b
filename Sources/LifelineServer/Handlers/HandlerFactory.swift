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
    let make: (Log, ServerOptions) -> ChildLauncher.RunnerMaker

    init<ConnectionHandler: Handler>(_ makeHandler: @escaping () -> ConnectionHandler) {
        leavesOrphans = false
        againstReuse = ConnectionHandler.mayBeReused ? nil : .handler
        againstSharing = ConnectionHandler.mayShare ? nil : .handler
        make = { log, _ in
            { host, _, id, peer, client in
                // The runners are not generic: the runtime would have to make their types in each child anew.
                let handler: any Handler = makeHandler()
                let makeConnection: ConnectionMaker = { hello, tokenName, mailbox in
                    Connection(
                        id: id, address: peer, client: client, hello: hello, tokenName: tokenName, mailbox: mailbox,
                        tie: host.tie)
                }
                if handler.answersAtOnce {
                    return InlineHandlerRunner(
                        handler, waking: host.waker, sharesProcess: host.threads != nil, makeConnection)
                }
                guard let threads = host.threads else {
                    return ThreadHandlerRunner(handler, waking: host.waker, makeConnection)
                }
                return PooledHandlerRunner(
                    handler, on: threads, waking: host.waker, log: log, blaming: host.crashNotice, makeConnection)
            }
        }
    }

    init(_ program: Program) {
        leavesOrphans = true
        againstReuse = .program
        againstSharing = .program
        let server = processID
        make = { log, options in
            { _, socket, id, peer, client in
                let environment = ProgramEnvironment(
                    server: server, connection: id, peer: peer, local: socket.localAddress, client: client)
                return ProgramRunner(
                    program, environment, timeout: options.handlerTimeout, patience: options.grace, log: log)
            }
        }
    }
}
