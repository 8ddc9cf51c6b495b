import Posix

/// What other threads ask of the thread of input and output. All of it is Sendable, and nothing of it runs the
/// program's code there: continuations only make tasks ready.
enum SessionCommand: Sendable {
    case open(LinkID, Endpoint, Session, LinkSinks)
    /// The monitor tells why, where the link is gone.
    case call(LinkID, Call.ID, Call, Reply, ConnectionStatus)
    case abandon(LinkID, Call.ID)
    case close(LinkID, CheckedContinuation<Void, Never>?)
    case resolved(Endpoint, Result<[SocketAddress], ConnectionError>)
}

typealias LinkID = UInt64
/// Who waits for the end of a call.
typealias Reply = CheckedContinuation<Result<[UInt8], RequestError>, Never>

/// Where a link tells what happens to it.
struct LinkSinks: Sendable {
    let monitor: ConnectionStatus
    let messages: InboundMessages
}
