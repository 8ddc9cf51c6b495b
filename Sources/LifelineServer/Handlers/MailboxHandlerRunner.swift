import Basics
import Framing
import Posix

/// What runners have in common whose handler is called on another thread than the loop's: jobs go to it through a mailbox,
/// and outputs come back. Each kind of them finds the thread in its own way (`begin`, `schedule`).
class MailboxHandlerRunner: HandlerRunner {
    private let loop: LoopWaker
    /// Nil before the first job, and where it was let go of since.
    private var kept: HandlerMailbox?
    /// Nil once the handler was given its connection.
    private var makeConnection: ConnectionMaker?
    private var cancellation: Cancellation?
    private var request: UInt32?
    /// Why there is no thread for the handler: an errno of pthread_create(3).
    private var startError: Int32?
    /// Whether the handler was never given its connection, so that it has no end to hear of.
    private var hasNothingToEnd = false
    /// Whether the connection has ended.
    private(set) var isEnding = false
    private(set) var isOver = false

    let hearing: NewsHearing

    init(waking loop: LoopWaker, hearing: NewsHearing, _ makeConnection: @escaping ConnectionMaker) {
        self.hearing = hearing
        self.makeConnection = makeConnection
        self.loop = loop
    }

    /// Jobs and outputs. The loop alone makes it; a thread looks here while it has a job.
    var mailbox: HandlerMailbox {
        if let kept { return kept }
        let made = HandlerMailbox(waking: loop)
        kept = made
        return made
    }

    /// Lets go of the mailbox where nobody else has it: neither a thread nor a handler that keeps its connection. The handler has
    /// no job, and its outputs were taken out.
    func releaseMailbox() {
        // While a thread has a job it looks at this property. One that has said that it has none may have a moment yet until it
        // lets go of what it has read.
        guard kept?.isUnused ?? false, isKnownUniquelyReferenced(&kept) else { return }
        kept = nil
    }

    /// Has the loop look at the connection.
    func wakeLoop() { loop.wake() }

    // MARK: What a kind of runner does

    /// Prepares for the first job. Throws where the system has no thread.
    func begin() throws(SystemError) {}

    /// The mailbox has a job. With `isFirst` no thread works on its jobs, and none was asked to.
    func schedule(isFirst: Bool, at now: Instant) {}

    // MARK: What all do

    /// No thread will come for the jobs: the connection ends. The handler `hasBegun` once it was given its connection.
    func lacksThread(_ error: SystemError, hasBegun: Bool) {
        startError = error.code
        if !hasBegun { hasNothingToEnd = true }
        if isEnding { isOver = true }
    }

    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant) {
        grantCredit(of: connection)
        guard let makeConnection = makeConnection.take() else { return }
        do throws(SystemError) {
            try begin()
            enqueue(.opened(makeConnection(hello, tokenName, mailbox)), at: now)
        } catch {
            lacksThread(error, hasBegun: false)
        }
    }

    func respond(to request: Request, on connection: inout ServerConnection, at now: Instant) {
        grantCredit(of: connection)
        let cancellation = Cancellation(mailbox)
        self.cancellation = cancellation
        self.request = request.id
        enqueue(.request(Request(id: request.id, bytes: request.bytes, cancellation: cancellation)), at: now)
    }

    func received(_ message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        grantCredit(of: connection)
        enqueue(.message(message), at: now)
    }

    func told(_ item: HandlerNews.NewsItem, on connection: inout ServerConnection, at now: Instant) {
        grantCredit(of: connection)
        enqueue(.news(item), at: now)
    }

    /// A job may be on its way to the handler before the loop waits, so a new mailbox has credit from the start.
    private func grantCredit(of connection: borrowing ServerConnection) {
        if kept == nil { mailbox.updateCredit(connection.messageRoom, partRoom: 0, isOpen: !connection.isClosing) }
    }

    private func enqueue(_ job: HandlerMailbox.Job, at now: Instant) {
        schedule(isFirst: mailbox.enqueue(job), at: now)
    }

    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {
        if request == id { cancellation?.cancel() }
    }

    func asked(
        _ token: UInt64, _ outcome: ServerRequests.AskOutcome, on connection: inout ServerConnection, at now: Instant
    ) {
        kept?.settle(token, outcome)
    }

    func closed(_ reason: CloseReason) {
        mailbox.end(reason)
        isEnding = true
        guard !hasNothingToEnd else { return isOver = true }
        schedule(isFirst: mailbox.enqueueEnd(), at: .now)
    }

    func deliver(to connection: inout ServerConnection, at now: Instant) {
        if let startError, !connection.isClosing {
            connection.stop(
                CloseCause(
                    .internal,
                    "the server cannot start a thread: \(SystemError("pthread_create", startError).text)"))
        }
        guard let kept else { return }
        for output in kept.drain() {
            switch output {
            case .over: isOver = true
            case .finished: cancellation = nil
            default: break
            }
            connection.apply(output, at: now)
        }
    }

    var deadline: Instant? { nil }

    func cancelAll() {}

    func willWait(_ credit: HandlerCredit, adding set: inout PollSet) {
        kept?.updateCredit(
            credit.messageRoom, partRoom: request == nil ? 0 : credit.partRoom, isOpen: credit.isOpen)
    }
}
