import Framing
import LifelineServer

/// The handlers that `--handler` offers.
enum BuiltInHandler: String, CaseIterable {
    /// The same bytes back.
    case echo
    /// "ok" for each.
    case ack
    /// "This is server send message:N", N from 0 on each connection.
    case count
    /// What one says all others hear (`ChatHandler`).
    case chat
}

/// One connection's handler of the kind that `--handler` named; `chat` has one of its own.
struct BuiltIn: Handler {
    let kind: BuiltInHandler
    private var answered: UInt64 = 0

    let answersAtOnce = true
    /// All that a connection changes is in its own value of this.
    static let mayBeReused = true
    static let mayShare = true

    init(_ kind: BuiltInHandler) { self.kind = kind }

    mutating func respond(to request: Request) throws(Failure) -> Response {
        switch kind {
        case .echo: return Response(request.bytes)
        case .ack: return Response("ok")
        case .count:
            defer { answered += 1 }
            return Response("This is server send message:\(answered)")
        case .chat: preconditionFailure("chat has a handler of its own")
        }
    }
}
