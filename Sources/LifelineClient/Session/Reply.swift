/// The caller that waits for the result of a call.
enum Reply: Sendable {
    /// A task.
    case caller(CheckedContinuation<Result<[UInt8], RequestError>, Never>)
    /// A thread with many calls, which knows this one by its number.
    case batch(CallResults, number: Int)

    func resume(returning result: Result<[UInt8], RequestError>) {
        switch self {
        case .caller(let continuation): continuation.resume(returning: result)
        case .batch(let results, let number): results.add(CallResult(number: number, result: result))
        }
    }
}
