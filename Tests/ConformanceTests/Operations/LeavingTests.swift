import Glibc
import Testing
import RawWire

extension Live.Operations {
    /// How the server leaves: SIGTERM with `--drain`, SIGQUIT.
    @Suite("Leaving") struct Leaving {}
}

// MARK: --drain

extension Live.Operations.Leaving {
    private struct Farewell {
        let at: Duration
        let returns: Duration
    }

    /// Takes GOAWAY of every peer and answers it with CLOSE: when each came, and when it is to come back.
    private func farewells(of peers: [RawPeer], since start: Moment) throws -> [Farewell] {
        var waiting = peers
        var farewells: [Farewell] = []
        while !waiting.isEmpty {
            var entries = waiting.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            guard waitUntilReady(&entries, until: start + .seconds(20)) else { throw Unexpected("no GOAWAY") }
            let at = start.age
            let ready = zip(waiting, entries).filter { $0.1.revents != 0 }.map(\.0)
            for peer in ready {
                guard let notice = try peer.take(.goAway).notice else { throw Unexpected("GOAWAY is too short") }
                #expect(notice.code == .shuttingDown)
                farewells.append(Farewell(at: at, returns: at + .milliseconds(notice.retryAfter)))
                try peer.send(.close())
            }
            waiting.removeAll { peer in ready.contains { $0 === peer } }
        }
        // The last of them may have answered when the drain was over.
        let codes = try peers.map { try $0.takeClose().code }
        let late = codes.count { $0 == .shuttingDown }
        #expect(codes.allSatisfy { $0 == .normal || $0 == .shuttingDown } && late <= peers.count / 10, "\(codes)")
        return farewells
    }

    @Test("7.4, 7.7 --drain spreads GOAWAY over its time, and the times to come back behind its end")
    func spread() throws {
        let window = Duration.seconds(2)
        try withServer("--drain", "2") { server in
            let peers = try (0..<40).map { _ in try server.open() }
            try server.waitForChildren(40)
            let start = SuspendingClock.now
            server.process.kill(SIGTERM)
            let farewells = try farewells(of: peers, since: start)
            // How many have gone in each quarter of the window; ten would be even, and a stalled machine is late.
            let places = farewells.map { $0.at / window }
            #expect(places.filter { $0 < 0.5 }.count <= 21, "never early: \(places)")
            #expect(places.filter { $0 < 0.75 }.count >= 15, "\(places)")
            #expect(places.max()! >= 0.97, "\(places)")
            let returns = farewells.map { ($0.returns - window) / window }.sorted()
            #expect(returns.first! >= 0, "nobody comes back before all have gone: \(returns)")
            // Up to a tenth may be told at the end of the drain, with other times to come back.
            #expect(returns.last! >= 0.85, "\(returns)")
            #expect(returns.filter { $0 < 0.5 }.count <= 21, "\(returns)")
            #expect(try server.process.wait() == .status(0))
            try server.log.line(with: "draining", "children=40", "over=2.000s")
        }
    }

    @Test("7.4-1, 7.4-8 A client that does not leave is served until the end of the drain, and closed then")
    func leftOver() throws {
        try withServer("--drain", "1") { server in
            let long = try server.open()
            let short = try server.open(.short)
            let silent = try server.connect()
            let slow = try server.open(.short)
            try slow.send(.request(1, "a", more: true))
            try server.waitForChildren(4)
            let start = SuspendingClock.now
            server.process.kill(SIGTERM)
            let retryAfter = try long.take(.goAway).notice?.retryAfter ?? 0
            #expect(start.age + .milliseconds(retryAfter) >= .seconds(1))
            try long.send(.request(1))
            #expect(try long.takeFrame().type == .response)
            try slow.send(.request(1, "b"))
            #expect(try slow.frames(upTo: .close).map(\.type) == [.response, .close])
            let close = try long.take(.close).notice
            #expect(close?.code == .shuttingDown && close?.lastID == 1)
            #expect(start.age >= .seconds(1))
            try silent.takePreface()
            for peer in [short, silent] {
                let notice = try peer.take(.close).notice
                #expect(notice?.code == .shuttingDown && notice?.retryAfter ?? 9999 <= 2001)
            }
            for peer in [long, short, silent, slow] { peer.close() }
            #expect(try server.process.wait() == .status(0))
            try server.log.line(with: "drained")
        }
    }

    @Test("A drain is over when the last client has gone, and a second signal ends it at once")
    func shorter() throws {
        for signal in [0, SIGTERM, SIGINT] {
            try withServer("--drain", "60") { server in
                let peer = try server.open()
                let start = SuspendingClock.now
                server.process.kill(SIGTERM)
                try server.log.line(with: "draining")
                if signal == 0 { try peer.send(.close()) } else { server.process.kill(signal) }
                #expect(try server.process.wait() == .status(0))
                #expect(start.age < .seconds(30), "the drain would take 60 s")
            }
        }
    }

