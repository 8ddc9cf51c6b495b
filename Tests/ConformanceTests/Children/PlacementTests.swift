import Glibc
import RawWire
import Testing

extension Live.Children {
    /// `server --connections-per-process`: which process gets a connection, and what the parent accounts for.
    @Suite("--connections-per-process") struct Placement {}
}

extension Live.Children.Placement {
    /// How many connections each process has, as `ctl connections` says.
    private func counts(_ admin: Operator, when total: Int) throws -> [pid_t: Int] {
        let rows = try admin.connections { $0.count == total }
        return Dictionary(rows.compactMap { $0["pid"] as? Int }.map { (pid_t($0), 1) }, uniquingKeysWith: +)
    }

    private func withShared(
        _ arguments: String..., body: (ServerProcess, Operator) throws -> Void
    ) throws {
        try withControl { control in
            try withServer(arguments + ["--control", control]) { server in
                try body(server, Operator(control: control))
            }
        }
    }

    private func echo(_ peer: RawPeer, _ id: UInt32 = 1) throws {
        try peer.send(.request(id, "hello"))
        #expect(try peer.takeFrame().text == "hello")
    }

    @Test("Without a pool a process is forked when all are full, and each connection is answered in its process")
    func full() throws {
        try withShared("--connections-per-process", "3") { server, admin in
            #expect(server.children.isEmpty)
            let peers = try (1...7).map { _ in try server.open() }
            #expect(try counts(admin, when: 7).values.sorted() == [1, 3, 3])
            for peer in peers { try echo(peer) }
            #expect(try admin.ctl("status").contains("processes: 3"))
            // The process with the most room is the next one, whoever was before.
            peers[0].close()
            _ = try admin.connections { $0.count == 6 }
            let more = try (1...2).map { _ in try server.open() }
            #expect(try counts(admin, when: 8).values.sorted() == [2, 3, 3])
            for peer in more { try echo(peer) }
            for peer in peers[1...] + more { peer.close() }
        }
    }

    @Test("With --pool 2 two processes are there before the first client, and share the clients")
    func ahead() throws {
        try withShared("--connections-per-process", "100", "--pool", "2") { server, admin in
            try server.waitForWaiting(2)
            let before = Set(server.children)
            let peers = try (1...6).map { _ in try server.open() }
            let found = try counts(admin, when: 6)
            #expect(Set(found.keys) == before && found.values.sorted() == [3, 3])
            for peer in peers { peer.close() }
            try server.waitForWaiting(2)
            #expect(Set(server.children) == before)
        }
    }

    @Test("kill -9 of a process costs its connections, each counted and logged once, and no others")
    func killed() throws {
        try withServer("--connections-per-process", "3", "--metrics", "127.0.0.1:0") { server in
            let scraper = try Scraper(server)
            let peers = try (1...6).map { _ in try server.open() }
            try server.waitForChildren(2)
            let first = try #require(server.children.min())
            kill(first, SIGKILL)
            for peer in peers[..<3] {
                _ = try? peer.takeFrame()
                #expect(peer.ending != nil)
            }
            try server.log.line(with: "child died", "pid=\(first)", "KILL", "connections=3")
            for connection in 1...3 { try server.log.line(with: "connection lost", "connection=\(connection) ") }
            for peer in peers[3...] { try echo(peer) }
            let isCounted = eventually { (try? scraper.samples()["connections_live"]) == 3 }
            let samples = try scraper.samples()
            #expect(isCounted && samples["connections_accepted_total"] == 6)
            #expect(samples["connections_closed_total{reason=\"DIED\",by=\"none\"}"] == 3)
            #expect(samples["connection_processes{state=\"open\"}"] == 1)
            // Whoever comes back finds a place.
            let returned = try (1...3).map { _ in try server.open() }
            for peer in returned { try echo(peer) }
            for peer in peers[3...] + returned { peer.close() }
            #expect(eventually { (try? scraper.samples().sum("connections_closed_total")) == 9 })
        }
    }

