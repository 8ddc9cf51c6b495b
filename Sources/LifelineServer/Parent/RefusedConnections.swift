import Basics
import Framing
import Liveness
import Posix

/// Connections that the parent refuses itself: each is sent the preface and CLOSE, and is then read for a bounded
/// time, because closing with unread bytes would reset the connection and destroy the reason (Protocol.md, 7.6).
final class RefusedConnections {
    private final class Leaving {
        let connection: Descriptor
        let until: Instant

        init(_ connection: consuming Descriptor, until: Instant) {
            self.connection = connection
            self.until = until
        }
    }

    /// Of more than these the oldest are closed early: a flood costs the parent no more descriptors than this.
    static let most = 128

    @exclusivity(unchecked) private var leaving: [Leaving] = []
    /// Made when somebody is refused: until then the parent's memory is on fewer pages without it.
    private lazy var buffer = [UInt8](repeating: 0, count: 4096)

    var deadline: Instant? { leaving.first?.until }
    func append(to entries: inout [PollEntry]) {
        for leaving in leaving { entries.append(PollEntry(leaving.connection.number)) }
    }

    /// Refuses `connection`, without ever waiting: what does not fit the empty send buffer is not sent.
    func refuse(_ connection: consuming Descriptor, _ close: Close, at now: Instant) {
        _ = try? connection.send(close.refusal[...])
        connection.shutdownWriting()
        if leaving.count == RefusedConnections.most { leaving.removeFirst() }
        leaving.append(Leaving(connection, until: now + LingeringClose.linger))
    }

    /// Reads and discards what came, and closes what has ended or has had its time.
    func woke(_ entries: ArraySlice<PollEntry>, at now: Instant) {
        guard !leaving.isEmpty else { return }
        let readable = zip(leaving, entries).filter { $0.1.isReadable }.map { $0.0 }
        let ended = readable.filter { leaving in
            if case .end? = try? leaving.connection.receive(into: &buffer) { return true }
            return false
        }
        leaving.removeAll { leaving in leaving.until <= now || ended.contains { $0 === leaving } }
    }

    /// Discards what has come, so that closing does not reset, and closes all without waiting for more.
    func leaveAll() {
        for leaving in leaving { _ = try? leaving.connection.receive(into: &buffer) }
        leaving = []
    }

    func append(to numbers: inout [Int32]) {
        for leaving in leaving { numbers.append(leaving.connection.number) }
    }
}
