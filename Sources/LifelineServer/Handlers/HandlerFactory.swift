import Framing
import Posix

/// Makes the handler runners of a server: of its handler, or of its program.
struct HandlerFactory {
    /// Whether children may leave processes behind.
    let leavesOrphans: Bool
    /// Why a process serves one connection only; nil where it may serve several.
    let againstReuse: ReuseObstacle?
    let make: (Log, ServerOptions) -> ChildLauncher.RunnerMaker

    init<ConnectionHandler: Handler>(_ makeHandler: @escaping () -> ConnectionHandler) {
        leavesOrphans = false
        againstReuse = ConnectionHandler.mayBeReused ? nil : .handler
        make = { _, _ in
            { _, id, peer, client in
                // The runners are not generic: the runtime would have to make their types in each child anew.
                let handler: any Handler = makeHandler()
                let makeConnection: ConnectionMaker = { hello, tokenName, mailbox in
                    Connection(
                        id: id, address: peer, client: client, hello: hello, tokenName: tokenName, mailbox: mailbox)
                }
                let waker = LoopWaker()
                return handler.answersAtOnce
                    ? InlineHandlerRunner(handler, waking: waker, makeConnection)
                    : ThreadHandlerRunner(handler, waking: waker, makeConnection)
            }
        }
    }

    init(_ program: Program) {
        leavesOrphans = true
        againstReuse = .program
        let server = processID
        make = { log, options in
            { socket, id, peer, client in
                let environment = ProgramEnvironment(
                    server: server, connection: id, peer: peer, local: socket.localAddress, client: client)
                return ProgramRunner(
                    program, environment, timeout: options.handlerTimeout, patience: options.grace, log: log)
            }
        }
    }
}
