import Basics
import Framing
import Posix

/// Works on the requests of one connection: in the event loop, on a thread beside it, or in a program.
///
/// The driver hands it one event at a time and never waits for it. What the runner makes of an event it applies to the
/// connection before it returns, or keeps until the driver calls `deliver`, each time the loop wakes.
protocol HandlerRunner: AnyObject {
    /// Whether the loop waits for the runner: only then are `willWait`, `deadline` and `hasWaited` called.
    var loopWaits: Bool { get }
    /// Whether the runner itself ends a request that exceeds `ServerOptions.handlerTimeout`.
    var enforcesTimeout: Bool { get }

    /// The handshake is done; `tokenName` is the name of the client's token.
    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant)
    /// A request has come; the runner answers it.
    func respond(to request: Request, on connection: inout ServerConnection, at now: Instant)
    /// A one-way message has come.
    func received(_ message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant)
    /// The request's answer is not wanted any more: the runner need not finish it.
    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant)
    /// A request of the server has its outcome (`ServerConnection.ask`), which was given this token.
    func asked(
        _ token: UInt64, _ outcome: ServerRequests.AskOutcome, on connection: inout ServerConnection, at now: Instant)
    /// What of the news the handler is brought.
    var hearing: NewsHearing { get }
    /// Others have said something that the handler is to hear of.
    func told(_ item: HandlerNews.NewsItem, on connection: inout ServerConnection, at now: Instant)
    /// Applies the answers and messages made since, and says when the handler has returned.
    func deliver(to connection: inout ServerConnection, at now: Instant)
    /// The connection has ended. Called once, behind everything else, and only where `opened` was called.
    func closed(_ reason: CloseReason)

    /// The loop is about to wait. The runner takes note of what the connection takes now, and adds what the loop is to
    /// wait for on its behalf.
    func willWait(_ credit: HandlerCredit, adding set: inout PollSet)
    /// When the loop has to wake for the runner at the latest; asked behind `willWait`.
    var deadline: Instant? { get }
    /// The loop has waited. The runner takes note of what is ready; `deliver` follows.
    func hasWaited(_ set: PollSet)
    /// A process that the runner started has ended, or another child of this process.
    func childEnded(at now: Instant)

    /// Whether it has requests, although it can take the next event: then the loop waits for it as for the client.
    var isWorking: Bool { get }
    /// Whether nothing runs any more, once `closed` was called.
    var isOver: Bool { get }
    /// Ends what still runs, now: the connection is over, and its process ends or serves another.
    func cancelAll()
}

extension HandlerRunner {
    var enforcesTimeout: Bool { false }
    var hearing: NewsHearing { .nothing }
    func told(_ item: HandlerNews.NewsItem, on connection: inout ServerConnection, at now: Instant) {
        connection.handlerReturned()
    }
    var loopWaits: Bool { true }
    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {}
    func asked(
        _ token: UInt64, _ outcome: ServerRequests.AskOutcome, on connection: inout ServerConnection, at now: Instant
    ) {}
    func willWait(_ credit: HandlerCredit, adding set: inout PollSet) {}
    var deadline: Instant? { nil }
    func hasWaited(_ set: PollSet) {}
    func childEnded(at now: Instant) {}
    var isWorking: Bool { false }
    var isOver: Bool { true }
    func cancelAll() {}
}

/// What the connection takes of its handler now: flow control by credit.
struct HandlerCredit {
    var messageRoom: MessageRoom
    /// How many bytes are taken of a response in parts: that of the request that the handler works on.
    var partRoom: Int
    /// Whether a whole response need not wait for the client to take others.
    var hasAnswerRoom: Bool
    /// Whether CLOSE is not queued yet.
    var isOpen: Bool
    /// Whether something waits for the client to take it.
    var hasUnsent: Bool
    /// How many messages and frames wait for that.
    var waitingCount: Int
}

extension Handler {
    /// What the handler is brought of the news.
    static var hearing: NewsHearing { seesPublications ? .all : .gaps }

    /// The handler's output for what others have said; nil for nothing.
    mutating func output(for item: HandlerNews.NewsItem) -> HandlerOutput? {
        switch item {
        case .publication(let publication):
            return received(publication).map { .forward($0, topic: publication.topic) }
        case .gap(let gap):
            missed(gap)
            return nil
        }
    }

    /// The handler's output for `request`; `parts` makes the way out for a response in parts.
    mutating func output(for request: Request, parts: () -> Parts) -> HandlerOutput {
        do throws(Failure) {
            switch try respond(to: request).body {
            case .bytes(let bytes): return .response(request.id, bytes)
            case .parts(let write):
                let parts = parts()
                try write(parts)
                return parts.last(of: request)
            }
        } catch {
            return .failure(request.id, error)
        }
    }
}
