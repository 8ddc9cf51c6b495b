import RawWire
import SystemTLS

/// The bench of a case against a client: it starts the client, and acts as its server.
final class ClientBench: TestBench {
    /// How a connection is made by the client under test.
    enum Mode: String { case long, short }

    private let command: [String]
    private let listener: RawListener
    /// What its connections speak TLS with; nil where they speak plain TCP.
    let tls: TLSContext?
    /// All clients of the case; requests go to the last one.
    private var clients: [(process: Spawned, input: ClientInput)] = []
    private var mayClose = false

    /// A bench with a listener of its own; `command` is what --help says of it.
    init(_ command: [String], port: UInt16, times: Times, chop: Int?, tls: TLSContext? = nil) throws {
        self.command = command
        self.tls = tls
        listener = try RawListener(port: port)
        if let tls { listener.securing = { try JudgesTLS($0, tls, within: RawPeer.patience) } }
        super.init(.client, times: times, chop: chop)
    }

    /// Starts the client; each line is a request that it is to send. The standard input stays open unless `closing`.
    ///
    /// `port` is that of another listener than the bench's own.
    @discardableResult
    func start(
        _ mode: Mode = .long, _ lines: String..., closing: Bool = false, sending: Bool = false, port: UInt16? = nil,
        errors: Spawned.Stream = .null
    ) throws -> Spawned {
        let command = try words(sending: sending)
        let hasMode = command.contains { $0.contains("{mode}") }
        if mode == .short, !hasMode { throw Skip("the command has no {mode}") }
        if port != nil, !command.contains(where: { $0.contains("{port}") }) { throw Skip("the command has no {port}") }
        let port = (port ?? listener.address.port).map { "\($0)" } ?? ""
        let line = command.map { $0.replacing("{mode}", with: mode.rawValue).replacing("{port}", with: port) }
        let input = try ClientInput()
        let client = try Spawned(
            line, input: .descriptor(input.reading), output: errors.isPipe ? .pipe : .null, errors: errors)
        input.handedOver()
        clients.append((client, input))
        for line in lines { try ask(line) }
        if closing { closeInput() }
        return client
    }

    /// The command, whose lines are messages where it is `sending`, and else requests.
    private func words(sending: Bool) throws -> [String] {
        let prefix = "{send:"
        if sending, !command.contains(where: { $0.hasPrefix(prefix) }) { throw Skip("the command has no {send:WORD}") }
        return command.compactMap { word in
            guard word.hasPrefix(prefix), word.hasSuffix("}") else { return word }
            return sending ? String(word.dropFirst(prefix.count).dropLast()) : nil
        }
    }

    /// Sends the client one more request.
    func ask(_ line: String) throws { try clients.last?.input.write(line + "\n") }

    /// Sends a signal to the client.
    func signal(_ number: Int32) { clients.last?.process.kill(number) }

    /// There are no more requests for the client: it leaves when all are answered.
    func closeInput() {
        mayClose = true
        clients.last?.input.close()
    }

    /// A client that leaves may have put CLOSE behind what it sends.
    override func isReleased(_ peer: RawPeer) -> Bool { mayClose || super.isReleased(peer) }

    /// The client's next connection, nil where none comes.
    func acceptIfAny(within limit: Duration) throws -> RawPeer? { try listener.acceptIfAny(within: limit).map(trace) }

    /// The client's next connection.
    func accept(within limit: Duration = RawPeer.patience) throws -> RawPeer {
        trace(try listener.accept(within: limit))
    }

    /// A WELCOME with the short times of this run, or with the times that are asked for.
    func welcome(
        minor: UInt8 = 0, pingEvery: UInt32? = nil, deadAfter: UInt32? = nil, maxFrame: UInt32 = 16384,
        maxMessage: UInt32 = 1 << 20, maxInFlight: UInt32 = 256, maxQueued: UInt32 = 4 << 20, options: [UInt8] = []
    ) -> RawFrame {
        let deadAfter = deadAfter ?? times.deadAfter
        return .welcome(
            minor: minor, pingEvery: pingEvery ?? max(20, deadAfter / 3), deadAfter: deadAfter, maxFrame: maxFrame,
            maxMessage: maxMessage, maxInFlight: maxInFlight, maxQueued: maxQueued, options: options)
    }

