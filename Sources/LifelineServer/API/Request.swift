import Basics
import Framing
import Posix

/// A request as the handler sees it (Protocol.md, section 4.5).
public struct Request: Sendable {
    /// The client's number for it, rising from 1 on each connection.
    public let id: UInt32
    /// The message. It shares memory with the receive buffer until one of them changes, so keeping it is safe.
    public let bytes: ArraySlice<UInt8>
    let cancellation: Cancellation?

    init(id: UInt32, bytes: ArraySlice<UInt8>, cancellation: Cancellation? = nil) {
        self.id = id
        self.bytes = bytes
        self.cancellation = cancellation
    }

    /// The message as text; what is not UTF-8 is replaced.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether nobody waits for the answer any more: the client sent CANCEL, closed, hung up or fell silent, or the
    /// request has had its time. What is answered all the same is thrown away.
    ///
    /// A handler that answers at once always sees false.
    public var isCancelled: Bool { cancellation?.isCancelled ?? false }

    /// Sleeps for `duration`; false, at once, when nobody waits for the answer any more.
    public func wait(for duration: Duration) -> Bool {
        let cancellation = cancellation ?? Cancellation(nil)
        return cancellation.wait(until: .now + duration)
    }

    /// Has `action` called once when nobody waits for the answer any more, at once if that is so already: to stop what
    /// the handler is blocked in, a read from a socket for example.
    ///
    /// It runs in the thread that answers heartbeats, so it must return at once.
    public func onCancel(_ action: @escaping @Sendable () -> Void) { cancellation?.add(action) }
}

/// Tells the handler's thread that its request has come to an end without it.
final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var actions: [@Sendable () -> Void] = []
    }

    private let state = ConditionLock(State())
    private let mailbox: HandlerMailbox?

    init(_ mailbox: HandlerMailbox?) { self.mailbox = mailbox }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func cancel() {
        let actions = state.withLock { state in
            defer { state.actions = [] }
            state.isCancelled = true
            return state.actions
        }
        state.notify()
        mailbox?.notify()
        for action in actions { action() }
    }

    func add(_ action: @escaping @Sendable () -> Void) {
        let isLate = state.withLock { state in
            if !state.isCancelled { state.actions.append(action) }
            return state.isCancelled
        }
        if isLate { action() }
    }

    func wait(until deadline: Instant) -> Bool {
        state.wait(until: deadline) { $0.isCancelled ? true : nil } == nil
    }
}
