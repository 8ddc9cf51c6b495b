import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, sections 5.1, 5.3, 5.5, 5.7, 5.8: who is heard and who is not.
    @Suite("Section 5: silence") struct Silence {}
}

extension Live.Heartbeats.Silence {
    /// Says HELLO and then nothing; how long it took until CLOSE came, counted from before the last byte was sent.
    private func timeToDrop(
        _ server: ServerProcess, _ hello: RawFrame = .hello(), extra: [UInt8] = [], code: Code, within limit: Duration
    ) throws -> Duration {
        let peer = try server.connect()
        let start = SuspendingClock.now
        try peer.send(RawFrame.preface + hello.bytes + extra)
        try peer.takePreface()
        _ = try peer.take(.welcome)
        let frames = try peer.frames(upTo: .close, within: limit)
        let time = start.duration(to: peer.heardAt)
        #expect(frames.last?.notice?.code == code)
        try peer.takeEnd()
        return time
    }

    @Test(
        "5.5-1 A silent client is dropped with CLOSE(SILENT) within [T, 1.1 T + 50 ms]", arguments: [300, 1000, 5000])
    func silent(_ milliseconds: Int) throws {
        let timeout = Duration.milliseconds(milliseconds)
        try withServer("--timeout", "\(milliseconds)ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                try timeToDrop(server, code: .silent, within: timeout * 3)
            }
            try server.log.line(with: "closed", "reason=SILENT", "requests=0", "bytes_in=40")
        }
    }

    @Test("5.5-1, 6-1 dead_after of HELLO counts, not the server's T", arguments: [100, 300])
    func silentAsAsked(_ milliseconds: Int) throws {
        let timeout = Duration.milliseconds(milliseconds)
        try withServer { server in
            try expectBetween(timeout, withSlack(timeout)) {
                try timeToDrop(server, .hello(deadAfter: UInt32(milliseconds)), code: .silent, within: timeout * 10)
            }
        }
    }

    @Test("5.5-1 100 clients that fall silent at once are all dropped in time")
    func hundred() throws {
        let timeout = Duration.seconds(1)
        try withServer("--timeout", "1") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                let peers = try (0..<100).map { _ in try server.connect() }
                var starts: [Moment] = []
                for peer in peers {
                    starts.append(.now)
                    try peer.send(RawFrame.preface + RawFrame.hello().bytes)
                }
                // Waited for one after another: a CLOSE that was read late has its time from `ClosingTimes`.
                let times = try closingTimes(of: peers, within: .seconds(5))
                let lived = zip(starts, times).map { $0.duration(to: $1) }
                #expect(lived.min()! >= timeout)
                return lived.max()!
            }
        }
    }

    /// When each of `peers` got its CLOSE(SILENT), all being watched at the same time.
    private func closingTimes(of peers: [RawPeer], within limit: Duration) throws -> [Moment] {
        try readAll(peers, within: limit)
        return try peers.map { peer in
            try peer.takePreface()
            let frames = try peer.frames(upTo: .close)
            #expect(frames.map(\.type) == [.welcome, .ping, .close])
            #expect(frames.last?.notice?.code == .silent)
            return peer.heardAt
        }
    }

    @Test("5.3-1 The server sends one PING for each silence, between dead_after / 2 and a slack more")
    func serverPing() throws {
        let half = Duration.milliseconds(500)
        try withServer("--timeout", "1") { server in
            let (peer, _) = try server.greeted()
            try expectBetween(half, half + .milliseconds(150)) {
                // Any byte ends the silence before.
                let start = SuspendingClock.now
                try peer.send(.unknown(0x77, flags: 0x80))
                _ = try peer.take(.ping)
                return start.duration(to: peer.heardAt)
            }
            let rest = try peer.frames(upTo: .close)
            #expect(rest.map(\.type) == [.close], "there is one PING for each silence")
        }
    }

    @Test("4.3-1 The server uses no nonce twice")
    func nonces() throws {
        try withServer("--timeout", "200ms") { server in
            let peer = try server.open()
            var nonces: [UInt64] = []
            for _ in 0..<10 {
                let ping = try peer.take(.ping)
                nonces.append(UInt64(bigEndian: ping.payload[...]))
                try peer.send(.pong(to: ping))
            }
            #expect(Set(nonces).count == 10)
        }
    }

    @Test("5.3-1 A client without a timer that answers PINGs is kept for 20 T, and then served")
    func answersPings() throws {
        let timeout = Duration.milliseconds(300)
        try withServer("--timeout", "300ms") { server in
            try withPunctualClient {
                try server.waitForChildren(0)
                let peer = try server.open()
                let child = try server.onlyChild()
                let start = SuspendingClock.now
                var pings = 0
                while start.age < timeout * 20 {
                    try peer.send(.pong(to: peer.take(.ping)))
                    pings += 1
                }
                #expect(pings <= 41, "a PING comes after half of T at the earliest")
                try peer.send(.request(1, "still here"))
                #expect(try peer.takeFrame().text == "still here")
                #expect(try server.onlyChild() == child)
            }
        }
    }

    @Test("5.1-1 Any byte counts as heard, and silence is counted from the last")
    func lastByteCounts() throws {
        let timeout = Duration.milliseconds(300)
        try withServer("--timeout", "300ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                let peer = try server.open()
                // Two bytes of a header, the second after two thirds of T; the frame itself is too late first then.
                try peer.send(RawFrame.message([1, 2]).bytes)
                _ = try? peer.take(1, within: .milliseconds(120))
                let start = SuspendingClock.now
                try peer.send(RawFrame.message([3]).bytes)
                let close = try peer.frames(upTo: .close).last?.notice
                #expect(close?.code == .silent)
                return start.duration(to: peer.heardAt)
            }
        }
    }

    @Test("5.5-1 FIN after silence: the child is gone soon after the drop, though the client never closes")
    func dropEndsTheChild() throws {
        try withServer("--timeout", "200ms") { server in
            let peer = try server.open()
            try server.waitForChildren(0, within: .seconds(3))
            // 7.1-3: it has read on for a second after CLOSE, and not for ever.
            #expect(try peer.takeClose().code == .silent)
        }
    }
}

