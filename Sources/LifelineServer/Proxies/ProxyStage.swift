import Basics
import Framing
import Liveness
import Posix

/// The first stage of a proxy's connection in its process: carries `ProxyHandshake` out, in a loop of its own.
///
/// It looks at the bytes that have come, and takes those of the header alone out of the socket (MSG_PEEK in recv(2)). So what
/// serves the connection afterwards reads the client's bytes as if there had been no header.
struct ProxyStage: ~Copyable {
    enum StageEnd {
        /// The connection is to be served.
        case client(ProxiedClient)
        /// The connection is over. A process that was told to end serves no other.
        case over(mayServeMore: Bool)
    }

    /// Most headers fit in it at once.
    private static let bufferSize = 1024
    /// A client that the parent has refused holds its process, and a place of --max-connections, for this long at most. The
    /// proxy is near, and reads CLOSE at once.
    private static let lingerOfRefused = Duration.milliseconds(100)

    private let assignment: ConnectionAssignment
    private let registry: ChildRegistry
    private let slotNumber: Int
    private let slot: Scoreboard.Slot
    private let commands: ChildCommands.Inbox
    private let signals: OwnedResource<SignalDescriptor>
    private let log: Log
    private var title: ChildTitle
    private var handshake: ProxyHandshake
    private var buffer = [UInt8](repeating: 0, count: bufferSize)
    private var set = PollSet()
    private var wasToldToEnd = false
    /// Whether the end waits for nothing.
    private var mustHurry = false

    /// - Parameters:
    ///   - assignment: Which connection it is.
    ///   - registry: Where the parent is asked.
    ///   - slot: The connection's own.
    ///   - signals: What the process reads its signals from.
    ///   - log: Where the end of a connection is written that is not served.
    ///   - title: What `ps` shows; nil where it shows nothing.
    init(
        _ assignment: ConnectionAssignment, _ registry: ChildRegistry, slot: Int,
        signals: OwnedResource<SignalDescriptor>, log: Log, title: ProcessTitle?
    ) {
        self.assignment = assignment
        self.registry = registry
        slotNumber = slot
        self.slot = registry.slot(slot)
        commands = registry.commands[slot]
        self.signals = signals
        self.log = log
        self.title = ChildTitle(title, peer: assignment.peer)
        handshake = ProxyHandshake(deadline: assignment.acceptedAt + assignment.handshakeTimeout)
    }

    /// Reads the header, and returns once the client is let in or the connection is over.
    mutating func run(_ socket: borrowing Descriptor) -> StageEnd {
        title.update(.greeting)
        var step = read(socket)
        while true {
            switch step {
            case .wait: break
            case .ask(let source): registry.announce(source, of: slotNumber)
            case .serve:
                return handshake.header.map { .client(ProxiedClient($0, via: assignment.peer)) }
                    ?? .over(mayServeMore: false)
            case .leave(let departure):
                leave(departure, socket)
                return .over(mayServeMore: !wasToldToEnd)
            }
            step = wait(socket)
        }
    }

    private mutating func wait(_ socket: borrowing Descriptor) -> ProxyHandshake.Step {
        set.removeAll(reserving: 2)
        let signalled = set.add(signals.number ?? -1)
        // Nothing is looked at while the parent is asked: a peer that has gone meanwhile may have left messages.
        let ready = handshake.isAsking ? nil : set.add(socket.number)
        do throws(SystemError) {
            try set.wait(until: handshake.deadline)
        } catch {
            return .leave(.lost("\(error)"))
        }
        if set.isReadable(signalled) {
            let step = handleSignals()
            if step != .wait { return step }
        }
        if set.isReadable(ready) {
            let step = read(socket)
            if step != .wait { return step }
        }
        return handshake.resumed(at: .now)
    }

    private mutating func read(_ socket: borrowing Descriptor) -> ProxyHandshake.Step {
        do throws(SystemError) {
            switch try socket.peek(into: &buffer) {
            case .wouldBlock: return .wait
            case .end: return handshake.ended()
            case .bytes(let count):
                let (step, taken) = handshake.received(buffer[..<count])
                try socket.skip(taken)
                return step
            }
        } catch {
            return handshake.ended("\(error)")
        }
    }

