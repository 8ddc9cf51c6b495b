/// The caller that waits for the result of a call.
enum Reply: Sendable {
    /// Of a request: the answer.
    case answer(CheckedContinuation<Result<[UInt8], RequestError>, Never>)
    /// Of a message: its number.
    case number(CheckedContinuation<Result<Int, RequestError>, Never>)
    /// A thread with many calls, which knows this one by its number.
    case batch(CallResults, number: Int)
}

extension EventLoop {
    /// Gives the caller of a call its result; one of a message is an error.
    func resume(_ reply: Reply, returning result: Result<[UInt8], RequestError>) {
        switch (reply, result) {
        case (.answer(let continuation), _): continuation.resume(returning: result)
        case (.number(let continuation), .failure(let error)): continuation.resume(returning: .failure(error))
        case (.number, .success): preconditionFailure("a message has no answer")
        case (.batch(let results, let number), _): add(CallResult(number: number, result: result), to: results)
        }
    }

    /// Tells the caller of a message the number with which it is on its way.
    func resume(_ reply: Reply, sent number: Int) {
        switch reply {
        case .answer: preconditionFailure("a request has an answer")
        case .number(let continuation): continuation.resume(returning: .success(number))
        case .batch(let results, let number): add(CallResult(number: number, result: .success([])), to: results)
        }
    }

    /// A thread with many calls is woken at the end of the loop's turn, once for all results of all connections: each wake-up
    /// before would take the processor from this thread.
    private func add(_ result: CallResult, to results: CallResults) {
        if results.add(result) { waiting.append(results) }
    }

    /// Wakes the threads that have results.
    func wakeWaiting() {
        for results in waiting { results.wakeUp() }
        waiting.removeAll(keepingCapacity: true)
    }
}
