import Framing

/// The outcome of a request of the server without an answer: four of the protocol's five outcomes (Protocol.md, sections
/// 3.7 and 7.7). The fifth, DONE, is the answer.
///
/// NOT_SENT and REFUSED promise that the client did not and will not process the request, so it may be asked again.
/// UNKNOWN promises nothing.
public enum ClientRequestError: Error, Equatable, Sendable {
    /// FAILED: the client answered with FAILURE.
    case failed(Failure)
    /// NOT_SENT: the server sent no byte of the request.
    case notSent(Reason)
    /// REFUSED: the client promised not to process the request.
    case refused(Reason)
    /// UNKNOWN: the request was sent, and the client may or may not have processed it.
    case unknown(Reason)

    /// The reason why there is no answer.
    public enum Reason: Equatable, Sendable {
        /// The request's timeout has passed. The server cancelled what it had sent (CANCEL).
        case timedOut
        /// The client's request that it was asked for is cancelled. The server cancelled what it had sent (CANCEL).
        case cancelled
        /// The request is longer than the client takes, `most` bytes.
        case tooLarge(most: Int)
        /// The client answers no requests (`Connection.answersRequests`).
        case clientAnswersNone
        /// The handler answers at once, and asked from the event loop, which would have to wait for itself. It may ask from
        /// a thread of `Connection.inBackground`.
        case handlerAnswersAtOnce
        /// The connection has had all ids that there are, 4294967295.
        case idsUsedUp
        /// The client had no room for the request (FAILURE with REFUSED).
        case refused(Failure)
        /// The connection has ended, or the client is leaving.
        case connection(CloseReason)
    }
}

extension ClientRequestError: CustomStringConvertible {
    /// The error for people, with the name of the outcome first: `UNKNOWN: the answer did not come in time`.
    public var description: String {
        switch self {
        case .failed(let failure): "FAILED: \(failure.code.with(failure.text))"
        case .notSent(let reason): "NOT_SENT: \(reason)"
        case .refused(let reason): "REFUSED: \(reason)"
        case .unknown(let reason): "UNKNOWN: \(reason)"
        }
    }
}

extension ClientRequestError.Reason: CustomStringConvertible {
    /// The reason for people.
    public var description: String {
        switch self {
        case .timedOut: "the answer did not come in time"
        case .cancelled: "the request that it was asked for is cancelled"
        case .tooLarge(let most): "the client takes at most \(most) bytes"
        case .clientAnswersNone: "the client answers no requests"
        case .handlerAnswersAtOnce: "a handler that answers at once cannot wait for the client's answer"
        case .idsUsedUp: "the connection has no id left for another request"
        case .refused(let failure): failure.code.with(failure.text)
        case .connection(.closed(let code, let text, _)): "the connection has ended: \(code.with(text))"
        case .connection(.lost(let text)): "the connection is lost: \(text)"
        }
    }
}
