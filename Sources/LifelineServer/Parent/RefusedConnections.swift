import Basics
import Framing
import Liveness
import Posix

/// Connections that the parent refuses itself. Each is sent the preface and CLOSE, and is then read for a bounded time:
/// to close it with unread bytes would reset it and destroy the reason (Protocol.md, 7.6).
final class RefusedConnections {
    private final class RefusedConnection {
        let socket: ParentOwned<Descriptor>
        let until: Instant
        var token: PollSet.Token?

        init(_ socket: consuming ParentOwned<Descriptor>, until: Instant) {
            self.socket = socket
            self.until = until
        }
    }

    /// Beyond this many the oldest are closed early: a flood costs the parent no more descriptors.
    static let most = 128

    private let descriptors: ParentDescriptors
    @exclusivity(unchecked) private var connections: [RefusedConnection] = []
    /// Made when the first client is refused: until then the parent's memory is on fewer pages without it.
    private lazy var buffer = [UInt8](repeating: 0, count: 4096)

    init(_ descriptors: ParentDescriptors) { self.descriptors = descriptors }

    /// When the oldest is closed; nil where there is none.
    var deadline: Instant? { connections.first?.until }

    /// Sends `close` to a client, without waiting: what does not fit the empty send buffer is not sent.
    func add(_ socket: consuming Descriptor, _ close: Close, at now: Instant) {
        add(ParentOwned(socket, in: descriptors), close, at: now)
    }

    func add(_ socket: ParentOwned<Descriptor>, _ close: Close, at now: Instant) {
        _ = try? socket.resource.send(close.refusal[...])
        socket.resource.shutdownWriting()
        if connections.count == RefusedConnections.most { connections.removeFirst() }
        connections.append(
            RefusedConnection(socket, until: now + LingeringClose.linger))
    }

    func add(to set: inout PollSet) {
        for connection in connections { connection.token = set.add(connection.socket.resource.number) }
    }

    /// Reads and discards what came, and closes what has ended or has had its time.
    func resumed(_ set: borrowing PollSet, at now: Instant) {
        guard !connections.isEmpty else { return }
        let ended = connections.filter { connection in
            guard set.isReadable(connection.token) else { return false }
            if case .end? = try? connection.socket.resource.receive(into: &buffer) { return true }
            return false
        }
        connections.removeAll { connection in connection.until <= now || ended.contains { $0 === connection } }
    }

    /// Discards what has come, so that closing does not reset, and closes all without waiting for more.
    func closeAll() {
        for connection in connections { _ = try? connection.socket.resource.receive(into: &buffer) }
        connections = []
    }
}
