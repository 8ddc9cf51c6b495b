import Basics
import Framing
import Posix

/// Calls a handler that answers at once, in the event loop itself. Every connection of the loop waits meanwhile.
final class InlineHandlerRunner: HandlerRunner {
    // Only the loop's thread comes here, so its accesses need no check.
    @exclusivity(unchecked) private var handler: any Handler
    private var makeConnection: ConnectionMaker?
    /// Nil where the handler has not kept its connection, in a process with several.
    private var mailbox: HandlerMailbox?
    private let sharesProcess: Bool
    private var longestAnswer = 0
    /// The credit that the mailbox has.
    @exclusivity(unchecked) private var credit = (messageRoom: MessageRoom.none, isOpen: true)

    /// What the credit's room for messages follows from.
    @exclusivity(unchecked) private var basis: (changes: Int, waiting: Int)?

    /// In a process with several connections the memory counts that each of them holds: with `sharesProcess` it is given back.
    init(
        _ handler: any Handler, waking loop: LoopWaker, sharesProcess: Bool = false,
        _ makeConnection: @escaping ConnectionMaker
    ) {
        self.handler = handler
        self.sharesProcess = sharesProcess
        self.makeConnection = makeConnection
        mailbox = HandlerMailbox(waking: loop)
    }

    var loopWaits: Bool { false }

    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant) {
        longestAnswer = Int(hello.maxMessage)
        updateCredit(connection.messageRoom, isOpen: true)
        if let makeConnection, let mailbox { handler.opened(makeConnection(hello, tokenName, mailbox)) }
        handlerReturned(on: &connection, at: now)
        guard sharesProcess else { return }
        makeConnection = nil
        if isKnownUniquelyReferenced(&mailbox) { mailbox = nil }
    }

    func respond(to request: Request, on connection: inout ServerConnection, at now: Instant) {
        let output = handler.output(for: request) { Parts(collecting: longestAnswer) }
        connection.requests.now = .now
        // What the handler sent unasked goes ahead of the answer.
        drain(to: &connection, at: now)
        connection.apply(output, at: now)
        handlerReturned(on: &connection, at: now)
    }

    func received(_ message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        handler.received(message)
        connection.messageHandled(cost: Credit.cost(of: message.count))
        handlerReturned(on: &connection, at: now)
    }

    var hearing: NewsHearing { type(of: handler).hearing }

    func told(_ item: HandlerNews.NewsItem, on connection: inout ServerConnection, at now: Instant) {
        let output = handler.output(for: item)
        drain(to: &connection, at: now)
        if let output { connection.apply(output, at: now) }
        handlerReturned(on: &connection, at: now)
    }

    func asked(
        _ token: UInt64, _ outcome: ServerRequests.AskOutcome, on connection: inout ServerConnection, at now: Instant
    ) {
        mailbox?.settle(token, outcome)
    }

    func closed(_ reason: CloseReason) {
        credit.messageRoom.longest = nil
        updateCredit(credit.messageRoom, isOpen: false)
        mailbox?.end(reason)
        handler.closed(reason)
    }

    func deliver(to connection: inout ServerConnection, at now: Instant) {
        guard mailbox != nil else { return }
        drain(to: &connection, at: now)
        // As a rule nothing was sent since, and to look at that is less than to work it out.
        let (basis, isOpen) = (connection.messageRoomBasis, !connection.isClosing)
        if let basis, let last = self.basis, basis == last, isOpen == credit.isOpen { return }
        self.basis = basis
        let room = connection.messageRoom
        if room != credit.messageRoom || isOpen != credit.isOpen { updateCredit(room, isOpen: isOpen) }
    }

    private func handlerReturned(on connection: inout ServerConnection, at now: Instant) {
        connection.handlerReturned()
        deliver(to: &connection, at: now)
    }

    /// Applies what the handler has sent unasked. That has used up credit of the mailbox.
    @inline(__always) private func drain(to connection: inout ServerConnection, at now: Instant) {
        if let mailbox, !mailbox.isEmpty { applyOutputs(of: mailbox, to: &connection, at: now) }
    }

    private func applyOutputs(of mailbox: HandlerMailbox, to connection: inout ServerConnection, at now: Instant) {
        for output in mailbox.drain() { connection.apply(output, at: now) }
        updateCredit(connection.messageRoom, isOpen: !connection.isClosing)
    }

    private func updateCredit(_ messageRoom: MessageRoom, isOpen: Bool) {
        credit = (messageRoom, isOpen)
        mailbox?.updateCredit(messageRoom, partRoom: 0, isOpen: isOpen)
    }
}
