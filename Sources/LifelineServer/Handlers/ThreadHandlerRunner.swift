import Basics
import Framing
import Posix

/// Calls a handler on a thread of its own, so that it may block while the event loop answers heartbeats.
final class ThreadHandlerRunner: HandlerRunner {
    /// What goes over to the thread, and is never touched here again.
    private struct Moved: @unchecked Sendable {
        var handler: any Handler
    }

    private let handler: Moved
    private let makeConnection: ConnectionMaker
    private let mailbox: HandlerMailbox
    private var cancellation: Cancellation?
    private var startError: SystemError?
    private var request: UInt32?
    private(set) var isOver = false

    init(_ handler: any Handler, waking loop: LoopWaker, _ makeConnection: @escaping ConnectionMaker) {
        self.handler = Moved(handler: handler)
        self.makeConnection = makeConnection
        mailbox = HandlerMailbox(waking: loop)
    }

    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant) {
        // The first request may be on its way to the handler before the loop waits for the first time.
        mailbox.updateCredit(connection.messageRoom, partRoom: 0, isOpen: true)
        do {
            let moved = handler
            let mailbox = mailbox
            try startThread(named: "handler") {
                withCrashStack {
                    var handler = moved.handler
                    serve(&handler, mailbox)
                }
            }
            mailbox.enqueue(.opened(makeConnection(hello, tokenName, mailbox)))
        } catch {
            startError = error
        }
    }

    func respond(to request: Request, on connection: inout ServerConnection, at now: Instant) {
        let cancellation = Cancellation(mailbox)
        self.cancellation = cancellation
        self.request = request.id
        mailbox.enqueue(.request(Request(id: request.id, bytes: request.bytes, cancellation: cancellation)))
    }

    func received(_ message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        mailbox.enqueue(.message(message))
    }

    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {
        if request == id { cancellation?.cancel() }
    }

    func asked(
        _ token: UInt64, _ outcome: ServerRequests.AskOutcome, on connection: inout ServerConnection, at now: Instant
    ) {
        mailbox.settle(token, outcome)
    }

    func closed(_ reason: CloseReason) {
        mailbox.end(reason)
        // A handler whose thread never started has nothing to end.
        if startError != nil { isOver = true } else { mailbox.enqueue(.closed(reason)) }
    }

    func deliver(to connection: inout ServerConnection, at now: Instant) {
        if let startError, !connection.isClosing {
            connection.stop(CloseCause(.internal, "the server cannot start a thread: \(startError.text)"))
        }
        for output in mailbox.drain() {
            if case .over = output { isOver = true }
            connection.apply(output, at: now)
        }
    }

    func willWait(_ credit: HandlerCredit, adding set: inout PollSet) {
        mailbox.updateCredit(
            credit.messageRoom, partRoom: request == nil ? 0 : credit.partRoom, isOpen: credit.isOpen)
    }
}

/// The life of the handler's thread.
private func serve(_ handler: inout some Handler, _ mailbox: HandlerMailbox) {
    while true {
        switch mailbox.next() {
        case .opened(let connection):
            handler.opened(connection)
            mailbox.finish()
        case .request(let request):
            mailbox.finish(with: handler.output(for: request) { Parts(to: mailbox, for: request) })
            request.cancellation?.end()
        case .message(let message):
            handler.received(message)
            mailbox.finish(with: .handled(cost: Credit.cost(of: message.count)))
        case .closed(let reason):
            handler.closed(reason)
            return mailbox.post(.over)
        }
    }
}
