import Framing

/// Why a connection ended.
enum LoadConnectionEnd: Hashable, Sendable {
    /// The server's CLOSE.
    case closed(Code)
    /// The server's CLOSE after its GOAWAY with this code.
    case sentAway(Code)
    /// CLOSE in place of WELCOME.
    case refused(Code)
    /// The connection could not be made.
    case unreachable(error: String)
    case endOfStream
    case reset
    /// Another error of the socket.
    case broken(error: String)
    /// TLS has failed.
    case tls(error: String)
    /// This side dropped the server (Protocol.md, section 7.5).
    case dropped(Code)
    /// An answer with other bytes than the request.
    case wrongAnswer
    /// A request had no answer in time.
    case timeout
    /// `--churn`.
    case cut
    /// The run ended.
    case finished

    var text: String {
        switch self {
        case .closed(let code): "closed by the server, \(code)"
        case .sentAway(let code): "sent away by the server, \(code)"
        case .refused(let code): "refused by the server, \(code)"
        case .unreachable(let error): "not connected, \(error)"
        case .endOfStream: "end of stream without CLOSE"
        case .reset: "reset"
        case .broken(let error): "broken, \(error)"
        case .tls(let error): error
        case .dropped(let code): "dropped the server, \(code)"
        case .wrongAnswer: "wrong answer"
        case .timeout: "timeout"
        case .cut: "cut by --churn"
        case .finished: "the run was over"
        }
    }

    /// Whether the end is none that counts as an error.
    var isOrderly: Bool {
        switch self {
        case .cut, .finished, .sentAway, .closed(.normal), .closed(.shuttingDown): true
        default: false
        }
    }

    /// Whether this side ended the connection.
    var isOwn: Bool { self == .cut || self == .finished }
}

/// The end of a request without an answer (Protocol.md, section 7.7).
enum LoadRequestEnd: Hashable, Sendable {
    /// FAILURE.
    case failed(Code)
    /// The server promised that no handler saw it: FAILURE(REFUSED), or an id above CLOSE's last_id; or the connection
    /// was refused, or not made.
    case refused(LoadConnectionEnd?)
    /// No byte of it was sent.
    case notSent(LoadConnectionEnd)
    /// UNKNOWN: it was sent, and the connection ended.
    case lost(LoadConnectionEnd)

    var text: String {
        switch self {
        case .failed(let code): "failed, \(code)"
        case .refused(nil): "refused, REFUSED"
        case .refused(let ending?): "refused, \(ending.text)"
        case .notSent(let ending): "not sent, \(ending.text)"
        case .lost(let ending): "lost, \(ending.text)"
        }
    }

    /// Whether it counts as a failure: this side did not cause it, and the server did not promise it in order.
    var isFailure: Bool {
        switch self {
        case .failed: true
        case .refused(let ending?), .notSent(let ending): !ending.isOrderly
        case .refused(nil): true
        case .lost(let ending): !ending.isOwn
        }
    }
}
