import Basics
import Framing
import Posix

/// Calls a handler on a thread of its own, so that it may block while the event loop answers heartbeats.
final class ThreadHandlerRunner: MailboxHandlerRunner {
    /// What goes over to the thread, and is never touched here again.
    private struct Moved: @unchecked Sendable {
        var handler: any Handler
    }

    private let handler: Moved

    init(_ handler: any Handler, waking loop: LoopWaker, _ makeConnection: @escaping ConnectionMaker) {
        self.handler = Moved(handler: handler)
        super.init(waking: loop, hearing: type(of: handler).hearing, makeConnection)
    }

    override func begin() throws(SystemError) {
        let moved = handler
        let mailbox = mailbox
        try startThread(named: "handler") {
            withCrashStack {
                var handler = moved.handler
                serve(&handler, mailbox)
            }
        }
    }

    override func schedule(isFirst: Bool, at now: Instant) { mailbox.notify() }
}

/// The life of the handler's thread.
private func serve(_ handler: inout some Handler, _ mailbox: HandlerMailbox) {
    while true {
        let job = mailbox.next()
        mailbox.perform(job, by: &handler)
        if case .closed = job { return mailbox.post([.over]) }
    }
}
