import Basics
import Posix

/// What the parent knows of a connection as it gives it to a child: inherited at the fork, or sent through a channel.
struct ConnectionAssignment: BitwiseCopyable {
    /// The connection's number.
    let connection: UInt64
    let peer: SocketAddress
    let acceptedAt: Instant
    let handshakeTimeout: Duration

    /// Overwritten when a connection comes.
    static let none = ConnectionAssignment(
        connection: 0, peer: SocketAddress(host: "::", port: 0)!, acceptedAt: Instant(sinceStart: .zero),
        handshakeTimeout: .zero)
}
