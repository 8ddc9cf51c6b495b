import Framing
import Liveness
import Posix

/// The process of one connection: it waits in poll(2) for bytes, a signal or the next deadline, and carries out what
/// `ServerConnection` decides. It never returns to the parent's code.
final class Child<ConnectionHandler: Handler> {
    /// Larger than a frame, so that a frame of the default size comes in one call.
    private static var bufferSize: Int { 65536 }
    /// After so many writes in a row the client's bytes get their turn.
    private static var writesAtOnce: Int { 8 }
    /// How many reads a shutdown waits for, at most, to find the requests that have already come.
    private static var lastReads: Int { 64 }

    private let socket: Descriptor
    private let signals: SignalDescriptor
    private let peer: SocketAddress
    private let id: UInt64
    private let acceptedAt: Instant
    private let log: Log
    private var connection: ServerConnection
    private var handler: ConnectionHandler
    private var buffer: [UInt8]
    private var mayRead = true
    private var isBlocked = false
    private var hasReported = false

    init(
        _ socket: consuming Descriptor, peer: SocketAddress, id: UInt64, acceptedAt: Instant, options: ServerOptions,
        log: Log, handler: ConnectionHandler
    ) throws(SystemError) {
        signals = try SignalDescriptor([Signal.terminate, Signal.reopen])
        self.socket = socket
        self.peer = peer
        self.id = id
        self.acceptedAt = acceptedAt
        self.log = log
        self.handler = handler
        connection = ServerConnection(
            id: id, terms: options.terms, handshakeTimeout: options.handshakeTimeout, acceptedAt: acceptedAt)
        buffer = Array(unsafeUninitializedCapacity: Child.bufferSize) { $1 = Child.bufferSize }
    }

    func run() -> Never {
        // What the client sent at once is there by now as a rule, so the first wait is saved.
        var now = Instant.now
        read(at: now)
        while true {
            write(at: now)
            if connection.departure?.isOver ?? false { leave() }
            var entries = [
                PollEntry(signals.number),
                PollEntry(mayRead || isBlocked ? socket.number : -1, reading: mayRead, writing: isBlocked),
            ]
            do {
                try poll(&entries, until: connection.deadline)
            } catch {
                connection.broke("\(error)")
            }
            now = .now
            connection.woke(at: now)
            if entries[1].isReadable, mayRead { read(at: now) }
            if entries[0].isReadable {
                while let signal = signals.next() {
                    if signal == Signal.reopen { log.reopen() } else { terminate(at: now) }
                }
            }
            // poll(2) announces room only when a third of the send buffer is free. A slow reader may have made less of
            // it, and is judged by what the kernel takes, so that is tried first.
            if isBlocked { write(at: now) }
            connection.judge(at: now)
        }
    }

    /// One read, and all that it brings; false where nothing came.
    @discardableResult
    private func read(at now: Instant) -> Bool {
        do throws(SystemError) {
            switch try socket.receive(into: &buffer) {
            case .wouldBlock:
                return false
            case .end:
                mayRead = false
                connection.endOfStream(at: now)
                return false
            case .bytes(let count):
                connection.received(count, at: now)
            }
        } catch {
            mayRead = false
            connection.broke("\(error)")
            return false
        }
        while let event = connection.next(in: buffer, at: now) { handle(event) }
        return true
    }

    private func handle(_ event: ServerConnection.Event) {
        switch event {
        case .opened(let hello):
            report(.debug, "opened")
            handler.opened(
                Connection(id: id, peer: peer.description, options: hello.options) { [unowned self] message in
                    connection.send(message)
                })
        case .request(let request):
            do throws(Failure) {
                connection.answer(request.id, try handler.respond(to: request).bytes)
            } catch {
                connection.fail(request.id, error)
            }
        case .message(let message):
            handler.received(message)
        case .cancelled:
            break  // A handler in the loop has answered every request before the next frame is read.
        }
    }

    private func write(at now: Instant) {
        isBlocked = false
        var writes = 0
        while !connection.outbox.isEmpty, !isBlocked {
            guard writes < Child.writesAtOnce else {
                isBlocked = true  // poll(2) says at once that there is room, and what was read meanwhile comes first.
                break
            }
            writes += 1
            do throws(SystemError) {
                switch try socket.send(connection.outbox.unsent, endFollows: connection.outbox.endsWithClose) {
                case .bytes(let count): connection.wrote(count, at: now)
                case .wouldBlock, .end:
                    connection.wrote(0, at: now)
                    isBlocked = true
                }
            } catch {
                connection.broke("\(error)")
                return
            }
        }
        if let departure = connection.departure, !departure.isFlushing, !hasReported {
            socket.shutdownWriting()
            reportEnd()
        }
    }

    /// SIGTERM: the requests that have come are answered, then the client is sent away.
    private func terminate(at now: Instant) {
        var reads = 0
        while reads < Child.lastReads, mayRead, read(at: now) { reads += 1 }
        connection.terminate(
            GoAway(.shuttingDown, "the server is shutting down", spread: ServerConnection.comeBackSpread), at: now)
    }

    private func reportEnd() {
        hasReported = true
        report(connection.ending.level, "closed")
        handler.closed(connection.ending)
    }

    private func report(_ level: LogLevel, _ event: String) {
        log.write(
            level, event, reason: hasReported ? connection.ending.kind : "",
            {
                var fields: [Log.Field] = [
                    ("connection", .number(id)), ("pid", .number(UInt64(processID))),
                    ("peer", .text(peer.description)),
                ]
                if let name = connection.hello?.options.name { fields.append(("name", .text(name))) }
                guard hasReported else { return fields }
                fields.append(("reason", .text(connection.ending.name)))
                if case .closed(_, _, let side) = connection.ending { fields.append(("by", .text("\(side)"))) }
                fields += [
                    ("age", .seconds(.now - acceptedAt)),
                    ("requests", .number(connection.requestsServed)), ("bytes_in", .number(connection.bytesIn)),
                    ("bytes_out", .number(connection.outbox.sent)),
                ]
                if !connection.ending.text.isEmpty { fields.append(("text", .text(connection.ending.text))) }
                return fields
            }())
    }

    private func leave() -> Never {
        if !hasReported { reportEnd() }
        exitProcess(0)
    }
}

extension Ending {
    /// The name of the code, or LOST.
    var name: String {
        switch self {
        case .closed(let code, _, _): code.description
        case .lost: "LOST"
        }
    }

    /// The name for the log's flood of one reason, of which a client can make no new ones.
    var kind: String {
        if case .closed(let code, _, _) = self, Code.internal.rawValue < code.rawValue { "unknown code" } else { name }
    }

    var text: String {
        switch self {
        case .closed(_, let text, _), .lost(let text): text
        }
    }

    /// What ends as it should is information; a drop, a break or a violation is a warning.
    var level: LogLevel {
        switch self {
        case .closed(.normal, _, _), .closed(.shuttingDown, _, _): .info
        case .closed, .lost: .warning
        }
    }
}
