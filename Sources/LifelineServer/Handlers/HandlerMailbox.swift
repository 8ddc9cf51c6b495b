import Basics
import Framing
import Posix
import Synchronization

/// The place between the child's loop and the other threads of the child: what is for the handler, and what the handler
/// has made.
final class HandlerMailbox: Sendable {
    /// For the handler, one at a time.
    enum Job: Sendable {
        case opened(Connection)
        case request(Request)
        case message(ArraySlice<UInt8>)
        case closed(CloseReason)
    }

    /// For the loop, in the order in which it was made.
    enum HandlerOutput: Sendable {
        case response(UInt32, ArraySlice<UInt8>)
        case part(UInt32, ArraySlice<UInt8>, isLast: Bool)
        case failure(UInt32, Failure)
        case message(ArraySlice<UInt8>)
        /// The handler has come back from what it was given last.
        case finished
        /// The handler has ended.
        case over

        /// Tells the connection.
        func bring(to connection: inout ServerConnection, at now: Instant) {
            switch self {
            case .response(let id, let bytes): connection.answer(id, bytes)
            case .part(let id, let bytes, let isLast): connection.answer(id, part: bytes, isLast: isLast, at: now)
            case .failure(let id, let failure): connection.fail(id, failure)
            case .message(let bytes): connection.send(bytes, wasPromised: true)
            case .finished: connection.handlerReturned()
            case .over: break
            }
        }

        fileprivate var size: Int {
            switch self {
            case .response(_, let bytes), .part(_, let bytes, _), .message(let bytes): bytes.count
            case .failure, .finished, .over: 0
            }
        }

        fileprivate var isOver: Bool { if case .over = self { true } else { false } }
    }

    private struct State {
        var jobs: [Job] = []
        var products: [HandlerOutput] = []
        /// How long a message may be; nil where none can be sent.
        var messageRoom: Int?
        /// How much of a response in parts is taken.
        var partRoom = 0
        var isOpen = true
    }

    private let state: ConditionLock<State>
    /// Whether there are products, for which the loop has been woken. It is written with the lock, and read without.
    private let called = Atomic(false)
    private let loop = currentThread

    // Never a part of generic code: what the rehearsal has made is used by every handler's desk.
    @inline(never)
    init() { state = ConditionLock(State()) }

    var isOpen: Bool { state.withLock { $0.isOpen } }

    // MARK: The loop's side

    /// Whether there is something to deliver.
    var isCalled: Bool { called.load(ordering: .acquiring) }

    func put(_ job: Job) {
        state.withLock { $0.jobs.append(job) }
        state.notify()
    }

    /// Brings what the handler has made to the connection; true when the handler has ended.
    @discardableResult
    func deliver(to connection: inout ServerConnection, at now: Instant) -> Bool {
        guard isCalled else { return false }
        let products = state.withLock { state in
            defer { state.products = [] }
            called.store(false, ordering: .relaxed)
            return state.products
        }
        for product in products { product.bring(to: &connection, at: now) }
        return products.last?.isOver ?? false
    }

    /// Tells the threads what the connection takes now.
    func tell(messageRoom: Int?, partRoom: Int, isOpen: Bool) {
        let changed = state.withLock { state in
            let waiting = state.products.reduce(0) { $0 + $1.size }
            let room = messageRoom.map { max(0, $0 - waiting) }
            let parts = max(0, partRoom - waiting)
            defer { (state.messageRoom, state.partRoom, state.isOpen) = (room, parts, isOpen) }
            return parts > state.partRoom || isOpen != state.isOpen
        }
        if changed { state.notify() }
    }

    // MARK: The handler's side

    /// The next job; waits for it.
    func next() -> Job {
        state.wait { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }!
    }

    func make(_ products: HandlerOutput...) { call(state.withLock { add(products, to: &$0) }) }

    /// What a handler makes last of something: its answer, and that it has come back, with one call of the loop.
    func finish(with product: HandlerOutput? = nil) {
        if let product { make(product, .finished) } else { make(.finished) }
    }

    func send(_ message: ArraySlice<UInt8>) -> Bool {
        let isFirst: Bool? = state.withLock { state in
            guard let room = state.messageRoom, message.count <= room else { return nil }
            state.messageRoom = room - message.count
            return add([.message(message)], to: &state)
        }
        guard let isFirst else { return false }
        call(isFirst)
        return true
    }

    /// Sends a part of a response; waits while the client is slow, until `isCancelled`, which is false then.
    func send(part bytes: ArraySlice<UInt8>, of id: UInt32, unless isCancelled: () -> Bool) -> Bool {
        let isFirst: Bool? =
            state.wait { state -> Bool?? in
                guard state.isOpen, !isCancelled() else { return .some(nil) }
                guard state.partRoom > 0 else { return nil }
                state.partRoom -= bytes.count
                return add([.part(id, bytes, isLast: false)], to: &state)
            } ?? nil
        guard let isFirst else { return false }
        call(isFirst)
        return true
    }

    func waitWhileOpen(until deadline: Instant) -> Bool {
        state.wait(until: deadline) { $0.isOpen ? nil : true } == nil
    }

    /// Wakes whoever waits for room, to see that its request was cancelled.
    func notify() { state.notify() }

    /// Whether the loop has to be called for them.
    private func add(_ products: [HandlerOutput], to state: inout State) -> Bool {
        state.products += products
        return !called.exchange(true, ordering: .releasing)
    }

    private func call(_ isFirst: Bool) {
        if isFirst, currentThread != loop { sendSignal(Signal.call, to: processID) }
    }
}
