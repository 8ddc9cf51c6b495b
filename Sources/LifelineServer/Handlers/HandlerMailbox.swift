import Basics
import Framing
import Posix
import Synchronization

/// What a handler has made, for the event loop.
enum HandlerOutput: Sendable {
    case response(UInt32, ArraySlice<UInt8>)
    case part(UInt32, ArraySlice<UInt8>, isLast: Bool)
    case failure(UInt32, Failure)
    case message(ArraySlice<UInt8>)
    /// The handler is done with a message of this cost.
    case handled(cost: Int)
    /// A request of the server, by its token, and when its outcome has to be known.
    case ask(UInt64, ArraySlice<UInt8>, until: Instant)
    /// The request of the server with this token is not wanted any more.
    case giveUp(UInt64)
    /// A message of others that the handler has looked at, and its topic.
    case forward(ArraySlice<UInt8>, topic: String?)
    /// The handler has returned from what it was given last.
    case finished
    /// The handler has ended.
    case over

    fileprivate var size: Int {
        switch self {
        case .response(_, let bytes), .part(_, let bytes, _): bytes.count
        case .message(let bytes): Credit.cost(of: bytes.count)
        case .failure, .handled, .ask, .giveUp, .forward, .finished, .over: 0
        }
    }
}

/// Mailbox between an event loop and the handler threads of one connection: jobs in, outputs out, with flow control by
/// credit.
final class HandlerMailbox: Sendable {
    /// For the handler, one at a time.
    enum Job: Sendable {
        case opened(Connection)
        case request(Request)
        case message(ArraySlice<UInt8>)
        case news(HandlerNews.NewsItem)
        case closed(CloseReason)
    }

    private struct State {
        /// What the handler is given next. There is one at a time: the connection waits until the handler returns.
        var job: Job?
        /// Whether the handler has to hear of the end, behind that.
        var tellsEnd = false
        /// Whether a thread works on the jobs, or is about to. A handler with a thread of its own does not look here.
        var isScheduled = false
        /// In the order in which the handler made them.
        var outputs: [HandlerOutput] = []
        var messageRoom = MessageRoom.none
        /// How many messages were posted.
        var messages: UInt64 = 0
        /// How many bytes of a response in parts are taken.
        var partRoom = 0
        var isOpen = true
        /// The token of the last request of the server.
        var lastToken: UInt64 = 0
        /// The outcomes that were not fetched.
        var outcomes: [UInt64: ServerRequests.AskOutcome] = [:]
        /// How the connection has ended: the loop takes no requests any more.
        var end: CloseReason?

        var hasJobs: Bool { job != nil || tellsEnd }

        mutating func takeJob() -> Job? {
            if let job = job.take() { return job }
            guard tellsEnd, let end else { return nil }
            tellsEnd = false
            return .closed(end)
        }

        /// Says whether a thread has to be found for the jobs: once until they are worked off.
        mutating func schedule() -> Bool {
            defer { isScheduled = true }
            return !isScheduled
        }
    }

    private let state: ConditionLock<State>
    /// Whether there are outputs, for which the loop has been woken. Written with the lock, read without.
    private let hasOutputs = Atomic(false)
    private let loop: LoopWaker

    /// An empty mailbox of a connection that is open and takes nothing yet.
    // Never a part of generic code: what the warm-up has made is used by every handler's mailbox.
    @inline(never)
    init(waking loop: LoopWaker) {
        self.loop = loop
        state = ConditionLock(State())
    }

    var isOpen: Bool { state.withLock { $0.isOpen } }

    // MARK: The loop's side

    /// Whether `drain` would return anything; it costs no lock.
    var isEmpty: Bool { !hasOutputs.load(ordering: .acquiring) }

    /// Gives the handler a job. True where no thread works on its jobs, and none was asked to.
    func enqueue(_ job: Job) -> Bool {
        state.withLock { state in
            precondition(state.job == nil, "the handler was given a job before it had returned")
            state.job = job
            return state.schedule()
        }
    }

