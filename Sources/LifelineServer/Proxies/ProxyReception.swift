import Basics
import Framing
import Liveness
import Posix

/// Carries a `ProxyHandshake` out on a proxy's connection, step by step, for whatever loop waits meanwhile.
///
/// It looks at the bytes that have come, and takes those of the header alone out of the socket (MSG_PEEK in recv(2)). So what
/// serves the connection afterwards reads the client's bytes as if there had been no header.
struct ProxyReception: ~Copyable {
    /// What the loop does next.
    enum Step {
        /// It waits until `deadline`: for bytes too, where the reception `waitsForBytes`.
        case waits
        /// It serves the connection.
        case serves(ProxiedClient)
        /// It closes the connection, which is over.
        case over
    }

    /// A client that the parent has refused holds its process, and a place of --max-connections, for this long at most. The
    /// proxy is near, and reads CLOSE at once.
    private static let lingerOfRefused = Duration.milliseconds(100)
    /// How many reads of what is discarded follow each other.
    private static let readsAtOnce = 64

    private let assignment: ConnectionAssignment
    private let registry: ChildRegistry
    private let slotNumber: Int
    private let slot: Scoreboard.Slot
    private let log: Log
    private var handshake: ProxyHandshake
    /// Until when what comes is read and discarded: to close with unread bytes would reset the connection. Nil before the end.
    private var lingersUntil: Instant?

    /// - Parameters:
    ///   - assignment: Which connection it is.
    ///   - registry: Where the parent is asked.
    ///   - slot: The connection's own.
    ///   - log: Where the end of a connection is written that is not served.
    init(_ assignment: ConnectionAssignment, _ registry: ChildRegistry, slot: Int, log: Log) {
        self.assignment = assignment
        self.registry = registry
        slotNumber = slot
        self.slot = registry.slot(slot)
        self.log = log
        handshake = ProxyHandshake(deadline: assignment.acceptedAt + assignment.handshakeTimeout)
    }

    /// What an operator sees of it.
    var activity: ConnectionActivity { lingersUntil == nil ? .greeting : .closing }
    /// Whether bytes are waited for. While the parent is asked none are: a peer that has gone meanwhile may have left messages.
    var waitsForBytes: Bool { lingersUntil != nil || !handshake.isAsking }
    /// When the loop calls `resumed` at the latest.
    var deadline: Instant { lingersUntil ?? handshake.deadline }

    // MARK: Steps

    /// Reads what has come, through `buffer`.
    mutating func read(_ socket: borrowing Descriptor, into buffer: inout [UInt8]) -> Step {
        guard lingersUntil == nil else { return discard(socket, &buffer) ? finish() : .waits }
        do throws(SystemError) {
            switch try socket.peek(into: &buffer) {
            case .wouldBlock: return .waits
            case .end: return carryOut(handshake.ended(), socket)
            case .bytes(let count):
                let (step, taken) = handshake.received(buffer[..<count])
                try socket.skip(taken)
                return carryOut(step, socket)
            }
        } catch {
            return carryOut(handshake.ended("\(error)"), socket)
        }
    }

    /// Does what is due at `now`.
    mutating func resumed(_ socket: borrowing Descriptor, at now: Instant) -> Step {
        guard let lingersUntil else { return carryOut(handshake.resumed(at: now), socket) }
        return now < lingersUntil ? .waits : finish()
    }

    /// The parent may have judged the client.
    mutating func lookForVerdict(_ socket: borrowing Descriptor) -> Step {
        guard lingersUntil == nil, handshake.isAsking, let verdict = registry.commands[slotNumber].verdict else {
            return .waits
        }
        return carryOut(handshake.judged(verdict), socket)
    }

    /// Ends the connection as the parent says; nil is a signal of somebody else. With `hurries` the end waits for nothing.
    mutating func end(
        _ socket: borrowing Descriptor, _ command: ChildCommands.ChildCommand?, hurries: Bool
    ) -> Step {
        if lingersUntil == nil {
            let longest = UInt32(DrainSchedule.leastReturn / .milliseconds(1))
            let step = handshake.commanded(hurries ? .end : command, retryAfter: .random(in: 0...longest))
            if case .over = carryOut(step, socket) { return .over }
        }
        return hurries ? finish() : .waits
    }

