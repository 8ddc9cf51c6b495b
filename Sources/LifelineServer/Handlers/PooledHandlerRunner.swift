import Basics
import Framing
import Posix

/// Calls a handler on the threads that all handlers of a shared process have (`HandlerThreads`): one call at a time, in order,
/// on changing threads.
///
/// Between two calls lie the locks of the mailbox and of the threads, so each call sees what those before it have written.
final class PooledHandlerRunner: MailboxHandlerRunner, @unchecked Sendable {
    /// How long a call may wait for a thread before the log says so.
    static let patience = Duration.seconds(1)

    /// Touched by the thread that works on a job alone.
    @exclusivity(unchecked) private var handler: any Handler
    private let threads: HandlerThreads
    private let log: Log
    /// The connection's notice of a crash.
    private let crashNotice: CrashNotice?
    /// Since when the handler has its job, in nanoseconds, until the log was told or the handler has returned; 0 for never. An
    /// instant would take 32 bytes of each connection.
    @exclusivity(unchecked) private var startedAt: Int64 = 0
    /// Where the handler is with the threads. It belongs to their lock.
    @exclusivity(unchecked) var place = HandlerThreads.HandlerPlace.nowhere

    init(
        _ handler: any Handler, on threads: HandlerThreads, waking loop: LoopWaker, log: Log,
        blaming crashNotice: CrashNotice?, _ makeConnection: @escaping ConnectionMaker
    ) {
        self.handler = handler
        self.threads = threads
        self.log = log
        self.crashNotice = crashNotice
        super.init(waking: loop, hearing: type(of: handler).hearing, makeConnection)
    }

    private var since: Instant? {
        get { startedAt == 0 ? nil : Instant(sinceStart: .nanoseconds(startedAt)) }
        set { startedAt = newValue.map { Int64($0.sinceStart.attoseconds / 1_000_000_000) } ?? 0 }
    }

    // MARK: The loop's side

    // A slice of the loop's buffer, which all connections share, would have all of that copied for the next read.
    override func respond(to request: Request, on connection: inout ServerConnection, at now: Instant) {
        super.respond(
            to: Request(id: request.id, bytes: WaitingEvents.kept(request.bytes)), on: &connection, at: now)
    }

    override func received(_ message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant) {
        super.received(WaitingEvents.kept(message), on: &connection, at: now)
    }

    override func schedule(isFirst: Bool, at now: Instant) {
        since = now
        if isFirst { threads.call(self) }
    }

    override func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant) {
        // A request that still waits for a thread is nobody's any more, and the handler need not return from it.
        guard mailbox.withdraw(id) else { return super.cancel(id, on: &connection, at: now) }
        since = nil
        connection.handlerReturned()
    }

    override func deliver(to connection: inout ServerConnection, at now: Instant) {
        super.deliver(to: &connection, at: now)
        guard let since else { return releaseMailbox() }
        guard connection.isHandlerBusy || isEnding else { return self.since = nil }
        if since + PooledHandlerRunner.patience <= now { reportWait() }
    }

    /// Says in the log, once for a call, that it has waited for long. The log sums up what many calls say.
    private func reportWait() {
        since = nil
        guard threads.isWaiting(self) else { return }
        report(
            .handlersWait,
            "a handler has waited for a thread for \(PooledHandlerRunner.patience.components.seconds) s: all are taken, and "
                + "--handler-threads gives more")
    }

    private func report(_ event: LogEvent, _ text: String) {
        log.write(event, most: 1) { line in
            line.number(.pid, processID)
            line.number(.threads, threads.most)
            line.text(.text, text)
        }
    }

    // Where threads are free the call is on its way, and the loop need not look.
    override var deadline: Instant? { threads.areShort ? since.map { $0 + PooledHandlerRunner.patience } : nil }

    /// The connection is over. A handler that is still in a call keeps the thread, which the others do not wait for.
    override func cancelAll() {
        guard !isOver, let lost = threads.abandon(self), lost > threads.most else { return }
        report(
            .handlersLost,
            "handlers of \(threads.most) connections that are over have not returned: one more keeps its thread from the "
                + "others")
    }

    /// There is no thread, and none to wait for. The loop's thread calls this.
    func strand(_ error: SystemError) {
        lacksThread(error, hasBegun: !mailbox.withdrawAll())
        wakeLoop()
    }

    // MARK: The thread's side

    /// Works on one job.
    func callHandler() {
        guard let job = mailbox.nextNow() else { return }
        // A crash on this thread is this connection's meanwhile.
        CrashNotice.blaming(crashNotice) {
            mailbox.perform(job, by: &handler)
            // The process may go on for days, so the handler is let go of before the loop knows.
            if case .closed = job { handler = EndedHandler() }
        }
        if case .closed = job { mailbox.post([.over]) }
    }

    /// Whether there are jobs behind the last one. Where there are none, the thread is done with the handler.
    func keepsThread() -> Bool { mailbox.keepsThread() }
}

/// What stands in a handler's place once it is over.
private struct EndedHandler: Handler {
    func respond(to request: Request) throws(Failure) -> Response { throw Failure(.handlerFailed) }
}
