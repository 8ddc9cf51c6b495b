import LifelineClient
import Posix
import Synchronization

/// Prints the events of a connection to standard error, and keeps the error that closed it for good.
final class EventPrinter: Sendable {
    private struct State {
        var error: ConnectionError?
        /// The last loss that was printed. The attempt that follows need not repeat it.
        var shownLoss: ConnectionError?
        /// The last failure before the first connection that was printed, while a server is waited for.
        var shownFailure: ConnectionError?
        var hasBeenOpen = false
        var whenClosed: (@Sendable () -> Void)?
        var whenOpened: (@Sendable () -> Void)?
        /// The message that the command waits for an answer to.
        var number: Int?
        /// The messages of --send that were not sent: they have none of the connection's numbers.
        var unsent: [Int] = []
        /// Notes that the connection is away: where no message waits for it, they tell nothing.
        var heldNotes: [String] = []
        /// The numbers of the messages whose transfers were shown: their last event may come when the next has begun.
        var shown: [TransferDirection: Int] = [:]
    }

    private let console: Console
    private static let heldFor = Duration.milliseconds(200)
    private let isVerbose: Bool
    private let isJSON: Bool
    /// Whether notes are held back while no message waits.
    private let holdsBack: Bool
    private let shared = Mutex(State())
    /// The order of the lines of JSON, on a long connection.
    let order: EventOrder?

    /// A printer; with `holdsBack` it says that the connection is away only where something waits for it, or it stays away.
    init(_ console: Console, isVerbose: Bool, isJSON: Bool = false, holdsBack: Bool = false, order: EventOrder? = nil) {
        self.order = order
        self.console = console
        self.isVerbose = isVerbose
        self.isJSON = isJSON
        self.holdsBack = holdsBack && !isVerbose
    }

    /// The error that closed the connection; nil while it lasts, and where the program closed it.
    var error: ConnectionError? { shared.withLock { $0.error } }

    /// Calls `body` when an error closes the connection for good, or at once where one has.
    func whenClosed(_ body: @escaping @Sendable () -> Void) {
        let isClosed = shared.withLock { shared in
            shared.whenClosed = body
            return shared.error != nil
        }
        if isClosed { body() }
    }

    /// Calls `body` whenever a connection is open again.
    func whenOpened(_ body: @escaping @Sendable () -> Void) { shared.withLock { $0.whenOpened = body } }

    func show(_ event: ConnectionEvent) {
        defer { order?.shown() }
        if case .reconnected = event { shared.withLock { $0.whenOpened }?() }
        if isJSON { return showJSON(event) }
        switch event {
        case .connected(let terms):
            let wasWaitedFor = shared.withLock { shared in
                shared.hasBeenOpen = true
                return shared.shownFailure != nil
            }
            if isVerbose || wasWaitedFor { console.note("connected, \(terms.summary)") }
        case .reconnected(let terms):
            tellHeldNotes()
            console.note("connected again, \(terms.summary)")
        case .roundTrip(let time):
            if isVerbose { console.note("heartbeat, round trip \(time.text)") }
        case .beatLate(let waited, let lastRoundTrip):
            let last = lastRoundTrip.map { "; the last round trip took \($0.text)" } ?? ""
            console.note("the server's heartbeat is late: no answer for \(waited.text)\(last)")
        case .pathTooLong(let roundTrip, let deadAfter):
            console.note(
                "the path is too long for the heartbeat: a round trip takes \(roundTrip.text), and silence of "
                    + "\(deadAfter.text) ends the connection; set --dead-after, or the server's --timeout, to more than "
                    + "\((roundTrip * 2).text)")
        case .transfer(let progress):
            if isVerbose { show(progress) }
        case .goingAway(let code, let text, let retryAfter):
            let wish = retryAfter > .zero ? "; it asks to come back after \(retryAfter.text)" : ""
            note(away: "the server is going away: \(code)\(text.isEmpty ? "" : ", " + text)\(wish)")
        case .lost(let error):
            shared.withLock { $0.shownLoss = error }
            note(away: "connection lost: \(error)")
        case .reconnecting(let error, let wait, let attempt):
            let (isShown, isNews) = shared.withLock { shared in
                let isNews = shared.hasBeenOpen || shared.shownFailure != error
                if !shared.hasBeenOpen { shared.shownFailure = error }
                return (shared.shownLoss.take() == error, isNews)
            }
            // While a server is waited for, the same failure each second is told once.
            guard isNews || isVerbose else { return }
            let next =
                wait == .zero ? "trying the next server" : "connecting again in \(wait.text), attempt \(attempt)"
            if attempt > 1 { tellHeldNotes() }
            note(away: "\(isShown ? "" : "\(error); ")\(next)")
        case .messagesUnconfirmed(let numbers):
            let first = number(ofSent: numbers.lowerBound)
            console.note(
                "nothing is known of \(numbers.count) one-way messages, from message \(first) on: the connection ended before "
                    + "the server told that it has handled them")
        case .messagesDropped(let count):
            console.note("\(count) messages of the server were dropped unread")
        case .closed(let error):
            closed(error)
        }
    }

