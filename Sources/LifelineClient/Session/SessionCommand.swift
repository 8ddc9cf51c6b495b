import Framing
import Posix

/// A command from another thread to the I/O thread. It is Sendable, and none runs the program's code there: resuming a
/// continuation only makes a task ready.
enum SessionCommand: Sendable {
    case open(SessionID, [Endpoint], TLSClient?, Session, SessionSinks)
    /// The status holds the reason where the session is over already.
    case call(SessionID, Call.ID, Call, Reply, ConnectionStatus)
    /// The program has sent messages.
    case sent(SessionID)
    case abandon(SessionID, Call.ID)
    case answered(SessionID, AnswerKey, Result<[UInt8], Failure>)
    /// Close the session, and wait for messages that are not handled for the time.
    case close(SessionID, within: Duration, CheckedContinuation<Void, Never>?)
    /// The program has read messages.
    case taken(SessionID)
    case resolved(Endpoint, Result<[SocketAddress], ConnectionError>)
}

/// The number of a session, unique in the process.
typealias SessionID = UInt64

/// Where a driver publishes what happens to its session.
struct SessionSinks: Sendable {
    let status: ConnectionStatus
    let messages: InboundMessages
    let lane = MessageLane()
    /// What answers the requests of the server; nil where nothing does.
    var answer: Answering?
}
