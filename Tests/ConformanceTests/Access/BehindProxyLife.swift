import Glibc
import RawWire
import Testing

extension Live.Access {
    /// Connections of proxies in every state: in time and too late, killed, shut down, in a pool, behind a reload.
    @Suite("Behind a proxy: from the header to the end") struct BehindProxyLife {}
}

private let proxies = ["--proxy-from", "127.0.0.1"]

extension Live.Access.BehindProxyLife {
    /// Lets the parent stand still while `body` runs.
    private func withStopped(_ server: ServerProcess, _ body: () throws -> Void) throws {
        server.process.kill(SIGSTOP)
        defer { server.process.kill(SIGCONT) }
        guard eventually({ ProcessFiles.state(of: server.pid) == "T" }) else { throw Unexpected("it does not stop") }
        try body()
    }

    /// A connection whose process waits for its header, and that process.
    private func silent(_ server: ServerProcess) throws -> (RawPeer, pid_t) {
        let before = Set(server.children)
        let peer = try server.connect()
        var new: pid_t?
        guard
            eventually({
                new = server.children.first { !before.contains($0) && ProcessFiles.state(of: $0) == "S" }
                return new != nil
            })
        else { throw Unexpected("no process for the connection") }
        return (peer, new!)
    }

    /// Waits until every process of the pool waits.
    private func waitForPool(_ server: ServerProcess) throws {
        guard eventually({ server.children.allSatisfy(server.isWaiting) }) else {
            throw Unexpected("a process still serves")
        }
    }

    @Test(
        "5.8 Without a header, with a slow one, or while the parent does not answer, time runs out, and no proxy pays for it"
    )
    func timeouts() throws {
        try withControl { control in
            let limits = ["--handshake-timeout", "1", "--exempt", "192.0.2.0/24", "--control", control]
            try withServer(proxies + limits) { server in
                let start = SuspendingClock.now
                let (nothing, _) = try silent(server)
                let half = try server.proxied(Array(ProxyBytes.v1("203.0.113.6").dropLast(2)))
                let alone = try server.proxied(ProxyBytes.v1("203.0.113.7"))
                _ = try Operator(control: control).connections { rows in
                    rows.count == 3 && rows.contains { $0["peer"] as? String == "203.0.113.7:40000" }
                }
                let (asking, _) = try silent(server)
                try withStopped(server) {
                    try asking.send(ProxyBytes.v1("203.0.113.8") + RawFrame.preface + RawFrame.hello().bytes)
                    for peer in [nothing, half, alone, asking] {
                        try peer.takePreface()
                        #expect(try peer.takeClose().code == .handshakeTimeout)
                        // At least 3 s, because the header may be lost and be sent again.
                        #expect(start.age >= .seconds(2.9))
                    }
                }
                for peer in [nothing, half, alone, asking] { peer.close() }
                try server.waitForChildren(0)
                // A client that says nothing behind its header has failed the handshake.
                let penalties = try Operator(control: control).json("penalties").compactMap { $0["source"] as? String }
                #expect(penalties == ["203.0.113.7"])
                let closed = server.log.linesSoFar.filter {
                    $0.contains(" warning closed ") && $0.contains("HANDSHAKE_TIMEOUT")
                }
                #expect(closed.count == 4 && closed.count { $0.contains("has not judged the client in time") } == 1)
                #expect(closed.count { $0.contains("--proxy-from asks for a header") } == 2)
            }
        }
    }

    @Test("kill -9 of a process in each state leaves the accounts exact: the source's only place is free again")
    func killed() throws {
        try withServer(proxies + ["--max-per-source", "1", "--max-connections", "1"]) { server in
            let header = ProxyBytes.v2("203.0.113.7", 7)
            func check() throws {
                try server.waitForChildren(0)
                let peer = try server.openProxied(header)
                peer.close()
                try server.waitForChildren(0)
            }
            let (before, first) = try silent(server)
            let port = before.localPort
            kill(first, SIGKILL)
            try check()
            before.close()
            let (asking, second) = try silent(server)
            try withStopped(server) {
                try asking.send(header)
                // It has taken the header out of the socket.
                #expect(try eventually { try TCPSocket.queued(from: asking.localPort, to: server.port) == 0 })
                kill(second, SIGKILL)
            }
            try check()
            asking.close()
            let served = try server.openProxied(header)
            let servedPort = served.localPort
            kill(try server.onlyChild(), SIGKILL)
            try check()
            served.close()
            try server.log.line(
                with: " child died ", "peer=127.0.0.1:\(port) via=127.0.0.1:\(port)")
            try server.log.line(with: " child died ", "peer=203.0.113.7:7 via=127.0.0.1:\(servedPort)")
        }
    }