    /// The connection has ended, and the handler is to hear of it behind what it has. Returns what `enqueue` does.
    func enqueueEnd() -> Bool {
        state.withLock { state in
            state.tellsEnd = true
            return state.schedule()
        }
    }

    /// Takes the request `id` back; false where a thread has it already.
    func withdraw(_ id: UInt32) -> Bool {
        state.withLock { state in
            guard case .request(let request)? = state.job, request.id == id else { return false }
            state.job = nil
            return true
        }
    }

    /// No thread is there for the jobs: takes them back. True where `opened` is one of them.
    func withdrawAll() -> Bool {
        state.withLock { state in
            defer { (state.job, state.tellsEnd, state.isScheduled) = (nil, false, false) }
            if case .opened? = state.job { return true }
            return false
        }
    }

    /// Whether it holds nothing, and no thread works on its jobs.
    var isUnused: Bool { isEmpty && state.withLock { !$0.isScheduled && !$0.hasJobs && $0.outcomes.isEmpty } }

    /// Takes out what the handler has made.
    func drain() -> [HandlerOutput] {
        guard !isEmpty else { return [] }
        return state.withLock { state in
            defer { state.outputs = [] }
            hasOutputs.store(false, ordering: .relaxed)
            return state.outputs
        }
    }

    /// Tells the threads what the connection takes now; outputs that wait here use it up.
    func updateCredit(_ messageRoom: MessageRoom, partRoom: Int, isOpen: Bool) {
        let changed = state.withLock { state in
            let waiting = state.outputs.reduce(0) { $0 + $1.size }
            var room = messageRoom
            room.cost -= waiting
            let parts = max(0, partRoom - waiting)
            defer { (state.messageRoom, state.partRoom, state.isOpen) = (room, parts, isOpen) }
            return parts > state.partRoom || isOpen != state.isOpen || room.longest != state.messageRoom.longest
                || room.cost > 0 && state.messageRoom.cost <= 0
        }
        if changed { state.notify() }
    }

    /// Brings the outcome of a request of the server to the thread that waits for it.
    func settle(_ token: UInt64, _ outcome: ServerRequests.AskOutcome) {
        state.withLock { $0.outcomes[token] = outcome }
        state.notify()
    }

    /// The connection has ended, and the loop may not look here again: what it has not seen was not asked.
    func end(_ reason: CloseReason) {
        let hasOutcomes = state.withLock { state in
            state.end = reason
            state.outputs.removeAll {
                guard case .ask(let token, _, _) = $0 else { return false }
                state.outcomes[token] = .failure(.notSent(.connection(reason)))
                return true
            }
            return !state.outcomes.isEmpty
        }
        if hasOutcomes { state.notify() }
    }

    // MARK: The handler's side

    /// Takes the next job; waits for it.
    func next() -> Job { state.wait { $0.takeJob() }! }

    /// Takes the next job; nil where there is none.
    func nextNow() -> Job? { state.withLock { $0.takeJob() } }

    /// Whether there are jobs for the thread that has worked on one. Where there are none, it is done with the handler.
    func keepsThread() -> Bool {
        state.withLock { state in
            state.isScheduled = state.hasJobs
            return state.isScheduled
        }
    }

    /// Calls `handler` with a job, and posts what it makes of it.
    @inline(__always) func perform(_ job: Job, by handler: inout some Handler) {
        switch job {
        case .opened(let connection):
            handler.opened(connection)
            post([.finished])
        case .request(let request):
            post([handler.output(for: request) { Parts(to: self, for: request) }, .finished])
            request.cancellation?.end()
        case .message(let message):
            handler.received(message)
            post([.handled(cost: Credit.cost(of: message.count)), .finished])
        case .news(let item):
            let output = handler.output(for: item)
            post((output.map { [$0] } ?? []) + [.finished])
        case .closed(let reason):
            handler.closed(reason)
        }
    }

    /// Puts `outputs` here, and wakes the loop if it does not know of any yet: once for all of them.
    func post(_ outputs: [HandlerOutput]) { wake(if: state.withLock { add(outputs, to: &$0) }) }

