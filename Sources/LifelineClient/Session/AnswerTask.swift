import Framing

/// The program's answer to the requests of the server.
typealias Answering = @Sendable ([UInt8]) async throws -> [UInt8]

/// Starts a task that lets the program answer `request`, and submits the result. The I/O thread only starts it.
func startAnswer(
    _ key: AnswerKey, _ request: [UInt8], of session: SessionID, by answer: @escaping Answering, on thread: IOThread
) -> Task<Void, Never> {
    Task.detached {
        let result: Result<[UInt8], Failure>
        do {
            result = .success(try await answer(request))
        } catch let failure as RequestFailure {
            result = .failure(Failure(failure))
        } catch {
            result = .failure(Failure(.handlerFailed, beginning(of: "\(error)")))
        }
        thread.submit(.answered(session, key, result))
    }
}

/// As much of `text` as FAILURE may carry, or little more: the frame cuts it between characters.
private func beginning(of text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(Int(Limits.textLength))))
}

extension Failure {
    /// The ending with the program's failure. NORMAL is none (4.9-3).
    fileprivate init(_ failure: RequestFailure) {
        let code = failure.code == .normal ? Code.handlerFailed : failure.code
        let milliseconds = min(max(failure.retryAfter / .milliseconds(1), 0), Double(UInt32.max))
        self.init(code, beginning(of: failure.text), retryAfter: UInt32(milliseconds))
    }
}
