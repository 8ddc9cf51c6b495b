import Glibc
import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, section 5, as the client keeps to it: PINGs, PONGs and floods.
    @Suite("Client: section 5, heartbeats") struct ClientHeartbeat {
        /// What else the server sends while it answers PINGs.
        enum Traffic: String, CaseIterable, CustomTestStringConvertible {
            case nothing, messages, pings, laterChunks
            var testDescription: String { rawValue }
        }

        @Test("5.2-1, 5.2-2, 5.2-3 PINGs keep their times whatever other bytes come", arguments: Traffic.allCases)
        func times(_ traffic: Traffic) throws {
            try withClient("x") { listener, _ in
                let (every, slack) = (Duration.milliseconds(200), Duration.milliseconds(100))
                let peer = try listener.accept()
                try peer.takeHello()
                let welcomedAt = SuspendingClock.now
                try peer.send(RawFrame.preface + RawFrame.welcome(pingEvery: 200, deadAfter: 1000).bytes)
                // From the last proof on, or from WELCOME; the client knows of it at this instant or later.
                var since = welcomedAt
                var hasPinged = false
                while case let frame = try peer.takeFrame(), frame.type != .request {
                    try peer.send(.pong(to: frame))
                    (since, hasPinged) = (.now, true)
                }
                if traffic == .laterChunks { try peer.send(.response(1, [1], more: true)) }
                var nonces: Set<UInt64> = []
                var late: [Duration] = []
                for _ in 0..<6 {
                    let ping = try pingWhile(peer) { turn in
                        switch traffic {
                        case .nothing: break
                        case .messages: try peer.send(.message([1, 2, 3]))
                        // The bucket pays for one in 100 ms.
                        case .pings: if turn % 10 == 0 { try peer.send(.ping(UInt64(turn))) }
                        case .laterChunks: try peer.send(.response(1, [1], more: true))
                        }
                    }
                    let waited = since.duration(to: peer.heardAt)
                    #expect(!hasPinged || waited >= every * 0.8, "5.2-2: a PING after \(waited)")
                    hasPinged = true
                    if waited > every + slack + .milliseconds(50) { late.append(waited) }
                    #expect(nonces.insert(ping.nonce ?? 0).inserted, "4.3-1")
                    since = .now
                    try peer.send(.pong(to: ping))
                }
                #expect(late.count <= 1, "5.2-2: PINGs after \(late)")
            }
        }

        /// Waits for a PING and does `traffic` each 10 ms; other frames are PONGs that are owed.
        private func pingWhile(_ peer: RawPeer, _ traffic: (Int) throws -> Void) throws -> RawFrame {
            for turn in 0..<200 {
                if let frame = try peer.nextFrame(within: .milliseconds(10)) {
                    try frame.checkClientMaySend()
                    if frame.type == .ping { return frame }
                }
                try traffic(turn)
            }
            throw Unexpected("no PING within 2 seconds")
        }

        @Test("5.2-2 The first frame of a RESPONSE is proof: while answers come there is no need of PINGs")
        func proof() throws {
            try withClient(input: .pipe) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 200, deadAfter: 1000))
                // 5.2-1: the first PING keeps its instant whatever proof has come.
                try peer.send(.pong(to: try peer.takePing(within: .milliseconds(500))))
                var provenAt = SuspendingClock.now
                let startedAt = SuspendingClock.now
                while SuspendingClock.now < provenAt + .milliseconds(20) || peer.received < 1000 {
                    try #require(startedAt.age < .seconds(10))
                    try client.write("line\n")
                    let request = try peer.takeFrame(within: .milliseconds(500))
                    guard request.type == .request else {
                        #expect(provenAt.age >= .milliseconds(160), "5.2-2: a PING \(provenAt.age) after proof")
                        try peer.send(.pong(to: request))
                        continue
                    }
                    provenAt = .now
                    try peer.send(.response(request.id, request.payload))
                    _ = try client.output.line()
                    #expect(try peer.nextFrame(within: .milliseconds(20)) == nil, "a PING without need")
                }
                _ = try peer.takePing(within: .milliseconds(400))
                #expect(provenAt.duration(to: peer.heardAt) >= .milliseconds(160), "5.2-2")
            }
        }

        @Test("5.4-1, 4.4 A PONG comes at once, with the PING's nonce and no load", arguments: Chop.allCases)
        func pong(_ chop: Chop) throws {
            try withClient("x") { listener, _ in
                let peer = try listener.accept()
                try peer.greet()
                #expect(try peer.next(.request).id == 1)
                for nonce in [7, 0, UInt64.max, 7] {
                    try expectBetween(.zero, .milliseconds(100)) {
                        try peer.send(.ping(nonce), chop: chop)
                        let sentAt = SuspendingClock.now
                        #expect(try peer.next(.pong) == .pong(nonce))
                        return max(.zero, sentAt.duration(to: peer.heardAt))
                    }
                }
            }
        }

        @Test("5.4-4, 5.4-5, 5.4-6 Of PINGs that come together the last is answered, and no PONG is")
        func latest() throws {
            try withClient("x") { listener, _ in
                let peer = try listener.accept()
                try peer.greet()
                #expect(try peer.next(.request).id == 1)
                try peer.send((1...15).flatMap { RawFrame.ping($0).bytes })
                var last: UInt64 = 0
                while last < 15 {
                    let pong = try peer.next(.pong)
                    #expect(pong.pong.map { $0.nonce > last && $0.queued == 0 && $0.inFlight == 0 } == true, "5.4-5")
                    last = pong.nonce ?? 0
                }
                #expect(last == 15, "5.4-4")
                #expect(try peer.nextIfAny(within: .milliseconds(100)) == nil, "a PING is answered once")
            }
        }

        @Test("5.4-3 A PONG overtakes a long request: at most 32 780 bytes are between it and the kernel")
        func overtaking() throws {
            let message = try TemporaryFile([UInt8](repeating: 1, count: 24_000_000))
            try withClient("--binary", input: .file(message.path)) { listener, _ in
                let peer = try listener.accept()
                let port = peer.remotePort
                try peer.greet(.welcome(maxMessage: .max, maxQueued: .max))
                // It writes until the kernel takes no more.
                var held = 0
                let isFull = eventually {
                    let now = TCPTable.queued(from: port)
                    defer { held = now }
                    return now > 100_000 && now == held && isIdle(port)
                }
                try #require(isFull)
                try peer.send(.ping(99))
                // Time to read it; while nobody reads, nothing else can move.
                #expect(eventually { TCPTable.unread(at: port) == 0 }, "2.3-3: it does not read while it writes")
                let before = TCPTable.queued(from: port)
                var count = 0
                while true {
                    let frame = try peer.takeFrame()
                    if frame.type == .pong { break }
                    count += RawFrame.headerLength + frame.payload.count
                }
                #expect(count <= before + 32_780, "5.4-3: \(count) bytes came first, \(before) were with the kernel")
            }
        }

        /// Nothing has moved for 20 ms.
        private func isIdle(_ port: UInt16) -> Bool {
            let before = TCPTable.queued(from: port)
            return !eventually(within: .milliseconds(20)) { TCPTable.queued(from: port) != before }
        }

        @Test(
            "5.10-1 The bucket holds 20: one frame more is TOO_MANY_PINGS, and not before",
            arguments: [
                "PING", "empty MESSAGE", "both",
            ])
        func flood(_ kind: String) throws {
            try withClient("--retries", "0", "one", "two", "three") { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 60_000, deadAfter: 120_000))
                let costly = (1...20).flatMap { number -> [UInt8] in
                    let isPing = kind == "PING" || (kind == "both" && number % 2 == 0)
                    return (isPing ? RawFrame.ping(UInt64(number)) : .message([])).bytes
                }
                #expect(try peer.next(.request).id == 1)
                // What is free: a message that is not empty, and its empty last chunk.
                let free = (1...50).flatMap { _ in RawFrame.message([1], more: true).bytes + RawFrame.message([]).bytes
                }
                try peer.send(costly + free + RawFrame.response(1, []).bytes)
                var frame = try peer.next()
                while frame.type == .pong { frame = try peer.next() }
                #expect(frame.type == .request && frame.id == 2, "5.10-1: not before")
                try peer.send(kind == "PING" ? .ping(21) : .message([]))
                try peer.takeDrop(.tooManyPings)
                try client.expectStatus(75)
            }
        }

        @Test("2.3-1 The heart beats while a connection drains")
        func draining() throws {
            try withClient("x") { listener, _ in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 50, deadAfter: 1000))
                #expect(try peer.next(.request).id == 1)
                try peer.send(.goAway())
                for _ in 0..<3 { try peer.send(.pong(to: try peer.takePing(within: .milliseconds(400)))) }
                try peer.send(.ping(5))
                #expect(try peer.next(.pong) == .pong(5))
                try peer.send(.response(1, []))
                #expect(try peer.takeClose().code == .normal)
            }
        }

        @Test("5.11-2, 5.11-3 A client that was stopped blames itself: it sends a PING at once and drops nobody")
        func stopped() throws {
            try withClient(input: .pipe) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 200, deadAfter: 400))
                try peer.send(.pong(to: try peer.takePing()))
                client.kill(SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: client.pid) == "T" })
                while try peer.nextFrame(within: .milliseconds(700)) != nil {}
                let resumedAt = SuspendingClock.now
                client.kill(SIGCONT)
                // At once: one slack, and the machine's own.
                let ping = try peer.takePing(within: .milliseconds(300))
                // For a whole dead_after more nobody is dropped, though nothing came for 700 ms.
                while resumedAt.age < .milliseconds(300), let frame = try peer.nextFrame(within: .milliseconds(50)) {
                    #expect(frame.type == .ping)
                }
                try peer.send(.pong(to: ping))
                try client.write("still here\n")
                #expect(try peer.echo().text == "still here")
                #expect(try client.output.line() == "still here")
            }
        }

        @Test("5.11-2 A client that was stopped while it says its last words blames nobody for not reading them")
        func stoppedWhileLeaving() throws {
            let request = try TemporaryFile([UInt8](repeating: 0x78, count: 12 << 20))
            try withClient("--binary", "--timeout", "0.5", input: .file(request.path)) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 40, deadAfter: 1000, maxMessage: 16 << 20, maxQueued: 16 << 20))
                // It waits for no answer any more, and leaves behind what it has said of the request.
                #expect(eventually { client.errors.textSoFar.contains("did not come in time") })
                client.kill(SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: client.pid) == "T" })
                let stoppedAt = SuspendingClock.now
                #expect(eventually(within: .seconds(5)) { stoppedAt.age > .milliseconds(1300) })
                client.kill(SIGCONT)
                let frames = try peer.frames(upTo: .close)
                #expect(frames.last?.notice?.code == .normal)
                peer.close()
                try client.expectStatus(75)
            }
        }
    }
}
