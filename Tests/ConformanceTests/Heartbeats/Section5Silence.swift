import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, sections 5.5 and 5.8: who is not heard.
    @Suite("Section 5: silence") struct Silence {}
}

extension Live.Heartbeats.Silence {
    /// Says HELLO and then nothing; how long it took until CLOSE came, counted from before the last byte was sent.
    private func timeToDrop(_ server: ServerProcess, within limit: Duration) throws -> Duration {
        let peer = try server.connect()
        let start = SuspendingClock.now
        try peer.send(RawFrame.preface + RawFrame.hello().bytes)
        try peer.takePreface()
        _ = try peer.take(.welcome)
        let frames = try peer.frames(upTo: .close, within: limit)
        let time = start.duration(to: peer.heardAt)
        #expect(frames.last?.notice?.code == .silent)
        try peer.takeEnd()
        return time
    }

    @Test(
        "5.5-1 A silent client is dropped with CLOSE(SILENT) within [T, 1.1 T + 50 ms]", arguments: [300, 1000, 5000])
    func silent(_ milliseconds: Int) throws {
        let timeout = Duration.milliseconds(milliseconds)
        try withServer("--timeout", "\(milliseconds)ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                try timeToDrop(server, within: timeout * 3)
            }
            try server.log.line(with: "closed", "reason=SILENT", "requests=0", "bytes_in=40")
        }
    }

    @Test("5.5-1 100 clients that fall silent at once are all dropped in time")
    func hundred() throws {
        let timeout = Duration.seconds(1)
        try withServer("--timeout", "1") { server in
            // How exact one drop is, other tests judge. Here none waits for the ends of the others, of which a hundred
            // one after another take longer than a second.
            try expectBetween(timeout, timeout * 2) {
                let peers = try (0..<100).map { _ in try server.connect() }
                var starts: [Moment] = []
                for peer in peers {
                    starts.append(.now)
                    try peer.send(RawFrame.preface + RawFrame.hello().bytes)
                }
                // Waited for one after another: a CLOSE that was read late has its time from `closingTimes`.
                let times = try closingTimes(of: peers, within: RawPeer.patience)
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

    @Test("5.5-1 FIN after silence: the child is gone soon after the drop, though the client never closes")
    func dropEndsTheChild() throws {
        try withServer("--timeout", "200ms", prefix: ServerProcess.ownSession) { server in
            let peer = try server.open()
            try server.waitForChildren(0)
            // 7.1-3: it has read on for a second after CLOSE, and not for ever.
            #expect(try peer.takeClose().code == .silent)
        }
    }
}

// MARK: The handshake timeout

extension Live.Heartbeats.Silence {
    @Test("5.8-1, 5.7-2 Who does not say HELLO is dropped with HANDSHAKE_TIMEOUT in time, whatever dead_after is")
    func handshake() throws {
        let timeout = Duration.milliseconds(300)
        try withServer("--handshake-timeout", "300ms", "--timeout", "100ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                let connected = SuspendingClock.now
                let peer = try server.connect()
                try peer.send((RawFrame.preface + RawFrame.hello().bytes).dropLast())
                try peer.takePreface(within: .seconds(3))
                let frame = try peer.takeFrame()
                #expect(frame.type == .close && frame.notice?.code == .handshakeTimeout)
                return connected.duration(to: peer.heardAt)
            }
        }
    }
}
