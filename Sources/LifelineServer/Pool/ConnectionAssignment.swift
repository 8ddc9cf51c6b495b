import Basics
import Posix

/// What the parent knows of a connection as it gives it to a child: inherited at the fork, or sent through a channel.
struct ConnectionAssignment: BitwiseCopyable {
    /// The connection's number.
    let connection: UInt64
    /// Whose socket it is: the client's, or that of a proxy until the header is read.
    private(set) var peer: SocketAddress
    let acceptedAt: Instant
    let handshakeTimeout: Duration
    /// Whether it begins with a header of the PROXY protocol.
    var beginsWithHeader = false
    /// Whether it is a back-end's, which publishes, and no client's.
    var isBackEnd = false
    /// Its slot of the scoreboard. A process with one connection has one slot, and does not look here.
    var slot: Int32 = 0

    /// The same connection, with the client's address in place of the proxy's.
    func identified(as client: SocketAddress) -> ConnectionAssignment {
        var identified = self
        identified.peer = client
        return identified
    }

    /// What is known of its client as it begins.
    var standing: ChildTable.Standing { isBackEnd ? .backEnd : beginsWithHeader ? .unidentified : .direct }

    /// Overwritten when a connection comes.
    static let none = ConnectionAssignment(
        connection: 0, peer: SocketAddress(host: "::", port: 0)!, acceptedAt: Instant(sinceStart: .zero),
        handshakeTimeout: .zero)
}