    @Test("SIGTERM to a child that the drain has sent away closes its connection, and a stopped child misses nothing")
    func childOfDrain() throws {
        try withServer("--drain", "500ms", "--grace", "60") { server in
            let stopped = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            server.process.kill(SIGTERM)
            // Both signals are one by now; what counts is what it was sent for last.
            try server.log.line(with: "drained")
            kill(child, SIGCONT)
            #expect(try stopped.frames(upTo: .close).map(\.type) == [.goAway, .close])
            stopped.close()
            #expect(try server.process.wait() == .status(0))
        }
        try withServer("--drain", "4") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            let start = SuspendingClock.now
            server.process.kill(SIGTERM)
            _ = try peer.take(.goAway)
            // Its turn may come at any instant of the drain, so at the very end too.
            let isEarly = start.age < .seconds(3)
            kill(child, SIGTERM)
            #expect(try peer.take(.close).notice?.code == .shuttingDown)
            peer.close()
            #expect(try server.process.wait() == .status(0))
            #expect(!isEarly || !server.log.textSoFar.contains("drained"), "it has not waited for the end of the drain")
        }
    }

    @Test("7.7-7 Without --drain the clients that get no GOAWAY are told a time of their own too, queued ones as well")
    func comeBack() throws {
        try withServer { server in
            let shorts = try (0..<10).map { _ in try server.open(.short) }
            try server.waitForChildren(10)
            kill(server.pid, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: server.pid) == "T" })
            let queued = try (0..<10).map { _ in try server.connect() }
            kill(server.pid, SIGTERM)
            kill(server.pid, SIGCONT)
            for peers in [shorts, queued] {
                let times = try peers.map { peer in
                    if peers[0] === queued[0] { try peer.takePreface() }
                    guard let notice = try peer.take(.close).notice else { throw Unexpected("CLOSE is too short") }
                    #expect(notice.code == .shuttingDown)
                    return notice.retryAfter
                }
                #expect(times.allSatisfy { $0 <= 2001 } && Set(times).count > 5, "\(times)")
                for peer in peers { peer.close() }
            }
            #expect(try server.process.wait() == .status(0))
        }
    }
}

// MARK: SIGQUIT

extension Live.Operations.Leaving {
    @Test("SIGQUIT ends it at once: every client is told, those that wait for an answer and those on the listener too")
    func quits() throws {
        try withServer("--drain", "60", "--grace", "60") { server in
            let long = try server.open()
            try long.send(.request(7))
            _ = try long.take(.response)
            // This one's answers do not fit the kernel: an orderly end would wait for it to read.
            let stuck = try server.open(.hello(), receiveBuffer: 4096)
            try stuck.send((1...200).flatMap { RawFrame.request($0, String(repeating: "x", count: 16000)).bytes })
            let short = try server.open(.short)
            let silent = try server.connect()
            try server.waitForChildren(4)
            // Stopped among its accepts it would go on with them, and give the next client a process.
            #expect(eventually { ProcessFiles.state(of: server.pid) == "S" })
            kill(server.pid, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: server.pid) == "T" })
            let queued = try server.connect()
            try queued.send(RawFrame.preface + RawFrame.hello().bytes)
            let start = SuspendingClock.now
            kill(server.pid, SIGQUIT)
            kill(server.pid, SIGCONT)
            let frames = try long.frames(upTo: .close)
            #expect(frames.map(\.type) == [.goAway, .close] && frames.last?.notice?.lastID == 7)
            #expect(try short.take(.close).notice?.code == .shuttingDown)
            for peer in [silent, queued] {
                try peer.takePreface()
                #expect(try peer.take(.close).notice?.code == .shuttingDown)
            }
            #expect(try server.process.wait() == .status(0))
            #expect(start.age < .seconds(30), "drain and grace would take 60 s each")
            try server.log.line(with: "quitting", "children=4")
            #expect(server.log.linesSoFar.filter { $0.contains("closed") && $0.contains("SHUTTING_DOWN") }.count == 4)
            for peer in [long, stuck, short, silent, queued] { peer.close() }
        }
    }

    @Test("SIGQUIT kills a child that does not end within a second")
    func quitsStopped() throws {
        try withServer("--grace", "60") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: child) == "T" })
            let start = SuspendingClock.now
            server.process.kill(SIGQUIT)
            #expect(try server.process.wait() == .status(0))
            #expect(start.age >= .seconds(1) && start.age < .seconds(30), "the grace would take 60 s")
            try server.log.line(with: "child died", "KILL")
            peer.close()
        }
    }

    @Test("SIGQUIT during a drain ends it at once; SIGQUIT to a child ends that connection alone")
    func quitsLater() throws {
        try withServer("--drain", "60") { server in
            let other = try server.open()
            let first = try server.onlyChild()
            let peer = try server.open()
            try server.waitForChildren(2)
            let child = try #require(server.children.first { $0 != first })
            kill(child, SIGQUIT)
            #expect(try peer.frames(upTo: .close).map(\.type) == [.goAway, .close])
            try other.send(.request(1))
            #expect(try other.takeFrame().id == 1)
            server.process.kill(SIGTERM)
            try server.log.line(with: "draining")
            server.process.kill(SIGQUIT)
            #expect(try other.frames(upTo: .close).map(\.type) == [.goAway, .close])
            other.close()
            #expect(try server.process.wait() == .status(0))
        }
    }
}
