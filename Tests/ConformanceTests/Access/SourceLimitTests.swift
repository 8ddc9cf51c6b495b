import Glibc
import Testing
import RawWire

extension Live.Access {
    /// Limits for what comes from where, and how fast: none of them costs a process or holds up the parent.
    @Suite("Limits of sources, rates and handshakes") struct SourceLimits {}
}

extension Live.Access.SourceLimits {
    /// A connection from 127.0.0.`host`, on which nothing has been said.
    private func connect(_ server: ServerProcess, from host: Int = 1, receiveBuffer: Int32? = nil) throws -> RawPeer {
        try .connect(
            to: .v4("127.0.0.1", server.port), from: .v4("127.0.0.\(host)", 0), receiveBuffer: receiveBuffer)
    }

    @discardableResult
    private func greet(_ peer: RawPeer, _ hello: RawFrame = .hello()) throws -> RawPeer {
        try peer.send(RawFrame.preface + hello.bytes)
        try peer.takePreface()
        _ = try peer.take(.welcome)
        return peer
    }

    /// It is refused, though it says HELLO; its retry_after in milliseconds.
    @discardableResult
    private func expectBusy(_ peer: RawPeer, sourceLocation: SourceLocation = #_sourceLocation) throws -> UInt32 {
        try peer.send(RawFrame.preface + RawFrame.hello().bytes)
        try peer.takePreface()
        let notice = try #require(peer.take(.close).notice, sourceLocation: sourceLocation)
        #expect(notice.code == .busy && notice.lastID == 0 && !notice.text.isEmpty, sourceLocation: sourceLocation)
        try peer.takeEnd()
        return notice.retryAfter
    }

    /// Says something wrong where nobody else is connected, and waits until the parent knows.
    private func fail(_ server: ServerProcess, from host: Int, _ bytes: [UInt8] = [0x16, 3, 1]) throws {
        let peer = try connect(server, from: host)
        try peer.send(bytes)
        if bytes.isEmpty { peer.shutdownWriting() }
        try peer.takePreface()
        try peer.takeClose()
        peer.close()
        try server.waitForChildren(0)
    }

    /// Ends the server, and gives the last line of its log.
    private func stopped(_ server: ServerProcess) throws -> String {
        server.process.kill(SIGTERM)
        #expect(try server.process.wait() == .status(0))
        return try server.log.line(with: " info stopped ")
    }

    @Test("--max-per-source refuses the next client of a source, and no other; the log says which, the end how many")
    func perSource() throws {
        try withServer("--max-per-source", "2") { server in
            var peers = try [greet(connect(server)), greet(connect(server)), greet(connect(server, from: 2))]
            let waits = try (0..<10).map { _ in try expectBusy(connect(server)) }
            #expect(waits.allSatisfy { (1000...2000).contains($0) } && Set(waits).count > 1)
            try server.log.line(
                with: " warning refused ", "reason=BUSY", "limit=max-per-source", "peer=127.0.0.1:",
                "2 is reached by 127.0.0.1")
            #expect(server.children.count == 3)
            peers.removeFirst().close()
            try server.waitForChildren(2)
            peers.append(try greet(connect(server)))
            try expectBusy(connect(server))
            for peer in peers { peer.close() }
            #expect(try stopped(server).hasSuffix("stopped connections=4 refused_max_per_source=11"))
        }
    }

    @Test("--source-prefix makes one source of many addresses, of IPv4 on :: too", .enabled(if: hasIPv6))
    func prefix() throws {
        try withServer("--host", "::", "--max-per-source", "1", "--source-prefix", "24,128") { server in
            let first = try greet(connect(server, from: 1))
            try expectBusy(connect(server, from: 254))
            try server.log.line(with: " refused ", "peer=127.0.0.254:", "reached by 127.0.0.0/24")
            let other = try greet(
                RawPeer.connect(to: .v4("127.0.0.1", server.port), from: .v4("127.0.1.1", 0)))
            let sixth = try greet(RawPeer.connect(to: .v6("::1", server.port)))
            try expectBusy(RawPeer.connect(to: .v6("::1", server.port)))
            for peer in [first, other, sixth] { peer.close() }
        }
    }

