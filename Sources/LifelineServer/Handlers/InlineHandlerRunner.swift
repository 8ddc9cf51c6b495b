import Basics
import Framing
import Posix

/// Calls a handler that answers at once, in the child's loop.
final class InlineHandlerRunner: HandlerRunner {
    // No one else can reach it, so its accesses need no check.
    @exclusivity(unchecked) private var handler: any Handler
    private let makeConnection: ConnectionMaker
    private let desk = HandlerMailbox()
    private var longest = 0
    /// What the desk was told last.
    private var told: (messageRoom: Int?, isOpen: Bool) = (nil, true)

    init(_ handler: any Handler, _ makeConnection: @escaping ConnectionMaker) {
        self.handler = handler
        self.makeConnection = makeConnection
    }

    var deadline: Instant? { nil }
    var isOver: Bool { true }
    func append(to entries: inout [PollEntry], for connection: inout ServerConnection) {}
    func signalled(_ signal: Int32, at now: Instant) {}
    func giveUp() {}

    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant) {
        longest = Int(hello.maxMessage)
        tell(messageRoom: hello.short ? nil : longest, isOpen: true)
        handler.opened(makeConnection(hello, tokenName, desk))
        finish(on: &connection, at: now)
    }

    func take(_ request: Request, on connection: inout ServerConnection, at now: Instant) {
        let answer = handler.answer(to: request) { Parts(collecting: longest) }
        // What the handler said unasked goes ahead of the answer.
        fetch(for: &connection, at: now)
        answer.bring(to: &connection, at: now)
        finish(on: &connection, at: now)
    }

    func take(message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        handler.received(message)
        finish(on: &connection, at: now)
    }

    // It has answered every request before the next frame is read.
    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {}

    func closed(_ ending: CloseReason) {
        tell(messageRoom: nil, isOpen: false)
        handler.closed(ending)
    }

    func work(_ entries: ArraySlice<PollEntry>, on connection: inout ServerConnection, at now: Instant) {
        fetch(for: &connection, at: now)
        let (room, isOpen) = (connection.messageRoom, !connection.isClosing)
        if room != told.messageRoom || isOpen != told.isOpen { tell(messageRoom: room, isOpen: isOpen) }
    }

    /// The handler has come back from what it was given.
    private func finish(on connection: inout ServerConnection, at now: Instant) {
        connection.handlerReturned()
        work([], on: &connection, at: now)
    }

    /// Brings what the handler has said unasked. That has taken of the room which the desk was told.
    private func fetch(for connection: inout ServerConnection, at now: Instant) {
        guard desk.isCalled else { return }
        desk.deliver(to: &connection, at: now)
        tell(messageRoom: connection.messageRoom, isOpen: !connection.isClosing)
    }

    private func tell(messageRoom: Int?, isOpen: Bool) {
        told = (messageRoom, isOpen)
        desk.tell(messageRoom: messageRoom, partRoom: 0, isOpen: isOpen)
    }
}
