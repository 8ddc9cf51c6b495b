import Basics
import Framing
import Posix

/// What works on the requests of a connection: in the child's loop, on a thread beside it, or in a program.
///
/// The loop gives it one thing at a time, as `ServerConnection` decides, and never waits for it. What it has made of
/// that it brings to the connection at once, or when the loop calls `work`: each time it wakes, and before it waits.
protocol HandlerRunner: AnyObject {
    /// Whether it ends by itself what takes too long (`ServerOptions.handlerTimeout`), and not the connection.
    var judgesTime: Bool { get }

    /// The handshake is done; `tokenName` is whom the client's token stands for.
    func opened(_ hello: Hello, tokenName: String?, on connection: inout ServerConnection, at now: Instant)
    func take(_ request: Request, on connection: inout ServerConnection, at now: Instant)
    func take(message: ArraySlice<UInt8>, on connection: inout ServerConnection, at now: Instant)
    /// Nobody waits for the answer to this request any more; it need not be finished.
    func cancel(_ id: UInt32, on connection: inout ServerConnection, at now: Instant)
    /// The connection has ended; said once, last, when all else has been given.
    func closed(_ ending: CloseReason)

    /// Adds what poll(2) is to wait for besides the socket and the signals. Called just before each wait.
    ///
    /// The connection is not changed; a `borrowing` one would be copied for the call.
    func append(to entries: inout [PollEntry], for connection: inout ServerConnection)
    /// When the loop has to wake for it at the latest.
    var deadline: Instant? { get }
    /// A child of this process has ended, or a thread of it has called.
    func signalled(_ signal: Int32, at now: Instant)
    /// Brings answers, messages and `finished` to the connection. `entries` are those asked for, or none.
    func work(_ entries: ArraySlice<PollEntry>, on connection: inout ServerConnection, at now: Instant)

    /// Whether the process can end, once `closed` was said.
    var isOver: Bool { get }
    /// The time to end is over: what still runs is ended now.
    func giveUp()
}

extension HandlerRunner {
    var judgesTime: Bool { false }
}

extension Handler {
    /// What it makes of `request`; `parts` is the way out for a response that it sends in parts.
    mutating func answer(to request: Request, parts: () -> Parts) -> HandlerMailbox.HandlerOutput {
        do throws(Failure) {
            switch try respond(to: request).body {
            case .bytes(let bytes): return .response(request.id, bytes)
            case .parts(let write):
                let parts = parts()
                try write(parts)
                return parts.last(of: request)
            }
        } catch {
            return .failure(request.id, error)
        }
    }
}