    /// Starts the client and greets it: the connection is open. Without `welcome` the times are long, so that a case
    /// that is not about time has all the time that it needs.
    func open(
        _ mode: Mode = .long, _ lines: String..., welcome: RawFrame = .welcome()
    ) throws -> (peer: RawPeer, hello: HelloFields) {
        try start(mode)
        for line in lines { try ask(line) }
        let peer = try accept()
        return (peer, try greet(peer, welcome))
    }

    /// Takes the client's preface and HELLO, and answers with the preface and `welcome`.
    func greet(_ peer: RawPeer, _ welcome: RawFrame) throws -> HelloFields {
        try peer.takePreface()
        let frame = try peer.takeFrame()
        guard let hello = frame.hello else { throw Unexpected("expected HELLO, got \(frame)") }
        try send(RawFrame.preface + welcome.bytes, on: peer)
        return hello
    }

    /// The next frame that is no PING of the client and not to be skipped; its PINGs are answered.
    func next(on peer: RawPeer, within limit: Duration = RawPeer.patience) throws -> RawFrame {
        let deadline = SuspendingClock.now + limit
        while true {
            let frame = try peer.takeFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline)))
            if frame.type == .ping { try peer.send(.pong(to: frame)) }
            if frame.type != .ping, frame.isKnown { return frame }
        }
    }

    /// A whole request, in however many chunks it comes.
    @discardableResult
    func takeRequest(on peer: RawPeer) throws -> RawFrame {
        try whole(request: next(on: peer)) { try next(on: peer) }
    }

    /// Sends what breaks a rule on an open connection with a request in flight, and expects to be dropped with `code`.
    func expectDrop(for bytes: [UInt8], _ code: RawCode = .protocolError) throws {
        let (peer, _) = try open(.long, "hello")
        try takeRequest(on: peer)
        try send(bytes, on: peer)
        try expectDrop(of: peer, code)
    }

    /// Answers the greeting with `bytes` in place of a preface and WELCOME, and expects to be dropped with `code`.
    func expectRefusal(of bytes: [UInt8], _ code: RawCode) throws {
        try start(.long, "hello")
        let peer = try accept()
        try peer.takePreface()
        _ = try peer.take(.hello)
        try send(bytes, on: peer)
        try expectClose(of: peer, code) { frame in
            frame.type == .ping || frame.type == .request ? nil : "expected CLOSE(\(code)), got \(frame)"
        }
    }

    /// What is to be skipped may come before CLOSE.
    @discardableResult
    override func expectClose(
        of peer: RawPeer, _ code: RawCode, within limit: Duration = RawPeer.patience,
        before complaint: (RawFrame) -> String? = { _ in nil }
    ) throws -> Notice? {
        try super.expectClose(of: peer, code, within: limit) { $0.isKnown || $0.credit != nil ? complaint($0) : nil }
    }

    /// Ends the clients. One that hangs is killed; one that crashed is a failure.
    func end() throws {
        listener.close()
        for (client, input) in clients {
            input.close()
            client.kill(18)  // SIGCONT, where a case has stopped it
            client.kill(15)
        }
        for (client, _) in clients {
            guard let exit = try? client.wait(within: .milliseconds(500)) else {
                client.kill(9)
                try client.wait()
                continue
            }
            // SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE and SIGSEGV are crashes.
            if case .signal(let signal) = exit, [4, 5, 6, 7, 8, 11].contains(signal) {
                throw Unexpected("the client crashed with signal \(signal)")
            }
        }
    }
}

extension Spawned.Stream {
    fileprivate var isPipe: Bool { if case .pipe = self { true } else { false } }
}
