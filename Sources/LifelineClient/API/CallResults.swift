import Posix
import Synchronization

/// The result of one of many calls.
package struct CallResult: Sendable {
    /// The number that the caller gave to the call.
    package let number: Int
    /// The answer, which is empty for a one-way message, or the error.
    package let result: Result<[UInt8], RequestError>

    /// The result of the call with this number.
    package init(number: Int, result: Result<[UInt8], RequestError>) {
        self.number = number
        self.result = result
    }
}

/// The results of many calls, for one thread that waits for them in poll(2) along with other things.
///
/// A task for each call would cost more than the call: here the results of a turn of the I/O thread are one wake-up.
package final class CallResults: Sendable {
    private let waiting = Mutex<[CallResult]>([])
    /// An eventfd(2), ready where results wait or `wakeUp` was called.
    private let wakeUps: Descriptor

    /// Throws where the system has no descriptor left.
    package init() throws(SystemError) { wakeUps = try .event() }

    /// The descriptor for poll(2); borrowed.
    package var number: Int32 { wakeUps.number }

    /// Adds a result, from any thread. Returns whether it is the first, so that `wakeUp` has to follow.
    func add(_ result: CallResult) -> Bool {
        waiting.withLock { waiting in
            defer { waiting.append(result) }
            return waiting.isEmpty
        }
    }

    /// Makes the descriptor ready, from any thread.
    package func wakeUp() { wakeUps.wakeUp() }

    /// Exchanges all results for `spare`, an empty array, and waits anew.
    package func take(into spare: inout [CallResult]) {
        wakeUps.clearWakeUps()
        waiting.withLock { swap(&$0, &spare) }
    }
}

/// One of many calls.
package struct NumberedCall: Sendable {
    /// The number that the caller knows it by.
    package let number: Int
    /// The message.
    package let bytes: [UInt8]

    /// A call with this number and message.
    package init(number: Int, bytes: [UInt8]) {
        self.number = number
        self.bytes = bytes
    }
}

extension LongConnection {
    /// A call that was submitted, for `abandon`.
    package typealias CallID = UInt64

    /// Sends many messages at once, in their order, each as `request` or `send` does, without a timeout.
    ///
    /// - Parameters:
    ///   - calls: The messages.
    ///   - isOneWay: Whether they are one-way messages, whose result comes when they are queued.
    ///   - mayRunTwice: As in `request`.
    ///   - results: Where the results go, from the I/O thread.
    /// - Returns: What `abandon` takes for each of them.
    package func submit(
        _ calls: [NumberedCall], isOneWay: Bool, mayRunTwice: Bool, to results: CallResults
    ) -> [CallID] {
        let ids = calls.map { _ in IOThread.newID() }
        let kind = isOneWay ? Call.Kind.message : .request(mayRunTwice: mayRunTwice)
        thread.submit(
            all: zip(ids, calls).map { callID, call in
                .call(
                    id, callID, Call(kind, call.bytes, deadline: nil, number: call.number),
                    .batch(results, number: call.number), sinks.status)
            })
        return ids
    }

    /// Ends a call as the cancellation of its task would.
    package func abandon(_ call: CallID) { thread.submit(.abandon(id, call)) }
}

extension ShortConnection {
    /// Sends `call` on a connection of its own, as `request` does, without a task.
    ///
    /// - Parameters:
    ///   - call: The request.
    ///   - hosts: The servers, as in `request`.
    ///   - timeout: As in `request`.
    ///   - mayRunTwice: As in `request`.
    ///   - options: The limits, times and policy of the connection.
    ///   - isExpected: Whether the server has answered a moment ago: the request does not wait for WELCOME then, although
    ///     `options.wait` allows further attempts.
    ///   - tellsTransfers: Whether the events include the progress of long messages.
    ///   - results: Where the result goes.
    ///   - tell: Gets the events, on the I/O thread: it must be short. Those before the result come before it.
    package static func submit(
        _ call: NumberedCall, hosts: [String], timeout: Duration, mayRunTwice: Bool, options: ClientOptions,
        isExpected: Bool, tellsTransfers: Bool, to results: CallResults,
        tell: @escaping @Sendable (ConnectionEvent) -> Void
    ) {
        do {
            let opening = try ShortOpening(
                call.bytes, hosts: hosts, port: 7400, timeout: timeout, mayRunTwice: mayRunTwice, options: options,
                ConnectionStatus(watched: tellsTransfers, tell: tell), number: call.number,
                isExpected: isExpected)
            opening.thread.submit(
                opening.command,
                .call(
                    opening.id, IOThread.newID(), opening.call, .batch(results, number: call.number), opening.status))
        } catch {
            if results.add(CallResult(number: call.number, result: .failure(.notSent(.connection(error))))) {
                results.wakeUp()
            }
        }
    }
}
