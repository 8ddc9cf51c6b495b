/// The caller that waits for the result of a call.
enum Reply: Sendable {
    /// A task with a request.
    case answer(CheckedContinuation<Result<[UInt8], RequestError>, Never>)
    /// A task with a message, which gets its number.
    case number(CheckedContinuation<Result<Int, RequestError>, Never>)
    /// A thread with many calls, which knows this one by its number.
    case batch(CallResults, number: Int)
}

extension EventLoop {
    /// Gives the caller of a call its result. A thread with many calls is woken at the end of the loop's turn, once for all
    /// results of all connections: each wake-up before would take the processor from this thread.
    func resume(_ reply: Reply, returning result: Result<[UInt8], RequestError>) {
        switch reply {
        case .answer(let continuation): continuation.resume(returning: result)
        case .number(let continuation):
            guard case .failure(let error) = result else { preconditionFailure("a message has no answer") }
            continuation.resume(returning: .failure(error))
        case .batch(let results, let number):
            if results.add(CallResult(number: number, result: result)) { waiting.append(results) }
        }
    }

    /// Tells the caller of a message which number that got on its way.
    func resume(_ reply: Reply, sent number: Int) {
        if case .number(let continuation) = reply {
            continuation.resume(returning: .success(number))
        } else {
            resume(reply, returning: .success([]))
        }
    }

    /// Wakes the threads that have results.
    func wakeWaiting() {
        for results in waiting { results.wakeUp() }
        waiting.removeAll(keepingCapacity: true)
    }
}