// MARK: The handshake timeout

extension Live.Heartbeats.Silence {
    static let starts: [(String, [UInt8])] = [
        ("nothing", []), ("half of the preface", Array(RawFrame.preface.prefix(4))),
        ("the preface", RawFrame.preface),
        ("all but the last byte", (RawFrame.preface + RawFrame.hello().bytes).dropLast()),
    ]

    @Test(
        "5.8-1, 5.7-2 Who does not say HELLO is dropped with HANDSHAKE_TIMEOUT in time, whatever dead_after is",
        arguments: starts)
    func handshake(_ start: (String, [UInt8])) throws {
        let timeout = Duration.milliseconds(300)
        try withServer("--handshake-timeout", "300ms", "--timeout", "100ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                let connected = SuspendingClock.now
                let peer = try server.connect()
                try peer.send(start.1)
                try peer.takePreface(within: .seconds(3))
                let frame = try peer.takeFrame()
                #expect(frame.type == .close && frame.notice?.code == .handshakeTimeout)
                return connected.duration(to: peer.heardAt)
            }
        }
    }

    @Test("5.8-3 No byte puts the handshake timeout off")
    func trickledHandshake() throws {
        let timeout = Duration.milliseconds(300)
        try withServer("--handshake-timeout", "300ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                let connected = SuspendingClock.now
                let peer = try server.connect()
                let opening = RawFrame.preface + RawFrame.hello().bytes
                var sent = 0
                while sent + 1 < opening.count, peer.received == 0 {
                    try peer.send([opening[sent]])
                    sent += 1
                    try peer.read(until: .now + .milliseconds(10))
                }
                let heardAt = peer.heardAt
                try peer.takePreface()
                #expect(try peer.takeFrame().notice?.code == .handshakeTimeout)
                return connected.duration(to: heardAt)
            }
        }
    }
}

// MARK: The frame timeout

extension Live.Heartbeats.Silence {
    static let frames: [(sentence: String, frame: RawFrame, from: Int)] = [
        ("a header", .request(1, [UInt8](repeating: 1, count: 100)), 0),
        ("a payload", .request(1, [UInt8](repeating: 1, count: 100)), 12),
        ("a frame to be skipped", .unknown(0x77, flags: 0x80, [UInt8](repeating: 1, count: 100)), 12),
        ("a PING", .ping(1), 12),
    ]

    @Test("5.7-1 Who trickles a frame is alive, but not for ever: FRAME_TIMEOUT", arguments: 0..<4)
    func trickled(_ index: Int) throws {
        let (_, frame, from) = Live.Heartbeats.Silence.frames[index]
        // Until the header is whole L is dead_after; then there is 1 ms more for each byte of the payload.
        let limit = Duration.milliseconds(300 + (from == 0 ? 0 : frame.payload.count))
        try withServer("--timeout", "300ms") { server in
            try expectBetween(limit, withSlack(limit)) {
                let peer = try server.open()
                let bytes = frame.bytes
                var sent = max(1, from)
                let start = SuspendingClock.now
                try peer.send(Array(bytes.prefix(sent)))
                while peer.received < 80, sent + 1 < bytes.count {
                    try peer.read(until: .now + .milliseconds(70))
                    if peer.unread.isEmpty { try peer.send([bytes[sent]]) }
                    sent += 1
                }
                let heardAt = peer.heardAt
                #expect(try peer.takeClose().code == .frameTimeout)
                return start.duration(to: heardAt)
            }
        }
    }

    @Test("5.7-1 Frames that are whole in time go on for longer than the limit of one")
    func manySlowFrames() throws {
        try withServer("--timeout", "300ms") { server in
            try withPunctualClient {
                let peer = try server.open()
                for id in UInt32(1)...6 {
                    let bytes = RawFrame.request(id).bytes
                    try peer.send(Array(bytes.prefix(5)))
                    guard try !peer.read(until: .now + .milliseconds(100)) else { throw Unexpected("something came") }
                    try peer.send(Array(bytes.dropFirst(5)))
                    #expect(try peer.takeFrame().id == id)
                }
            }
        }
    }
}
