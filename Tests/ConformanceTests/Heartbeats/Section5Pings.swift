import Glibc
import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, sections 5.4, 5.10, 5.11: nonces, the bucket, and a server that was late itself.
    @Suite("Section 5: pings") struct Pings {}
}

// MARK: Nonces

extension Live.Heartbeats.Pings {
    /// Waits for two PINGs of the server, of which the first is not answered.
    private func twoPings(_ server: ServerProcess) throws -> (peer: RawPeer, first: RawFrame, second: RawFrame) {
        let peer = try server.open()
        let first = try peer.take(.ping)
        try peer.send(.unknown(0x77, flags: 0x80))
        return (peer, first, try peer.take(.ping))
    }

    @Test("F5, 5.4-6 A PONG answers all older PINGs too, and is not answered itself")
    func answersOlder() throws {
        try withServer("--timeout", "300ms") { server in
            let (peer, _, second) = try twoPings(server)
            try peer.send(.pong(to: second), .ping(1))
            #expect(try peer.takeFrame() == .pong(1))
        }
    }

    @Test("5.4-5 PONG with a nonce that is answered, older, or was never sent is dropped", arguments: 0..<3)
    func wrongNonce(_ which: Int) throws {
        try withServer("--timeout", "300ms") { server in
            let (peer, first, second) = try twoPings(server)
            try peer.send(.pong(to: second))
            let unknown = UInt64(bigEndian: second.payload[...]) &+ 0x5555_5555
            try peer.send([RawFrame.pong(to: second), .pong(to: first), .pong(unknown)][which])
            #expect(try peer.takeClose().code == .protocolError)
        }
    }

    @Test("4.4 What a client says of its load in PONG is not judged")
    func loadOfClient() throws {
        try withServer("--timeout", "300ms") { server in
            let peer = try server.open()
            let nonce = try #require(peer.take(.ping).nonce)
            try peer.send(.pong(nonce, queued: .max, inFlight: .max, longest: .max), .request(1))
            #expect(try peer.takeFrame().id == 1)
        }
    }
}

// MARK: The bucket

extension Live.Heartbeats.Pings {
    enum Cost: String, CaseIterable {
        case ping, cancel, emptyMessage, mixed

        func frame(_ number: Int) -> RawFrame {
            switch self {
            case .ping: .ping(UInt64(number))
            case .cancel: .cancel(1)
            case .emptyMessage: .message([])
            case .mixed: [Cost.ping, .cancel, .emptyMessage][number % 3].frame(number)
            }
        }
    }

    @Test(
        "5.10-1 The bucket pays for 20 PINGs, CANCELs and empty MESSAGEs at once; the next is TOO_MANY_PINGS",
        arguments: Cost.allCases)
    func bucket(_ cost: Cost) throws {
        try withServer { server in
            let peer = try server.open(.hello(pingEvery: 15000))
            try peer.send(.request(1))
            _ = try peer.take(.response)
            try peer.send((1...20).flatMap { cost.frame($0).bytes } + RawFrame.request(2).bytes)
            _ = try peer.frames(upTo: .response)
            try peer.send(cost.frame(21))
            #expect(try peer.takeClose().code == .tooManyPings)
        }
    }