    @Test("A process that is stopped gets no connection a second later, and its clients go on when it does")
    func stopped() throws {
        try withServer("--connections-per-process", "100", "--timeout", "60") { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            kill(child, SIGSTOP)
            let waiting = try server.connect()
            try waiting.send(RawFrame.preface + RawFrame.hello().bytes)
            // The parent cannot know yet; who comes a little later finds another process.
            var others: [RawPeer] = []
            let isServed = try eventually(within: .seconds(10)) {
                let other = try server.connect()
                try other.send(RawFrame.preface + RawFrame.hello().bytes)
                others.append(other)
                return try other.read(until: .now + .milliseconds(300))
            }
            #expect(isServed && server.children.count == 2)
            kill(child, SIGCONT)
            try waiting.takePreface()
            #expect(try waiting.takeFrame().type == .welcome)
            try echo(peer)
            for peer in others + [peer, waiting] { peer.close() }
        }
    }

    @Test("A client that fails its handshake counts against its source")
    func failedHandshakes() throws {
        try withServer("--connections-per-process", "100", "--exempt", "10.0.0.0/8") { server in
            let isRefused = try eventually(within: .seconds(20)) {
                let peer = try server.connect()
                defer { peer.close() }
                try peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                while peer.ending == nil, try peer.read(until: .now + RawPeer.patience) {}
                return server.log.textSoFar.contains("limit=penalty")
            }
            #expect(isRefused)
        }
    }

    @Test("SIGHUP: who comes afterwards finds a process with the new options; the old one leaves with its last client")
    func reload() throws {
        let directory = try TemporaryDirectory()
        try directory.write("conf", "connections-per-process 10\nhandler echo\n")
        try withServer("--connections-per-process", "10", "--config", directory.file("conf")) { server in
            let peer = try server.open()
            let old = try server.onlyChild()
            try directory.write("conf", "connections-per-process 10\nhandler ack\n")
            server.process.kill(SIGHUP)
            try server.log.line(with: "info reloaded")
            let other = try server.open()
            try other.send(.request(1, "x"))
            #expect(try other.takeFrame().text == "ok")
            try echo(peer)
            #expect(server.children.count == 2)
            peer.close()
            #expect(eventually { hasGone(old) })
            other.close()
        }
    }

    @Test("A drain sends every client away; SIGQUIT ends all at once", arguments: [SIGTERM, SIGQUIT])
    func ends(signal: Int32) throws {
        try withServer("--connections-per-process", "3", "--drain", signal == SIGTERM ? "200ms" : "0") { server in
            let peers = try (1...7).map { _ in try server.open() }
            server.process.kill(signal)
            for peer in peers {
                let frames = try peer.frames(upTo: .close)
                #expect(frames.last?.notice?.code == .shuttingDown)
                try peer.takeEnd()
                peer.close()
            }
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test(
        "Processes that were replaced and do not end take no more slots than there are: the server goes on",
        arguments: [["--connections-per-process", "2"], []])
    func replacedAndStopped(flags: [String]) throws {
        try withServer(flags + ["--max-connections", "1", "--pool", "8:8"]) { server in
            try server.waitForWaiting(8)
            var stopped: Set<pid_t> = []
            defer { for child in stopped { kill(child, SIGCONT) } }
            for round in 1...4 {
                for child in server.children { kill(child, SIGSTOP) }
                stopped.formUnion(server.children)
                server.process.kill(SIGHUP)
                let isReloaded = eventually {
                    server.log.textSoFar.split(separator: "\n").count { $0.contains("info reloaded") } == round
                }
                #expect(isReloaded, "round \(round)")
            }
            #expect(server.process.exit == nil)
            for child in stopped { kill(child, SIGCONT) }
            #expect(eventually { stopped.allSatisfy(hasGone) })
            try server.waitForWaiting(8, within: .seconds(20))
            let peer = try server.open()
            try echo(peer)
            peer.close()
            try server.waitForWaiting(8, within: .seconds(20))
        }
    }

    @Test("A process that is killed from outside is no connection's fault, whichever was served last")
    func blame() throws {
        try withServer("--connections-per-process", "8") { server in
            let peers = try (1...3).map { _ in try server.open() }
            let child = try server.onlyChild()
            // It sleeps when it has done all that there was.
            #expect(eventually { ProcessFiles.state(of: child) == "S" })
            kill(child, SIGABRT)
            let line = try server.log.line(with: "child died", "SIGABRT", "connections=3")
            #expect(!line.contains("connection="), "\(line)")
            for peer in peers {
                #expect(try peer.takeClose().code == .handlerFailed)
                peer.close()
            }
        }
    }
}
