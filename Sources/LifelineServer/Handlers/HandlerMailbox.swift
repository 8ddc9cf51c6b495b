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
    /// The handler has returned from what it was given last.
    case finished
    /// The handler has ended.
    case over

    fileprivate var size: Int {
        switch self {
        case .response(_, let bytes), .part(_, let bytes, _): bytes.count
        case .message(let bytes): Credit.cost(of: bytes.count)
        case .failure, .handled, .finished, .over: 0
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
        case closed(CloseReason)
    }

    private struct State {
        var jobs: [Job] = []
        /// In the order in which the handler made them.
        var outputs: [HandlerOutput] = []
        var messageRoom = MessageRoom.none
        /// How many messages were posted.
        var messages: UInt64 = 0
        /// How many bytes of a response in parts are taken.
        var partRoom = 0
        var isOpen = true
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

    /// Gives the handler a job, behind those that it has.
    func enqueue(_ job: Job) {
        state.withLock { $0.jobs.append(job) }
        state.notify()
    }

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

    // MARK: The handler's side

    /// Takes the next job; waits for it.
    func next() -> Job {
        state.wait { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }!
    }

    /// Puts `outputs` here, and wakes the loop if it does not know of any yet.
    func post(_ outputs: HandlerOutput...) { wake(if: state.withLock { add(outputs, to: &$0) }) }

    /// Posts that the handler has returned, behind what it has made if there is something: the loop wakes once for both.
    func finish(with output: HandlerOutput? = nil) {
        if let output { post(output, .finished) } else { post(.finished) }
    }

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

    /// Waits until `deadline`; false, at once, when the connection ends.
    func waitWhileOpen(until deadline: Instant) -> Bool {
        state.wait(until: deadline) { $0.isOpen ? nil : true } == nil
    }

    /// Wakes a thread that waits for credit, to see that its request was cancelled.
    func notify() { state.notify() }

    /// Whether the loop has to be woken for them.
    private func add(_ outputs: [HandlerOutput], to state: inout State) -> Bool {
        state.outputs += outputs
        return !hasOutputs.exchange(true, ordering: .releasing)
    }

    private func wake(if isFirst: Bool) { if isFirst { loop.wake() } }
}
