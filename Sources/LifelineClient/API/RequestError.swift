import Framing

/// How a request ended that has no answer: four of the protocol's five outcomes (Protocol.md, section 7.7). The fifth,
/// DONE, is the answer itself.
///
/// NOT_SENT and REFUSED promise that the request was not and will not be processed. The library repeats such requests
/// by itself until their timeout, where it still reconnects. UNKNOWN promises nothing; it is repeated only where
/// the caller said `mayRunTwice`.
public enum RequestError: Error, Hashable, Sendable {
    /// FAILED: the server answered that it could not do it.
    case failed(RequestFailure)
    /// NOT_SENT: no byte of it left this program.
    case notSent(Reason)
    /// REFUSED: the server promised that it did not process it.
    case refused(Reason)
    /// UNKNOWN: it was sent, and nobody can say whether it was processed.
    case unknown(Reason)

    /// Why there is no answer.
    public enum Reason: Hashable, Sendable {
        /// The request's own timeout passed; what was sent of it has been cancelled.
        case timedOut
        /// The caller's task was cancelled; what was sent of it has been cancelled.
        case cancelled
        /// It is longer than the server accepts: the most, in bytes.
        case tooLarge(most: Int)
        /// The server had no room for it.
        case refused(RequestFailure)
        /// The connection ended, or there was none.
        case connection(ConnectionError)
    }
}

/// A FAILURE of the server (Protocol.md, section 4.9).
public struct RequestFailure: Error, Hashable, Sendable {
    /// The code; one that this version does not know means `Code.internal`.
    public let code: Code
    /// A sentence for a person.
    public let text: String
    /// After how long a repetition has a chance; zero where the server did not say.
    public let retryAfter: Duration

    init(_ failure: Failure) {
        code = failure.code
        text = failure.text
        retryAfter = .milliseconds(failure.retryAfter)
    }
}

extension RequestError: CustomStringConvertible {
    /// For people, with the outcome's name first: `UNKNOWN: the answer did not come in time`.
    public var description: String {
        switch self {
        case .failed(let failure): "FAILED: \(failure)"
        case .notSent(let reason): "NOT_SENT: \(reason)"
        case .refused(let reason): "REFUSED: \(reason)"
        case .unknown(let reason): "UNKNOWN: \(reason)"
        }
    }
}

extension RequestError.Reason: CustomStringConvertible {
    /// For people.
    public var description: String {
        switch self {
        case .timedOut: "the answer did not come in time"
        case .cancelled: "it was cancelled"
        case .tooLarge(let most): "the server takes at most \(most) bytes"
        case .refused(let failure): "\(failure)"
        case .connection(let error): "\(error)"
        }
    }
}

extension RequestFailure: CustomStringConvertible {
    /// For people: `HANDLER_FAILED, no such table`.
    public var description: String { text.isEmpty ? "\(code)" : "\(code), \(text)" }
}