    private mutating func handleSignals() -> ProxyHandshake.Step {
        var step = ProxyHandshake.Step.wait
        while let (signal, _) = signals.next() {
            switch signal {
            case Signal.terminate, Signal.quit:
                wasToldToEnd = true
                mustHurry = mustHurry || signal == Signal.quit
                let longest = UInt32(DrainSchedule.leastReturn / .milliseconds(1))
                step = handshake.commanded(
                    mustHurry ? .end : commands.command, retryAfter: .random(in: 0...longest))
            case Signal.reopen: log.reopen()
            case Signal.call:
                if handshake.isAsking, !wasToldToEnd, let verdict = commands.verdict {
                    step = handshake.judged(verdict)
                }
            default: break
            }
        }
        return step
    }

    // MARK: The end

    private mutating func leave(_ departure: ProxyHandshake.Dismissal, _ socket: borrowing Descriptor) {
        switch departure {
        case .probe:
            slot.closeReason = CloseReasonLabel.probeNumbers
            report(.closed(.normal, "", by: .client), isProbe: true)
        case .lost(let text):
            end(.lost(text))
        case .refused(let close):
            slot.closeReason = CloseReasonLabel.numbers(of: .closed(close.code, close.text, by: .server))
            send(close, socket)
            linger(socket, for: ProxyStage.lingerOfRefused)
        case .closed(let close):
            send(close, socket)
            end(.closed(close.code, close.text, by: .server))
            linger(socket, for: LingeringClose.linger)
        }
        slot.isFinished = true
    }

    private func end(_ reason: CloseReason) {
        slot.closeReason = CloseReasonLabel.numbers(of: reason)
        report(reason, isProbe: false)
    }

    /// Sends all that a server says on a connection that it does not serve (Protocol.md, 7.6).
    private mutating func send(_ close: Close, _ socket: borrowing Descriptor) {
        title.update(.closing)
        let bytes = close.refusal
        _ = try? socket.send(bytes[...])
        socket.shutdownWriting()
        slot.publish(answered: 0, bytesIn: 0, bytesOut: UInt64(bytes.count), inFlight: 0, activity: .closing)
    }

    /// Reads and discards what comes, for a bounded time: to close with unread bytes would reset the connection.
    private mutating func linger(_ socket: borrowing Descriptor, for time: Duration) {
        let until = mustHurry ? Instant.now : .now + time
        while true {
            switch try? socket.receive(into: &buffer) {
            case .bytes?: continue
            case .wouldBlock?: break
            case .end?, nil: return
            }
            guard .now < until else { return }
            set.removeAll()
            let signalled = set.add(signals.number ?? -1)
            _ = set.add(socket.number)
            guard (try? set.wait(until: until)) != nil else { return }
            if set.isReadable(signalled) {
                _ = handleSignals()
                if mustHurry { return }
            }
        }
    }

    private func report(_ reason: CloseReason, isProbe: Bool) {
        let client = handshake.header.map { ProxiedClient($0, via: assignment.peer) }
        log.write(isProbe ? .probed : .closed, at: isProbe ? nil : reason.level, reason: reason.kind) { line in
            line.number(.connection, assignment.connection)
            line.number(.pid, processID)
            line.address(.peer, client?.peer ?? assignment.peer)
            if let client { line.put(client) } else { line.address(.via, assignment.peer) }
            line.put(reason, isProbe: isProbe)
            line.seconds(.age, .now - assignment.acceptedAt)
            line.number(.requests, 0)
            line.number(.bytesIn, 0)
            line.number(.bytesOut, slot.bytesOut)
            if !reason.text.isEmpty { line.text(.text, reason.text) }
        }
    }
}

extension LogLine {
    /// Puts what a proxy says of its client, behind the client's address.
    mutating func put(_ client: ProxiedClient) {
        address(.via, client.via)
        if let id = client.uniqueID { text(.uniqueID, String(decoding: id, as: UTF8.self)) }
        guard let tls = client.tls else { return }
        if let version = tls.version { text(.tls, version) }
        if let name = tls.clientName { text(.certificateName, name) }
    }
}
