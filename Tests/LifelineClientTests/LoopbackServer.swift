import Framing
import Posix
import Synchronization

/// A server in a thread of the test's own process, on a port of the system's choice: it echoes requests, and obeys
/// those that are orders.
///
///     never       is not answered
///     push N      is answered after N one-way messages "0", "1", ...
///     close       ends the connection with CLOSE(BUSY), last_id below this request
///     break       ends it without a word
final class LoopbackServer: Sendable {
    struct Log {
        var connections = 0
        var requests = 0
        var pings = 0
        var pongs = 0
        var cancels: [UInt32] = []
        var closes: [Code] = []
    }

    private final class Connection {
        let socket: Descriptor
        var peer = Peer()
        var isOver = false

        init(_ socket: consuming Descriptor) { self.socket = socket }
    }

    let port: UInt16
    private let log = Mutex(Log())
    private let listener: Descriptor
    private let stopped: Descriptor
    private let welcome: Welcome

    init(_ welcome: Welcome = Peer.welcome, port: UInt16 = 0) throws {
        self.welcome = welcome
        stopped = try .event()
        listener = try .listening(at: SocketAddress(host: "127.0.0.1", port: port)!, backlog: 100)
        self.port = UInt16(listener.localAddress.description.split(separator: ":").last!)!
        try startThread(named: "test-server") { self.run() }
    }

    var seen: Log { log.withLock { $0 } }

    func stop() { stopped.wakeUp() }

    private func run() {
        var connections: [Connection] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            var entries = [PollEntry(stopped.number), PollEntry(listener.number)]
            for connection in connections {
                entries.append(PollEntry(connection.socket.number, writing: !connection.peer.outbox.isEmpty))
            }
            guard (try? poll(&entries, until: nil)) != nil, !entries[0].isReadable else { return }
            for (connection, entry) in zip(connections, entries.dropFirst(2)) where entry.isReadable {
                serve(connection, &buffer)
            }
            if let accepted = try? listener.accept() {
                connections.append(Connection(accepted.connection))
                log.withLock { $0.connections += 1 }
            }
            for connection in connections { flush(connection) }
            connections.removeAll { $0.isOver }
        }
    }

    private func serve(_ connection: Connection, _ buffer: inout [UInt8]) {
        guard case .bytes(let count)? = try? connection.socket.receive(into: &buffer),
            let seen = try? connection.peer.read(Array(buffer[..<count]))
        else {
            connection.isOver = true
            return
        }
        for frame in seen {
            log.withLock { log in
                switch frame {
                case .ping: log.pings += 1
                case .pong: log.pongs += 1
                case .cancel(let id): log.cancels.append(id)
                case .close(let code): log.closes.append(code)
                case .request: log.requests += 1
                case .hello, .message, .response, .failure, .credit, .goAway: break
                }
            }
            switch frame {
            case .hello: connection.peer.outbox.greet(welcome, maxFrame: 16384)
            case .request(let id, let message): obey(id, message, connection)
            case .cancel(let id): connection.peer.outbox.fail(id, Failure(.cancelled))
            case .close: connection.peer.outbox.close(Close(.normal))
            case .ping, .pong, .message, .response, .failure, .credit, .goAway: break
            }
        }
    }

    private func obey(_ id: UInt32, _ message: [UInt8], _ connection: Connection) {
        let words = String(decoding: message, as: UTF8.self).split(separator: " ")
        switch words.first {
        case "never": break
        case "close": connection.peer.outbox.close(Close(.busy, "as told", lastID: id - 1))
        case "break": connection.isOver = true
        case "push":
            for number in 0..<Int(words[1])! {
                connection.peer.outbox.send(.message, bytes("\(number)")[...], cost: 0)
            }
            fallthrough
        default: connection.peer.outbox.send(.response, id: id, message[...], cost: 0)
        }
    }

    private func flush(_ connection: Connection) {
        while !connection.isOver, !connection.peer.outbox.isEmpty {
            guard case .bytes(let count)? = try? connection.socket.send(connection.peer.outbox.unsent) else { return }
            connection.peer.outbox.wrote(count)
        }
        if connection.peer.outbox.isClosed, connection.peer.outbox.isEmpty { connection.socket.shutdownWriting() }
    }
}
