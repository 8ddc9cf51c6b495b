import Basics
import Framing
import Posix

/// A few connections without a client that the parent serves itself, before it forks its first child.
///
/// Swift's runtime makes the metadata of generic types, and all that is `static let` or lazy, when it is used for the
/// first time. In a child that would be some hundred microseconds and a private copy of each page that it writes, for
/// every connection anew. What the parent has used before it forks is there in all children, and shared.
///
/// Without it a short connection takes 40 % more processor time, and 36 page faults for 16 (tools/dev/cost).
struct WarmUp {
    /// What the client of one of them says.
    private enum Part: CaseIterable {
        /// A request, and it is over.
        case short
        /// A request of a client of 1.0, for which empty messages wait.
        case old
        /// All that a client may say, and CLOSE.
        case long
        /// What no client may say: it is dropped, with a warning.
        case wrong
    }

    private let settings: ConnectionSettings
    private let log: Log
    private let commands: ChildCommands.Inbox
    private let hasProxies: Bool
    private let routerTerms: RouterTerms?

    init(_ options: ServerOptions, log: Log, commands: ChildCommands.Inbox) {
        var options = options
        // There is no client to wait for.
        options.timeout = .milliseconds(100)
        options.grace = .zero
        settings = options.connectionSettings
        routerTerms = options.topics ? RouterTerms(options) : nil
        hasProxies = options.listenAddresses.contains { $0.proxies(options.proxyFrom) != nil }
        self.log = Log(muting: log)
        self.commands = commands
    }

    /// Takes a slot for a moment. What the system refuses here it will refuse again, and be logged, where it matters.
    func run(in scoreboard: inout Scoreboard) {
        guard let slot = scoreboard.take() else { return }
        for part in Part.allCases { try? serve(part, scoreboard[slot]) }
        if hasProxies { readHeader() }
        if let routerTerms { try? RouterTie.warmUp(routerTerms) }
        CrashNotice.forget()
        scoreboard.giveBack(slot)
        waitForSilence()
    }

    private func serve(_ part: Part, _ slot: Scoreboard.Slot) throws(SystemError) {
        guard let peer = SocketAddress(host: "127.0.0.1", port: 1) else { return }
        let pair = try SocketPair()
        _ = try pair.other.send(conversation(part)[...])
        pair.other.shutdownWriting()
        let tie = try routerTerms.map { terms throws(SystemError) in
            RouterTie(try RouterLobby(in: ParentDescriptors()).entrance, terms) {}
        }
        let assignment = ConnectionAssignment(
            connection: 0, peer: peer, acceptedAt: .now, handshakeTimeout: .seconds(1))
        let runner = HandlerFactory.runner(
            of: WarmUpHandler(), in: HandlerHost(tie: tie), for: assignment, nil, log: log)
        var process = ConnectionProcess(
            pair.one, assignment, nil, settings, tokens: nil, log: log, slot: slot, commands: commands, title: nil,
            runner: runner, signals: OwnedResource(try SignalDescriptor([])), buffer: ConnectionProcess.firstBuffer,
            tie: tie)
        _ = process.run()
    }

    /// A proxy's header.
    private func readHeader() {
        guard let peer = SocketAddress(host: "127.0.0.1", port: 1) else { return }
        var handshake = ProxyHandshake(deadline: .now)
        _ = handshake.received(WarmUp.header[...])
        guard let header = handshake.header else { return }
        let client = ProxiedClient(header, via: peer)
        log.write(.closed) {
            $0.address(.peer, client.peer)
            $0.put(client)
        }
    }

    /// Version 2 of the PROXY protocol: a client of 192.0.2.7, and its TLS.
    private static let header: [UInt8] =
        [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x21, 0x11, 0, 37]
        + [192, 0, 2, 7, 192, 0, 2, 1, 0, 9, 0, 9]
        + [0x20, 0, 22, 7, 0, 0, 0, 0, 0x21, 0, 7] + Array("TLSv1.3".utf8) + [0x22, 0, 4] + Array("name".utf8)

    /// All that a client says, in one piece.
    private func conversation(_ part: Part) -> [UInt8] {
        var client = Outbox()
        client.greet(Hello(short: part == .short, minor: part == .old ? 0 : Limits.minorVersion))
        client.setMaxFrame(Limits.defaultMaxFrame)
        client.send(.request, id: 1, [0], cost: 1)
        switch part {
        case .short, .old: break
        case .long:
            client.ping(1)
            client.send(.message, [0], cost: 1)
            client.close(Close(.normal))
        case .wrong:
            client.send(.request, id: 1, [0], cost: 1)
        }
        return Array(client.unsent)
    }

    /// A silent client: the server asks, the client answers, the server asks again. No time passes meanwhile.
    private func waitForSilence() {
        var now = Instant.now
        var connection = ServerConnection(
            id: 0, terms: settings.terms, handshakeTimeout: .seconds(1), acceptedAt: now)
        var client = Outbox()
        client.greet(Hello())
        client.setMaxFrame(Limits.defaultMaxFrame)
        for _ in 0..<3 {
            let bytes = Array(client.unsent)
            if !bytes.isEmpty {
                client.wrote(bytes.count)
                connection.received(bytes.count, at: now)
                while connection.next(in: bytes, at: now) != nil {}
                _ = connection.fetchRoundTrips()
                if !connection.outbox.isEmpty { connection.wrote(connection.outbox.unsent.count, at: now) }
            }
            guard let next = connection.deadline else { return }
            now = next
            connection.resumed(at: now)
            connection.enforceDeadlines(at: now)
            guard !connection.outbox.isEmpty else { return }
            // What it says ends with the nonce, where it asks.
            let nonce = connection.outbox.unsent.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
            connection.wrote(connection.outbox.unsent.count, at: now)
            client.answer(with: Pong(nonce: nonce))
        }
    }
}

/// The same bytes back.
private struct WarmUpHandler: Handler {
    let answersAtOnce = true

    /// Nobody reads what this says to a router.
    func opened(_ connection: Connection) {
        guard (try? connection.reachableTie()) != nil else { return }
        try? connection.subscribe("warm-up")
        try? connection.tryPublish([0], to: "warm-up")
    }

    func respond(to request: Request) -> Response { Response(request.bytes) }
}