    /// Posts a message; false where none of this length can be sent. Where there is no room now it waits for room, or
    /// returns false: as the caller says, and always on the loop's thread, which alone makes room.
    func send(_ message: ArraySlice<UInt8>, waits: Bool) -> Bool {
        let waits = waits && !loop.isThisThread
        let isFirst: Bool? =
            state.wait { state -> Bool?? in
                switch state.isOpen ? state.messageRoom.verdict(of: message.count) : .never {
                case .waits: return waits ? nil : .some(nil)
                case .never: return .some(nil)
                case .goes:
                    state.messageRoom.use(message.count)
                    state.messages += 1
                    return add([.message(message)], to: &state)
                }
            } ?? nil
        guard let isFirst else { return false }
        wake(if: isFirst)
        return true
    }

    /// How many messages were posted that the client has not handled; nil where it does not say.
    var unconfirmedMessages: Int? {
        state.withLock { state in state.messageRoom.confirmed.map { Int(clamping: state.messages - $0) } }
    }

    /// Posts a part of a response, and waits for credit while the client is slow; false, at once, when `isCancelled` is
    /// true or the connection ends.
    func send(part bytes: ArraySlice<UInt8>, of id: UInt32, unless isCancelled: () -> Bool) -> Bool {
        let isFirst: Bool? =
            state.wait { state -> Bool?? in
                guard state.isOpen, !isCancelled() else { return .some(nil) }
                guard state.partRoom > 0 else { return nil }
                state.partRoom -= bytes.count
                return add([.part(id, bytes, isLast: false)], to: &state)
            } ?? nil
        guard let isFirst else { return false }
        wake(if: isFirst)
        return true
    }

    /// Asks the client, and waits for the outcome. The request is given up as soon as `isCancelled` is true.
    func ask(
        _ bytes: ArraySlice<UInt8>, until deadline: Instant, unless isCancelled: () -> Bool
    ) throws(ClientRequestError) -> [UInt8] {
        guard !loop.isThisThread else { throw .notSent(.handlerAnswersAtOnce) }
        let (token, isFirst, end) = state.withLock { state in
            state.lastToken += 1
            let isFirst = state.end == nil && add([.ask(state.lastToken, bytes, until: deadline)], to: &state)
            return (state.lastToken, isFirst, state.end)
        }
        if let end { throw .notSent(.connection(end)) }
        wake(if: isFirst)
        var hasGivenUp = false
        while true {
            // Nil where the request was just given up; the outcome says then whether it had left.
            let outcome: ServerRequests.AskOutcome?? = state.wait { state in
                if let outcome = state.outcomes.removeValue(forKey: token) { return outcome }
                guard !hasGivenUp, isCancelled() else { return nil }
                return .some(nil)
            }
            if let outcome = outcome ?? nil { return try outcome.get() }
            hasGivenUp = true
            post([.giveUp(token)])
        }
    }

    /// Waits until `deadline`; false, at once, when the connection ends.
    func waitWhileOpen(until deadline: Instant) -> Bool {
        state.wait(until: deadline) { $0.isOpen ? nil : true } == nil
    }

    // MARK: For a cancellation

    /// Runs `body` with the lock. `body` must be short, and use nothing of the mailbox.
    func withLock<Result>(_ body: () -> Result) -> Result { state.withLock { _ in body() } }

    /// Wakes the threads that wait here: for a job, for credit, for a client's answer, or until a request is cancelled. What they
    /// wait for was changed with the lock.
    func notify() { state.notify() }

    /// Waits until `deadline` and returns true; false as soon as `isOver` returns true, which is called with the lock.
    func wait(until deadline: Instant, unless isOver: () -> Bool) -> Bool {
        state.wait(until: deadline) { _ in isOver() ? true : nil } == nil
    }

    /// Whether the loop has to be woken for them.
    private func add(_ outputs: [HandlerOutput], to state: inout State) -> Bool {
        if state.outputs.isEmpty { state.outputs = outputs } else { state.outputs += outputs }
        return !hasOutputs.exchange(true, ordering: .releasing)
    }

    private func wake(if isFirst: Bool) { if isFirst { loop.wake() } }
}