    @Test("A parent that answers late lets the client in that is still there")
    func late() throws {
        try withServer(proxies) { server in
            let (peer, _) = try silent(server)
            try withStopped(server) {
                try peer.send(ProxyBytes.v1("203.0.113.8") + RawFrame.preface + RawFrame.hello().bytes)
                #expect(
                    try eventually {
                        try TCPSocket.queued(from: peer.localPort, to: server.port) == RawFrame.preface.count
                            + RawFrame.hello().bytes.count
                    })
                #expect(peer.received == 0)
            }
            try peer.takePreface()
            _ = try peer.take(.welcome)
            peer.close()
        }
    }

    @Test("A server that ends tells those whose header has not come when to return", arguments: [SIGTERM, SIGQUIT])
    func shutdown(_ signal: Int32) throws {
        try withServer(proxies + ["--log-level", "debug"]) { server in
            let (peer, _) = try silent(server)
            let half = try server.proxied(Array(ProxyBytes.v1("203.0.113.6").dropLast(2)))
            try server.waitForChildren(2)
            #expect(try eventually { try TCPSocket.queued(from: half.localPort, to: server.port) == 0 })
            server.process.kill(signal)
            for peer in [peer, half] {
                try peer.takePreface()
                #expect(try peer.takeClose().code == .shuttingDown)
                peer.close()
            }
            #expect(try server.process.wait() == .status(0))
            try server.log.line(with: " info closed ", "reason=SHUTTING_DOWN by=server")
        }
    }

    @Test("A drain sends them away at once, and an operator's drop ends one")
    func drain() throws {
        try withControl { control in
            try withServer(proxies + ["--drain", "30", "--control", control]) { server in
                let (peer, _) = try silent(server)
                try Operator(control: control).ctl("drop", "1")
                try peer.takePreface()
                #expect(try peer.takeClose().code == .kicked)
                peer.close()
                let other = try server.openProxied(ProxyBytes.v1("203.0.113.6", 5))
                let dropped = try #require(Operator(control: control).json("drop", "2").last)
                #expect(dropped["peer"] as? String == "203.0.113.6:5")
                try server.log.line(with: " kicked ", "peer=203.0.113.6:5 via=127.0.0.1:\(other.localPort)")
                #expect(try other.takeClose().code == .kicked)
                other.close()
            }
        }
    }

    @Test("A process of the pool serves clients of proxies one after another, and health checks cost none")
    func pool() throws {
        let flags = ["--pool", "1", "--pool-reuse", "100", "--max-per-source", "1", "--log-level", "debug"]
        try withServer(proxies + flags) { server in
            for number in 1...3 {
                try waitForPool(server)
                let probe = try server.proxied(ProxyBytes.local)
                probe.shutdownWriting()
                try probe.takeEnd()
                probe.close()
                try waitForPool(server)
                let peer = try server.openProxied(ProxyBytes.v1("203.0.113.\(number)"), .short)
                try peer.send(.request(1, "hello"))
                #expect(try peer.frames(upTo: .close).first?.text == "hello")
                try peer.takeEnd()
                peer.close()
            }
            try waitForPool(server)
            let pids = Set(
                server.log.linesSoFar.filter { $0.contains(" probed ") || $0.contains(" closed ") }.compactMap {
                    $0.split(separator: " ").first { $0.hasPrefix("pid=") }
                })
            #expect(pids.count == 1, "\(server.log.textSoFar)")
            let first = try server.openProxied(ProxyBytes.v1("203.0.113.7"))
            #expect(try server.refusalProxied(ProxyBytes.v1("203.0.113.7")).code == .busy)
            first.close()
            try waitForPool(server)
            try server.openProxied(ProxyBytes.v1("203.0.113.7")).close()
        }
    }

    @Test("A reload changes --proxy-from for new connections; a file that only lacks it is not taken over")
    func reload() throws {
        let file = try TemporaryFile(Array("max-per-source 1\n".utf8))
        func reload(_ server: ServerProcess, _ text: String, _ expected: String, _ count: Int) throws {
            try file.replace(text)
            server.process.kill(SIGHUP)
            let isTold = eventually { server.log.linesSoFar.count { $0.contains(expected) } == count }
            if !isTold { throw Unexpected("no line with '\(expected)' in \(server.log.textSoFar)") }
        }
        try withServer("--config", file.path) { server in
            let direct = try server.open()
            try reload(server, "max-per-source 1\nproxy-from 127.0.0.1\n", "info reloaded", 1)
            #expect(try server.refusalProxied([]).code == .protocolError)
            let first = try server.openProxied(ProxyBytes.v1("203.0.113.7"))
            try reload(server, "max-per-source 1\n", "proxy-from none", 1)
            try reload(server, "max-per-source 1\nproxy-from 127.0.0.2\n", "info reloaded", 2)
            let notice = try server.refusalProxied(ProxyBytes.v1("203.0.113.8"))
            #expect(notice.code == .unauthorized)
            try reload(
                server, "max-per-source 1\nproxy-from unix\nproxy-from 127.0.0.1\n",
                "--proxy-from unix is for Unix sockets", 1)
            try reload(server, "max-per-source 1\nproxy-from 127.0.0.0/8\n", "info reloaded", 3)
            // What was counted before is counted still.
            #expect(try server.refusalProxied(ProxyBytes.v1("203.0.113.7")).code == .busy)
            try reload(server, "max-per-source 1\nproxy-from none\n", "info reloaded", 4)
            try direct.send(.request(1, "hello"))
            #expect(try direct.frames(upTo: .response).last?.text == "hello")
            direct.close()
            try server.waitForChildren(1)
            try server.open().close()
            first.close()
        }
    }

    @Test(
        "A listener may have proxies of its own, or none; a Unix socket takes headers where its file says who may connect"
    )
    func listeners() throws {
        let directory = try TemporaryDirectory()
        let (front, plain) = (directory.file("front"), directory.file("plain"))
        let server = try Spawned(
            "server",
            ["--listen", "127.0.0.1:0,proxy-from=127.0.0.1,proxy-from=::1", "--listen", "127.0.0.1:0,direct"]
                + ["--listen", "unix:\(front)", "--listen", "unix:\(plain),direct", "--listen", "127.0.0.1:0"]
                + [
                    "--proxy-from", "unix", "--proxy-from", "127.0.0.2", "--max-per-source", "1", "--log-level",
                    "debug",
                ])
        let addresses = try (0..<5).map { _ in
            try #require(Address(try server.output.line().dropFirst("listening on ".count)))
        }
        func open(_ address: Address, _ header: [UInt8]) throws -> RawFrame {
            let peer = try RawPeer.connect(to: address)
            defer { peer.close() }
            try peer.send(header + RawFrame.preface + RawFrame.hello().bytes)
            try peer.takePreface()
            return try peer.takeFrame()
        }
        #expect(try open(addresses[0], ProxyBytes.v1("203.0.113.1")).type == .welcome)
        #expect(try open(addresses[1], []).type == .welcome)
        #expect(try open(addresses[2], ProxyBytes.v2("203.0.113.3", 3)).type == .welcome)
        #expect(try open(addresses[3], []).type == .welcome)
        #expect(try open(addresses[4], ProxyBytes.v1("203.0.113.5")).notice?.code == .unauthorized)
        #expect(try open(addresses[2], []).notice?.code == .protocolError)
        try server.errors.line(with: " opened ", "peer=203.0.113.3:3 via=unix")
        server.kill(SIGTERM)
        try server.expectStatus(0)
    }

    @Test(
        "What can never be is told at the start, with status 64",
        arguments: [
            (["--port", "0", "--proxy-from", "unix"], "--proxy-from unix is for Unix sockets"),
            (["--listen", "127.0.0.1:0,direct", "--proxy-from", "10.0.0.0/8"], "on none without proxies of its own"),
            (["--proxy-from", "10.0.0.1/8"], "10.0.0.0/8 is the range"),
            (["--listen", "127.0.0.1:0,proxy-from=unix"], "a TCP socket takes a range"),
            (["--listen", "127.0.0.1:0,direct,proxy-from=::1"], "something else beside it"),
            (["--listen", "127.0.0.1:0,proxy=::1"], "'proxy=::1' behind its address"),
            (["--port", "0", "--token-from-cn"], "--proxy-from"),
        ])
    func usage(_ arguments: [String], _ part: String) throws {
        let server = try Spawned("server", arguments)
        #expect(try server.wait() == .status(64))
        #expect(server.errors.textSoFar.contains(part), "\(server.errors.textSoFar)")
    }

    @Test("--check says which listeners take headers, and which range fits none")
    func check() throws {
        let server = try Spawned(
            "server",
            ["--check", "--max-connections", "1", "--listen", "127.0.0.1:1", "--listen", "[::1]:1,direct"]
                + ["--proxy-from", "10.0.0.0/8", "--proxy-from", "unix"])
        _ = try server.wait()
        _ = server.output.waitForEnd()
        let text = server.output.textSoFar
        #expect(
            text.contains("A connection to 127.0.0.1:1 comes from a proxy (10.0.0.0/8), and begins with its header."))
        #expect(text.contains("--proxy-from unix is for Unix sockets") && !text.contains("connection to [::1]:1"))
    }
}