    /// Prints a line of JSON on standard output, of heartbeats and transfers with --verbose alone.
    private func showJSON(_ event: ConnectionEvent) {
        switch event {
        case .roundTrip, .transfer: guard isVerbose else { return }
        case .messagesUnconfirmed(let numbers):
            let (first, last) = (number(ofSent: numbers.lowerBound), number(ofSent: numbers.upperBound))
            return console.write(JSONLine(.messagesUnconfirmed(numbers: first...last)).line)
        case .closed(let error):
            console.write(JSONLine(event).line)
            return closed(error)
        default: break
        }
        console.write(JSONLine(event).line)
    }

    /// Shows the events of a short connection: what happens between its opening and its end.
    func showShort(_ event: ConnectionEvent) {
        switch event {
        case .roundTrip, .beatLate, .pathTooLong, .transfer: show(event)
        default: break
        }
    }

    /// Prints that the connection is away, or holds that back for as long as the last answer may be on its way to the
    /// command.
    private func note(away text: String) {
        let mayBeOver = holdsBack && shared.withLock { $0.hasBeenOpen && $0.error == nil }
        guard mayBeOver else { return console.note(text) }
        let waiting = shared.withLock { shared in
            shared.heldNotes.append(text)
            return shared.number
        }
        guard let waiting else { return }
        Task {
            try? await Task.sleep(for: EventPrinter.heldFor)
            if shared.withLock({ $0.number == waiting }) { tellHeldNotes() }
        }
    }

    /// Prints what was held back.
    func tellHeldNotes() {
        for text in shared.withLock({ shared in
            defer { shared.heldNotes = [] }
            return shared.heldNotes
        }) { console.note(text) }
    }

    /// Notes that a message of --send was not sent.
    func isUnsent(_ number: Int) { shared.withLock { $0.unsent.append(number) } }

    /// The command's number of the message that the connection knows by `number`.
    private func number(ofSent number: Int) -> Int {
        shared.withLock { shared in shared.unsent.reduce(number) { $1 <= $0 ? $0 + 1 : $0 } }
    }

    /// Notes that the command waits for the answer to a message; nil for none.
    func waits(for number: Int?) {
        shared.withLock { $0.number = number }
        if number != nil { tellHeldNotes() }
        if number == nil { console.draw(nil) }
    }

    /// Shows the progress of a message: a bar on a terminal, and lines elsewhere.
    private func show(_ progress: TransferProgress) {
        let (number, isCurrent) = shared.withLock { shared in
            let id = progress.isServerRequest ? nil : progress.request
            let number = id.map { progress.number ?? shared.shown[progress.direction] ?? Int($0) }
            shared.shown[progress.direction] = progress.isOver ? nil : number
            return (number, number == nil || number == shared.number)
        }
        let text = TransferText(progress: progress, number: number)
        guard console.hasBars else { return console.note(text.line) }
        if progress.isOver {
            console.draw(nil)
            console.note(text.line)
        } else if isCurrent {
            console.draw(text.bar(width: StandardStream.error.windowSize?.columns ?? TransferText.usualWidth))
        }
    }

    private func closed(_ error: ConnectionError) {
        // The program's own end is not printed and stops nothing.
        guard error.kind != .closedByProgram else { return }
        let whenClosed = shared.withLock { shared in
            shared.error = error
            return shared.whenClosed
        }
        tellHeldNotes()
        if !isJSON { console.note("no connection: \(error)") }
        whenClosed?()
    }
}

extension ConnectionTerms {
    fileprivate var summary: String {
        "\(server), number \(connection), a heartbeat every \(pingEvery.text), dead after \(deadAfter.text)"
    }
}