    @Test("--max-rate lets in so many within a second, and whoever comes back at the time he was told is let in")
    func rate() throws {
        try withServer("--max-rate", "1") { server in
            let start = SuspendingClock.now
            var served = 0
            var waits: [UInt32] = []
            while waits.count < 5 || served < 2 {
                let peer = try connect(server)
                try peer.send(RawFrame.preface + RawFrame.hello().bytes)
                try peer.takePreface()
                let frame = try peer.takeFrame()
                if frame.type == .welcome { served += 1 } else { waits.append(try #require(frame.notice).retryAfter) }
            }
            #expect(Double(served) <= 1 + start.age / .seconds(1) + 0.001)
            #expect(waits.allSatisfy { (1000...2000).contains($0) })
            try server.log.line(with: " refused ", "limit=max-rate", "--max-rate 1 is reached")
            #expect(!eventually(within: .milliseconds(Int(waits.max()!))) { false })
            try greet(connect(server)).close()
        }
    }

    @Test("--max-handshakes counts who has not said HELLO, and no longer who has")
    func handshakes() throws {
        try withServer("--max-handshakes", "2") { server in
            let first = try connect(server)
            let second = try connect(server)
            try second.send(RawFrame.preface + RawFrame.hello().bytes.dropLast())
            try server.waitForChildren(2)
            for _ in 0..<3 { try expectBusy(connect(server)) }
            try server.log.line(with: " refused ", "limit=max-handshakes", "--max-handshakes 2: 2 clients")
            try second.send([RawFrame.hello().bytes.last!])
            try second.takePreface()
            _ = try second.take(.welcome)
            let third = try connect(server)
            try server.waitForChildren(3)
            try expectBusy(connect(server))
            first.close()
            try server.waitForChildren(2)
            try greet(connect(server))
            for peer in [second, third] { peer.close() }
        }
    }

    @Test("From the soft limit on some handshakes are refused at random, and some are not")
    func atRandom() throws {
        try withServer("--max-handshakes", "1:50:1000", "--handshake-timeout", "60") { server in
            let peers = try (0..<60).map { _ in try connect(server) }
            // Nobody has spoken: whoever hears something was refused.
            let isOver = eventually {
                peers.filter { (try? $0.read(until: .now)) == true || !$0.unread.isEmpty }.count
                    + server.children.count >= 60
            }
            #expect(isOver)
            let refused = 60 - server.children.count
            #expect((5...55).contains(refused), "\(refused) of 60")
            for peer in peers { peer.close() }
        }
    }

    @Test("Clients that are refused and never read hold up nobody, and cost no process")
    func deaf() throws {
        try withServer("--max-per-source", "1", "--max-rate", "1000") { server in
            let served = try greet(connect(server, from: 2))
            let first = try connect(server)
            try server.waitForChildren(2)
            let peers = try (0..<400).map { _ in
                let peer = try connect(server, receiveBuffer: 1)
                _ = try? peer.push(RawFrame.preface[...])
                return peer
            }
            for id in UInt32(1)...20 {
                try served.send(.request(id))
                #expect(try served.takeFrame().id == id)
            }
            try greet(connect(server, from: 3)).close()
            try server.waitForChildren(2)
            for peer in peers + [first, served] { peer.close() }
            #expect(try stopped(server).contains(" connections=3 refused_max_per_source=400"))
        }
    }
}

// MARK: Penalties

extension Live.Access.SourceLimits {
    /// Loopback is exempt unless something else is.
    private static let strict = ["--exempt", "192.0.2.0/24"]

    @Test("A source of which seven handshakes fail is refused for a while, and no other is")
    func penalty() throws {
        try withServer(Self.strict) { server in
            for _ in 0..<6 { try fail(server, from: 2) }
            try greet(connect(server, from: 2)).close()
            try server.waitForChildren(0)
            try fail(server, from: 2)
            // Ten seconds a failure, of which a minute is tolerated, and a quarter for chance.
            let wait = try expectBusy(connect(server, from: 2))
            #expect((5000...12_500).contains(wait), "\(wait) ms")
            try server.log.line(
                with: " refused ", "reason=BUSY", "limit=penalty", "peer=127.0.0.2:", "handshakes of 127.0.0.2 have")
            try greet(connect(server, from: 3)).close()
            #expect(try stopped(server).hasSuffix(" refused_penalty=1"))
        }
    }

    @Test("A penalty passes by itself")
    func fades() throws {
        try withServer(Self.strict) { server in
            for _ in 0..<7 { try fail(server, from: 2) }
            let failed = SuspendingClock.now
            try expectBusy(connect(server, from: 2))
            var peer: RawPeer?
            let isLetIn = eventually(within: .seconds(20)) {
                peer = try? greet(connect(server, from: 2))
                return peer != nil
            }
            // The seventh began to pass when it happened, the first six some milliseconds before.
            #expect(isLetIn && failed.age > .seconds(8), "after \(failed.age)")
            peer?.close()
        }
    }

    @Test(
        "What fails a handshake: no preface, no whole HELLO, a wrong frame, a wrong token",
        arguments: [
            Array("GET / HTTP/1.1\r\n\r\n".utf8), RawFrame.preface + RawFrame.ping(1).bytes,
            RawFrame.preface + RawFrame.hello().bytes,
        ])
    func failures(_ bytes: [UInt8]) throws {
        let file = try TemporaryFile(Array("open-sesame\n".utf8))
        try withServer(Self.strict + ["--token-file", file.path]) { server in
            for _ in 0..<7 { try fail(server, from: 2, bytes) }
            try expectBusy(connect(server, from: 2))
        }
    }

    @Test("A handshake that is not done in time has failed too, and one whose stream ends within it")
    func late() throws {
        try withServer(Self.strict + ["--handshake-timeout", "200ms"]) { server in
            let silent = try (0..<4).map { _ in try connect(server, from: 2) }
            try readAll(silent, within: .seconds(10))
            let cut = try (0..<4).map { _ in
                let peer = try connect(server, from: 2)
                try peer.send(RawFrame.preface)
                peer.shutdownWriting()
                return peer
            }
            try readAll(cut, within: .seconds(10))
            for peer in silent + cut { peer.close() }
            try server.waitForChildren(0)
            try expectBusy(connect(server, from: 2))
        }
    }

    @Test("Who looks whether somebody is there, who is served, and who is exempt, is never refused")
    func innocent() throws {
        try withServer(Self.strict) { server in
            for _ in 0..<10 {
                try fail(server, from: 2, [])
                let reset = try connect(server, from: 2)
                reset.reset()
                let peer = try greet(connect(server, from: 2))
                try peer.send(.unknown(0x77, flags: 0))  // A violation, but after HELLO.
                try peer.takeClose()
            }
            try server.waitForChildren(0)
            try greet(connect(server, from: 2)).close()
        }
        try withServer("--exempt", "127.0.0.2", "--exempt", "192.0.2.0/24") { server in
            for _ in 0..<10 { try fail(server, from: 2) }
            for _ in 0..<10 { try fail(server, from: 3) }
            try greet(connect(server, from: 2)).close()
            try expectBusy(connect(server, from: 3))
        }
        try withServer { server in
            for _ in 0..<10 { try fail(server, from: 2) }
            try greet(connect(server, from: 2)).close()
        }
    }
}

// MARK: Pressure

extension Live.Access.SourceLimits {
    @Test("While most connections are taken a handshake has less time, and all of it again when they are free")
    func pressure() throws {
        try withServer("--max-connections", "8", "--handshake-timeout", "2") { server in
            let peers = try (0..<7).map { _ in try greet(connect(server)) }
            func lastWords() throws -> (String, Duration) {
                let start = SuspendingClock.now
                let peer = try connect(server)
                try peer.takePreface()
                let text = String(decoding: try peer.takeClose().text, as: UTF8.self)
                return (text, start.age)
            }
            let (text, age) = try lastWords()
            #expect(text.hasSuffix("within 1.5 seconds") && age >= .milliseconds(1499), "\(text), \(age)")
            for peer in peers.dropFirst() { peer.close() }
            try server.waitForChildren(1)
            let (later, all) = try lastWords()
            #expect(later.hasSuffix("within 2.0 seconds") && all >= .milliseconds(1999), "\(later), \(all)")
            peers[0].close()
        }
    }
}
