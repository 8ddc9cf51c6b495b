import Framing
import Liveness
import Posix

/// Calls a handler that answers at once, in the child's loop.
final class LoopWorker: Worker {
    private var handler: any Handler
    private let makeConnection: ConnectionMaker
    private let desk = Desk()
    private var longest = 0
    private var answers: [Desk.Product] = []

    init(_ handler: any Handler, _ makeConnection: @escaping ConnectionMaker) {
        self.handler = handler
        self.makeConnection = makeConnection
    }

    var width: Int { 1 }
    var deadline: Instant? { nil }
    var isOver: Bool { true }
    func entries(for connection: borrowing ServerConnection) -> [PollEntry] { [] }
    func cancel(_ id: UInt32) {}  // It has answered every request before the next frame is read.
    func signalled(_ signal: Int32, at now: Instant) {}
    func giveUp() {}

    func opened(_ hello: Hello, tokenName: String?) {
        longest = Int(hello.maxMessage)
        desk.tell(messageRoom: hello.short ? nil : longest, partRoom: 0, isOpen: true)
        handler.opened(makeConnection(hello, tokenName, desk))
        answers.append(.finished)
    }

    func take(_ request: Request) {
        answers.append(handler.answer(to: request) { Parts(collecting: longest) })
        answers.append(.finished)
    }

    func take(message: ArraySlice<UInt8>) {
        handler.received(message)
        answers.append(.finished)
    }

    func closed(_ ending: Ending) {
        desk.tell(messageRoom: nil, partRoom: 0, isOpen: false)
        handler.closed(ending)
    }

    func work(_ entries: ArraySlice<PollEntry>, on connection: inout ServerConnection, at now: Instant) {
        // What the handler said unasked goes ahead of the answer.
        desk.deliver(to: &connection, at: now)
        for answer in answers { answer.bring(to: &connection, at: now) }
        answers.removeAll(keepingCapacity: true)
        desk.tell(messageRoom: connection.messageRoom, partRoom: 0, isOpen: connection.departure == nil)
    }
}
