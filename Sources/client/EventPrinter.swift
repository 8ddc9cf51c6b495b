import LifelineClient
import Synchronization

/// Prints the events of the long connection to standard error, and keeps the error that closed it for good.
final class EventPrinter: Sendable {
    private struct State {
        var error: ConnectionError?
        /// The last loss that was printed. The attempt that follows need not repeat it.
        var shownLoss: ConnectionError?
        var whenClosed: (@Sendable () -> Void)?
    }

    private let console: Console
    private let isVerbose: Bool
    private let shared = Mutex(State())

    init(_ console: Console, isVerbose: Bool) {
        self.console = console
        self.isVerbose = isVerbose
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

    func show(_ event: ConnectionEvent) {
        switch event {
        case .connected(let terms):
            if isVerbose { console.note("connected, \(terms.summary)") }
        case .reconnected(let terms):
            console.note("connected again, \(terms.summary)")
        case .roundTrip(let time):
            if isVerbose { console.note("heartbeat, round trip \(time.text)") }
        case .beatLate:
            console.note("the server's heartbeat is late")
        case .goingAway(let code, let text, let retryAfter):
            let wish = retryAfter > .zero ? "; it asks to come back after \(retryAfter.text)" : ""
            console.note("the server is going away: \(code)\(text.isEmpty ? "" : ", " + text)\(wish)")
        case .lost(let error):
            shared.withLock { $0.shownLoss = error }
            console.note("connection lost: \(error)")
        case .reconnecting(let error, let wait, let attempt):
            let isShown = shared.withLock { $0.shownLoss.take() == error }
            console.note("\(isShown ? "" : "\(error); ")connecting again in \(wait.text), attempt \(attempt)")
        case .messagesDropped(let count):
            console.note("\(count) messages of the server were dropped unread")
        case .closed(let error):
            closed(error)
        }
    }

    private func closed(_ error: ConnectionError) {
        // The program's own end is not printed and stops nothing.
        guard error.kind != .closedByProgram else { return }
        let whenClosed = shared.withLock { shared in
            shared.error = error
            return shared.whenClosed
        }
        console.note("no connection: \(error)")
        whenClosed?()
    }
}

extension ConnectionTerms {
    fileprivate var summary: String {
        "number \(connection), a heartbeat every \(pingEvery.text), dead after \(deadAfter.text)"
    }
}