    @Test("5.10-1 Every half of ping_every pays for one more")
    func refill() throws {
        try withServer { server in
            let peer = try server.open(.hello(pingEvery: 400))
            let start = SuspendingClock.now
            try peer.send((1...20).flatMap { RawFrame.ping($0).bytes })
            for nonce in UInt64(21)...25 {
                // The clock of the server may have begun at most as much later as the handshake took.
                let due = start + .milliseconds(200) * Int(nonce - 20) + .milliseconds(50)
                try peer.read(until: .now)
                _ = eventually(within: .seconds(5)) { SuspendingClock.now >= due }
                try peer.send(.ping(nonce))
            }
            var last: UInt64 = 0
            while last != 25 { last = try #require(peer.take(.pong).nonce) }
            try peer.send((26...46).flatMap { RawFrame.ping($0).bytes })
            #expect(try peer.takeClose().code == .tooManyPings)
        }
    }

    @Test("5.10 A client that keeps to ping_every is never dropped for its PINGs")
    func honest() throws {
        try withServer { server in
            let peer = try server.open(.hello(pingEvery: 20, deadAfter: 1000))
            for nonce in UInt64(1)...120 {
                try peer.send(.ping(nonce))
                #expect(try peer.take(.pong).nonce == nonce)
                poll(nil, 0, 16)
            }
        }
    }

    @Test("5.10 The empty last chunk of a longer MESSAGE is free")
    func emptyLastChunk() throws {
        try withServer { server in
            let peer = try server.open(.hello(pingEvery: 15000))
            for _ in 0..<40 { try peer.send(.message([1], more: true), .message([])) }
            try peer.send(.request(1, ""))
            #expect(try peer.takeFrame().id == 1)
        }
    }

    @Test(
        "5.10-1 A flood of PINGs or CANCELs ends one connection, and costs the others nothing",
        arguments: [Cost.ping, .cancel])
    func flood(_ cost: Cost) throws {
        try withServer { server in
            let other = try server.open()
            let peer = try server.open()
            try peer.send(.request(1))
            let flood = (0..<200_000).flatMap { cost.frame($0).bytes }
            // What cannot be sent any more, because the server has gone, is no matter.
            try? peer.send(flood, within: .seconds(3))
            try server.log.line(with: "closed", "reason=TOO_MANY_PINGS")
            try other.send(.request(1))
            #expect(try other.takeFrame().id == 1)
        }
    }
}

// MARK: Own lateness

extension Live.Heartbeats.Pings {
    @Test("5.11-2, 5.11-3 A child that was stopped for longer than dead_after sends a PING and grants one dead_after")
    func stopped() throws {
        let timeout = Duration.milliseconds(500)
        try withServer("--timeout", "500ms") { server in
            try expectBetween(timeout, withSlack(timeout)) {
                let peer = try server.open()
                let child = try server.onlyChild()
                kill(child, SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: child) == "T" })
                #expect(try peer.nextFrame(within: timeout * 3) == nil, "it is stopped")
                let start = SuspendingClock.now
                kill(child, SIGCONT)
                let ping = try peer.take(.ping)
                #expect(start.age < timeout / 2, "the PING comes at once: \(ping)")
                let close = try peer.frames(upTo: .close).last
                let time = start.duration(to: peer.heardAt)
                #expect(close?.notice?.code == .silent)
                peer.close()
                try server.waitForChildren(0)
                return time
            }
        }
    }

    @Test("5.1-2 What came while the child was stopped is read before anybody is judged")
    func readsFirst() throws {
        try withServer("--timeout", "300ms") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            try peer.send(.request(1), .ping(9))
            #expect(try peer.nextFrame(within: .milliseconds(900)) == nil)
            kill(child, SIGCONT)
            let frames = try [peer.takeFrame(), peer.takeFrame(), peer.takeFrame()]
            #expect(Set(frames.map(\.type)) == [.response, .pong, .ping])
            for ping in frames where ping.type == .ping { try peer.send(.pong(to: ping)) }
            try peer.send(.request(2))
            #expect(try peer.takeFrame().id == 2)
        }
    }

    @Test("5.11-4 A handshake timeout is not started anew because the child was stopped")
    func stoppedHandshake() throws {
        try withServer("--handshake-timeout", "400ms") { server in
            let peer = try server.connect()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(try !peer.read(until: .now + .milliseconds(900)))
            let start = SuspendingClock.now
            kill(child, SIGCONT)
            try peer.takePreface()
            #expect(try peer.takeClose().code == .handshakeTimeout)
            #expect(start.age < .milliseconds(350))
        }
    }
}
