import RawWire

/// The bench of a case against a server: it connects, greets, and sends requests.
final class ServerBench: TestBench {
    /// The server's configuration as the command line states it; the wire does not show it.
    struct Known: Sendable {
        var handshakeTimeout = Duration.seconds(10)
        /// The server's own interval, which caps ping_every, in milliseconds.
        var heartbeat: UInt32 = 60_000
        /// The server's limit on connections; nil where it is not known, and the cases about it are skipped.
        var maxConnections: Int?
        /// Texts that make the server's handler do something; without them the cases about it are skipped.
        var askWith: String?
        var tellWith: String?
        var holdWith: String?
        /// The header of the PROXY protocol that each connection begins with; nil where it begins with the preface.
        var proxy: ProxyVersion?

        /// From accept to a whole HELLO. A header lengthens it to 3 s at least (12-3).
        var wholeHandshakeTimeout: Duration {
            proxy == nil ? handshakeTimeout : max(handshakeTimeout, .seconds(3))
        }
    }

    /// A version of the PROXY protocol's header.
    enum ProxyVersion: String, Sendable { case v1, v2 }

    let address: Address
    let known: Known

    init(_ address: Address, known: Known, times: Times, chop: Int?) {
        self.address = address
        self.known = known
        super.init(.server, times: times, chop: chop)
    }

    func connect(receiveBuffer: Int32? = nil) throws -> RawPeer {
        trace(try connectBare(receiveBuffer: receiveBuffer))
    }

    /// A connection that nobody traces or judges yet, behind its header where one is to come.
    func connectBare(receiveBuffer: Int32? = nil) throws -> RawPeer {
        let peer = try RawPeer.connect(to: address, receiveBuffer: receiveBuffer)
        if let proxy = known.proxy { try send(RawProxyHeader.client(peer.localPort, isText: proxy == .v1), on: peer) }
        return peer
    }

    /// A HELLO with the short times of this run.
    func hello(
        minor: UInt8 = 0, flags: UInt16 = 0, pingEvery: UInt32 = 0, deadAfter: UInt32? = nil,
        maxFrame: UInt32 = 16384, maxMessage: UInt32 = 1 << 20, options: [UInt8] = []
    ) -> RawFrame {
        .hello(
            minor: minor, flags: flags, pingEvery: pingEvery, deadAfter: deadAfter ?? times.deadAfter,
            maxFrame: maxFrame,
            maxMessage: maxMessage, options: options)
    }

    /// A connection that has got WELCOME; `hello` asks for the server's own times unless it says otherwise, so that a
    /// case that is not about time has all the time that it needs.
    func open(
        _ hello: RawFrame = .hello(), receiveBuffer: Int32? = nil
    ) throws -> (peer: RawPeer, welcome: WelcomeFields) {
        let peer = try connect(receiveBuffer: receiveBuffer)
        try send(RawFrame.preface + hello.bytes, on: peer)
        return (peer, try takeWelcome(on: peer))
    }

    func takeWelcome(on peer: RawPeer) throws -> WelcomeFields {
        try peer.takePreface()
        let frame = try peer.takeFrame()
        guard let welcome = frame.welcome else { throw Unexpected("expected WELCOME, got \(frame)") }
        return welcome
    }

    /// The next frame that is no PING of the server; its PINGs are answered.
    func next(on peer: RawPeer, within limit: Duration = RawPeer.patience) throws -> RawFrame {
        // PINGs come for as long as they are answered: the limit is for the frame that is waited for.
        let deadline = SuspendingClock.now + limit
        while true {
            let frame = try peer.takeFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline)))
            guard frame.type == .ping else { return frame }
            // A server may look whether a client that has ended its stream is still there: it waits for no PONG.
            if !peer.hasEnded { try peer.send(.pong(to: frame)) }
        }
    }

    /// The ending of the request `id`, which must be the next that comes: its response, whole, or FAILURE.
    func ending(of id: UInt32, on peer: RawPeer, within limit: Duration = RawPeer.patience) throws -> RawFrame {
        var frame = try next(on: peer, within: limit)
        while frame.type == .response, frame.hasMore {
            let chunk = try next(on: peer, within: limit)
            guard chunk.type == .response, chunk.id == frame.id else {
                throw Unexpected("expected the next chunk of response \(frame.id), got \(chunk)")
            }
            frame.payload += chunk.payload
            frame.flags = chunk.flags
        }
        guard frame.id == id, frame.type == .response || frame.type == .failure else {
            throw Unexpected("expected the ending of request \(id), got \(frame)")
        }
        return frame
    }

    /// Asks and is answered, so the connection is alive.
    func expectServed(_ id: UInt32, on peer: RawPeer, _ why: String = "the connection goes on") throws {
        try send(.request(id), on: peer)
        let frame = try ending(of: id, on: peer)
        expect(frame.type == .response, "a response, because \(why)", got: "\(frame)")
    }

    /// Sends what breaks a rule on an open connection, and expects to be dropped with `code`.
    func expectDrop(
        for bytes: [UInt8], _ code: RawCode = .protocolError, after opening: [RawFrame] = [],
        _ hello: RawFrame = .hello()
    ) throws {
        let (peer, _) = try open(hello)
        try send(opening.flatMap(\.bytes) + bytes, on: peer)
        // What was sent before the breach may be answered.
        try expectClose(of: peer, code) { frame in
            frame.type == .ping || !opening.isEmpty ? nil : "expected CLOSE(\(code)), got \(frame)"
        }
    }

    /// Sends what breaks a rule in place of a greeting that the server accepts, and expects to be dropped with `code`.
    func expectRefusal(of bytes: [UInt8], _ code: RawCode) throws {
        let peer = try connect()
        try send(bytes, on: peer)
        try peer.takePreface()
        try expectDrop(of: peer, code)
    }

    /// Whether the server still serves: a short connection, from its first byte to its last.
    func probe() throws {
        let peer = judged(try connectBare())
        try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
        _ = try takeWelcome(on: peer)
        let frame = try ending(of: 1, on: peer)
        guard frame.type == .response else { throw Unexpected("expected a response, got \(frame)") }
        try peer.takeClose()
    }
}
