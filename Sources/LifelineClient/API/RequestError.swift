import Framing

/// The outcome of a request without an answer: four of the protocol's five outcomes (Protocol.md, section 7.7). The fifth,
/// DONE, is the answer.
///
/// NOT_SENT and REFUSED promise that the server did not and will not process the request. The library repeats such a
/// request until its timeout, while it reconnects. UNKNOWN promises nothing. The library then repeats the request only
/// with `mayRunTwice`.
public enum RequestError: Error, Hashable, Sendable {
    /// FAILED: the server answered with FAILURE.
    case failed(RequestFailure)
    /// NOT_SENT: the program sent no byte of the request.
    case notSent(Reason)
    /// REFUSED: the server promised not to process the request.
    case refused(Reason)
    /// UNKNOWN: the request was sent, and the server may or may not have processed it.
    case unknown(Reason)

    /// The reason why there is no answer.
    public enum Reason: Hashable, Sendable {
        /// The request's timeout has passed. The library cancelled what it had sent (CANCEL).
        case timedOut
        /// The caller's task was cancelled. The library cancelled what it had sent (CANCEL).
        case cancelled
        /// The request is longer than the server's limit, `most` bytes.
        case tooLarge(most: Int)
        /// The server had no room for the request (FAILURE with REFUSED).
        case refused(RequestFailure)
        /// The connection ended, or none could be opened.
        case connection(ConnectionError)
    }
}

/// A FAILURE in place of an answer (Protocol.md, section 4.9): the server's, or the one that `ClientOptions.answer` throws.
public struct RequestFailure: Error, Hashable, Sendable {
    /// Why there is no answer. Treat a code that you do not know as `Code.internal`.
    public let code: Code
    /// A text for people. Escape the server's before you print it to a terminal.
    public let text: String
    /// The wait after which another try has a chance; zero where nothing is known.
    public let retryAfter: Duration

    /// Creates the failure that the server gets in place of an answer. It gets the first 512 bytes of the text.
    ///
    /// `Code.refused` promises that the program has not processed the request. `Code.normal` becomes `Code.handlerFailed`.
    public init(_ code: Code = .handlerFailed, _ text: String, retryAfter: Duration = .zero) {
        self.code = code
        self.text = text
        self.retryAfter = retryAfter
    }

    init(_ failure: Failure) {
        code = failure.code
        text = failure.text
        retryAfter = .milliseconds(failure.retryAfter)
    }
}

extension RequestError: CustomStringConvertible {
    /// The error for people, with the name of the outcome first: `UNKNOWN: the answer did not come in time`.
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
    /// The reason for people.
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
    /// The failure for people: `HANDLER_FAILED, no such table`.
    public var description: String { code.with(text) }
}
