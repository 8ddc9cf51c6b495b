import Basics
import Framing
import Posix

/// Calls a handler on a thread of its own, so that it may block while the child's loop answers heartbeats.
final class ThreadHandlerRunner: HandlerRunner {
    /// What goes over to the thread, and is never touched here again.
    private struct Moved: @unchecked Sendable {
        var handler: any Handler
    }

    private let handler: Moved
    private let makeConnection: ConnectionMaker
    private let desk = HandlerMailbox()
    private var cancellation: Cancellation?
    private var trouble: SystemError?
    private var request: UInt32?
    private(set) var isOver = false

    init(_ handler: any Handler, _ makeConnection: @escaping ConnectionMaker) {
        self.handler = Moved(handler: handler)
        self.makeConnection = makeConnection
    }

    var deadline: Instant? { nil }
    func signalled(_ signal: Int32, at now: Instant) {}
    func giveUp() {}

    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant) {
        // The first request may be here, and on its way to the handler, before the loop waits for the first time.
        desk.tell(messageRoom: connection.messageRoom, partRoom: 0, isOpen: true)
        do {
            let moved = handler
            let desk = desk
            try startThread(named: "handler") {
                withCrashStack {
                    var handler = moved.handler
                    serve(&handler, desk)
                }
            }
            desk.put(.opened(makeConnection(hello, tokenName, desk)))
        } catch {
            trouble = error
        }
    }

    func take(_ request: Request, on connection: inout ServerConnection, at now: Instant) {
        let cancellation = Cancellation(desk)
        self.cancellation = cancellation
        self.request = request.id
        desk.put(.request(Request(id: request.id, bytes: request.bytes, cancellation: cancellation)))
    }

    func take(message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        desk.put(.message(message))
    }

    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {
        if request == id { cancellation?.cancel() }
    }

    func closed(_ ending: CloseReason) {
        // What could not begin has nothing to end.
        if trouble != nil { isOver = true } else { desk.put(.closed(ending)) }
    }

    func append(to entries: inout [PollEntry], for connection: inout ServerConnection) {
        desk.tell(
            messageRoom: connection.messageRoom, partRoom: request.map { connection.room(for: $0) } ?? 0,
            isOpen: !connection.isClosing)
    }

    func work(_ entries: ArraySlice<PollEntry>, on connection: inout ServerConnection, at now: Instant) {
        if let trouble, !connection.isClosing {
            connection.stop(CloseCause(.internal, "the server cannot start a thread: \(trouble.text)"))
        }
        if desk.deliver(to: &connection, at: now) { isOver = true }
    }
}

/// The life of the handler's thread.
private func serve(_ handler: inout some Handler, _ desk: HandlerMailbox) {
    while true {
        switch desk.next() {
        case .opened(let connection):
            handler.opened(connection)
            desk.finish()
        case .request(let request):
            desk.finish(with: handler.answer(to: request) { Parts(to: desk, for: request) })
        case .message(let message):
            handler.received(message)
            desk.finish()
        case .closed(let ending):
            handler.closed(ending)
            return desk.make(.over)
        }
    }
}
