import Basics
import Framing
import Posix

/// A connection that its session has released. It sends what waits and its CLOSE, answers PINGs until then, and is closed
/// when the server has ended its stream or the time is over (Protocol.md, section 7.5).
final class ClosingConnection {
    let socket: Socket
    private var connection: ClientConnection
    private var isShutDown = false

    init(_ socket: Socket, _ connection: ClientConnection) {
        self.socket = socket
        self.connection = connection
    }

    /// Whether the socket is to be closed.
    var isOver: Bool { connection.isOver }
    var deadline: Instant? { connection.deadline }
    /// Whether the loop has to watch for room to write.
    var needsWriting: Bool {
        socket.needsWriting(hasUnsent: !connection.outbox.isEmpty || connection.hasSentClose && !isShutDown)
    }

    func resumed(at now: Instant) {
        if connection.mayExtendLinger(at: now) {
            connection.extendLinger(unacknowledged: socket.unacknowledged, at: now)
        }
        connection.resumed(at: now)
    }

    /// Reads what the server has sent, up to `reads` buffers. A reset would destroy the CLOSE of this side.
    func read(with buffer: inout [UInt8], upTo reads: Int, at now: Instant) {
        for _ in 0..<reads {
            do throws(TransportError) {
                switch try socket.read(into: &buffer) {
                case .bytes(let count):
                    var offset = 0
                    _ = connection.next(in: buffer, upTo: count, at: &offset, now: now)
                    continue
                case .wouldBlock: return
                case .end: _ = connection.streamEnded()
                }
            } catch {
                _ = connection.streamBroke("\(error)")
            }
            return
        }
    }

    /// Writes what is unsent, does what is due, and ends the stream behind CLOSE.
    func advance(at now: Instant) {
        connection.prepareWrite(at: now)
        if !connection.isOver, (try? socket.flush()) == nil { _ = connection.streamBroke("") }
        while !connection.isOver, !connection.outbox.isEmpty {
            guard let written = try? socket.write(connection.outbox.unsent) else {
                _ = connection.streamBroke("")
                break
            }
            guard case .bytes(let count) = written, count > 0 else {
                connection.wrote(0, at: now)
                break
            }
            connection.wrote(count, at: now)
        }
        if connection.outbox.isEmpty { connection.wrote(0, at: now) }
        _ = connection.enforceDeadlines(at: now)
        if connection.hasSentClose, !isShutDown {
            isShutDown = socket.shutdownWriting()
        }
    }
}
