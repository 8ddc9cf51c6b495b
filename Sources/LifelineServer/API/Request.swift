import Basics
import Framing
import Posix
import Synchronization

/// A client's request, whole (Protocol.md, section 4.5).
public struct Request: Sendable {
    /// The client's number for the request; the numbers of a connection rise from 1.
    public let id: UInt32
    /// The payload. It may share memory with the receive buffer, or with requests that waited beside it: up to 64 KiB. The
    /// handler may keep it; a copy keeps no more than itself.
    public let bytes: ArraySlice<UInt8>
    let cancellation: Cancellation?

    init(id: UInt32, bytes: ArraySlice<UInt8>, cancellation: Cancellation? = nil) {
        self.id = id
        self.bytes = bytes
        self.cancellation = cancellation
    }

    /// The payload as text. Bytes that are not UTF-8 become U+FFFD.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether the answer is not wanted any more: the client sent CANCEL, closed, hung up or fell silent, or
    /// `ServerOptions.handlerTimeout` is over. The server discards an answer that comes all the same.
    ///
    /// Always false in a handler that answers at once.
    public var isCancelled: Bool { cancellation?.isCancelled ?? false }

    /// Sleeps for `duration` and returns true. Returns false at once when the request is cancelled.
    public func wait(for duration: Duration) -> Bool {
        let cancellation = cancellation ?? Cancellation(nil)
        return cancellation.wait(until: .now + duration)
    }

    /// Has `action` called once when the request is cancelled, or now if it is already. Use it to stop what the handler is
    /// blocked in, such as a read from a socket.
    ///
    /// `action` runs on the thread that answers heartbeats, so it must return at once.
    public func onCancel(_ action: @escaping @Sendable () -> Void) { cancellation?.add(action) }
}

/// Tells the handler's thread that the answer to its request is not wanted any more.
///
/// It goes by the lock of the connection's mailbox: each request has one, and a lock of its own would cost more than the rest.
final class Cancellation: @unchecked Sendable {
    /// Nil where the handler answers at once: nothing can be cancelled meanwhile.
    private let mailbox: HandlerMailbox?
    /// Written with the lock, read without.
    private let wasCancelled = Atomic(false)
    /// Whether the handler has returned from its request. It belongs to the lock, as do the actions.
    @exclusivity(unchecked) private var isOver = false
    @exclusivity(unchecked) private var actions: [@Sendable () -> Void] = []

    init(_ mailbox: HandlerMailbox?) { self.mailbox = mailbox }

    var isCancelled: Bool { wasCancelled.load(ordering: .acquiring) }

    func cancel() {
        guard let mailbox else { return }
        let actions = mailbox.withLock {
            defer { self.actions = [] }
            wasCancelled.store(true, ordering: .releasing)
            return self.actions
        }
        mailbox.notify()
        for action in actions { action() }
    }

    func add(_ action: @escaping @Sendable () -> Void) {
        guard let mailbox else { return }
        let isLate = mailbox.withLock {
            if !isCancelled, !isOver { actions.append(action) }
            return isCancelled
        }
        if isLate { action() }
    }

    /// The handler has returned from its request. An action may hold the request, which holds this, so the actions are let
    /// go of.
    func end() {
        let actions = mailbox?.withLock {
            defer { self.actions = [] }
            isOver = true
            return self.actions
        }
        // What they hold is let go of here, without the lock.
        _ = actions
    }

    /// Waits until `deadline` and returns true; false, at once, when the request is cancelled.
    func wait(until deadline: Instant) -> Bool {
        guard let mailbox else { return ConditionLock(()).wait(until: deadline) { _ -> Void? in nil } == nil }
        return mailbox.wait(until: deadline, unless: { isCancelled })
    }
}