    /// The loop cannot wait for the connection any more.
    mutating func broke(_ text: String) -> Step {
        if lingersUntil == nil { end(.lost(text)) }
        return finish()
    }

    private mutating func carryOut(_ step: ProxyHandshake.Step, _ socket: borrowing Descriptor) -> Step {
        switch step {
        case .wait: return .waits
        case .ask(let source):
            registry.announce(source, of: slotNumber)
            return .waits
        case .serve:
            return handshake.header.map { .serves(ProxiedClient($0, via: assignment.peer)) } ?? finish()
        case .leave(let dismissal): return leave(dismissal, socket)
        }
    }

    // MARK: The end

    private mutating func leave(_ dismissal: ProxyHandshake.Dismissal, _ socket: borrowing Descriptor) -> Step {
        switch dismissal {
        case .probe:
            slot.closeReason = CloseReasonLabel.probeNumbers
            report(.closed(.normal, "", by: .client), isProbe: true)
            return finish()
        case .lost(let text):
            end(.lost(text))
            return finish()
        case .refused(let close):
            slot.closeReason = CloseReasonLabel.numbers(of: .closed(close.code, close.text, by: .server))
            send(close, socket)
            return linger(socket, for: ProxyReception.lingerOfRefused)
        case .closed(let close):
            send(close, socket)
            end(.closed(close.code, close.text, by: .server))
            return linger(socket, for: LingeringClose.linger)
        }
    }

    private func end(_ reason: CloseReason) {
        slot.closeReason = CloseReasonLabel.numbers(of: reason)
        report(reason, isProbe: false)
    }

    private func finish() -> Step {
        slot.isFinished = true
        return .over
    }

    /// Sends all that a server says on a connection that it does not serve (Protocol.md, 7.6).
    private func send(_ close: Close, _ socket: borrowing Descriptor) {
        let bytes = close.refusal
        _ = try? socket.send(bytes[...])
        socket.shutdownWriting()
        slot.publish(answered: 0, bytesIn: 0, bytesOut: UInt64(bytes.count), inFlight: 0, activity: .closing)
    }

    /// Reads and discards what comes, for a bounded time.
    private mutating func linger(_ socket: borrowing Descriptor, for time: Duration) -> Step {
        lingersUntil = .now + time
        var buffer = [UInt8](repeating: 0, count: 1024)
        return discard(socket, &buffer) ? finish() : .waits
    }

    /// Discards what has come; whether nothing more will.
    private func discard(_ socket: borrowing Descriptor, _ buffer: inout [UInt8]) -> Bool {
        for _ in 0..<ProxyReception.readsAtOnce {
            switch try? socket.receive(into: &buffer) {
            case .bytes?: continue
            case .wouldBlock?: return false
            case .end?, nil: return true
            }
        }
        return false
    }

    private func report(_ reason: CloseReason, isProbe: Bool) {
        let client = handshake.header.map { ProxiedClient($0, via: assignment.peer) }
        log.writeUnserved(assignment, reason, isProbe: isProbe, bytesOut: slot.bytesOut) { line in
            line.address(.peer, client?.peer ?? assignment.peer)
            if let client { line.put(client) } else { line.address(.via, assignment.peer) }
        }
    }
}

extension Log {
    /// Writes the end of a connection that was not served: `peer` puts whose it is.
    func writeUnserved(
        _ assignment: ConnectionAssignment, _ reason: CloseReason, isProbe: Bool = false, bytesOut: UInt64 = 0,
        at level: LogLevel? = nil, peer: (inout LogLine) -> Void
    ) {
        let level = isProbe ? nil : level ?? reason.level
        write(isProbe ? .probed : .closed, at: level, reason: reason.kind) { line in
            line.number(.connection, assignment.connection)
            line.number(.pid, processID)
            peer(&line)
            line.put(reason, isProbe: isProbe)
            line.seconds(.age, .now - assignment.acceptedAt)
            line.number(.requests, 0)
            line.number(.bytesIn, 0)
            line.number(.bytesOut, bytesOut)
            if !reason.text.isEmpty { line.text(.text, reason.text) }
        }
    }
}
