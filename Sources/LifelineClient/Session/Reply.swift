/// The caller that waits for the result of a call.
enum Reply: Sendable {
    /// A task.
    case caller(CheckedContinuation<Result<[UInt8], RequestError>, Never>)
    /// A thread with many calls, which knows this one by its number.
    case batch(CallResults, number: Int)
}

extension EventLoop {
    /// Gives the caller of a call its result. A thread with many calls is woken at the end of the loop's turn, once for all
    /// results of all connections: each wake-up before would take the processor from this thread.
    func resume(_ reply: Reply, returning result: Result<[UInt8], RequestError>) {
        switch reply {
        case .caller(let continuation): continuation.resume(returning: result)
        case .batch(let results, let number):
            if results.add(CallResult(number: number, result: result)) { waiting.append(results) }
        }
    }

    /// Wakes the threads that have results.
    func wakeWaiting() {
        for results in waiting { results.wakeUp() }
        waiting.removeAll(keepingCapacity: true)
    }
}
