import Glibc
import RawWire
import Testing

extension Live.Children {
    /// `server --pool`: children that were forked before their clients came.
    @Suite("--pool") struct Pool {}
}

extension Live.Children.Pool {
    /// One short connection, answered; returns the process that served it, by the log.
    @discardableResult
    private func serve(_ server: ServerProcess, _ connection: Int, _ text: String = "x") throws -> pid_t {
        let peer = try server.connect()
        try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1, text).bytes)
        try peer.takePreface()
        _ = try peer.frames(upTo: .close)
        try peer.takeEnd()
        peer.close()
        return try process(server, connection)
    }

    /// The process of a connection that has ended.
    private func process(_ server: ServerProcess, _ connection: Int) throws -> pid_t {
        let line = try server.log.line(with: " closed connection=\(connection) ")
        let word = line.split(separator: " ").first { $0.hasPrefix("pid=") }
        return try #require(word.flatMap { pid_t($0.dropFirst(4)) })
    }

    // MARK: Children

    @Test("A child that has waited serves one connection, and a new one waits in its place")
    func fresh() throws {
        try withServer("--pool", "2") { server in
            var seen: Set<pid_t> = []
            for connection in 1...5 {
                try server.waitForWaiting(2)
                let waiting = server.waiting
                let child = try serve(server, connection)
                #expect(waiting.contains(child) && !seen.contains(child))
                seen.insert(child)
                #expect(eventually { hasGone(child) })
            }
        }
    }

    @Test("With --pool-reuse 3 a child serves three connections, each with its own number and from its own beginning")
    func reuse() throws {
        try withServer("--pool", "1:1", "--pool-reuse", "3", "--handler", "count") { server in
            var children: [pid_t] = []
            for connection in 1...7 {
                try server.waitForWaiting(1)
                let peer = try server.open(.hello(options: RawFrame.option(2, Array("client \(connection)".utf8))))
                for count in 0..<2 {
                    try peer.send(.request(UInt32(count + 1)))
                    #expect(try peer.takeFrame().text == "This is server send message:\(count)")
                }
                try peer.send(.close())
                try peer.takeClose()
                peer.close()
                children.append(try process(server, connection))
            }
            #expect(children[0] == children[1] && children[1] == children[2])
            #expect(children[3] == children[4] && children[4] == children[5])
            #expect(Set(children).count == 3)
            try server.log.line(with: " closed connection=7 ", "requests=2")
        }
    }

    @Test("Reuse also of a handler with a thread of its own, and what it leaves behind ends the child")
    func leftovers() throws {
        try withServer("--pool-reuse", "1000", command: "handlers") { server in
            var connection = 0
            func next(_ text: String) throws -> pid_t {
                connection += 1
                try server.waitForWaiting(1)
                return try serve(server, connection, text)
            }
            let first = try next("x")
            for _ in 0..<3 { #expect(try next("x") == first) }
            #expect(try next("leak") == first)
            let second = try next("x")
            #expect(second != first && eventually { hasGone(first) })
            #expect(try next("linger 100") == second)
            let third = try next("x")
            #expect(third != second && eventually { hasGone(second) })
            #expect(try next("fail") == third)
            #expect(try next("x") == third)
        }
    }

    @Test("A client that fails its handshake costs its child, so that the child's exit status tells")
    func failedHandshake() throws {
        try withServer("--pool", "1:1", "--pool-reuse", "1000") { server in
            try server.waitForWaiting(1)
            let child = server.waiting[0]
            let peer = try server.connect()
            try peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            while peer.ending == nil, try peer.read(until: .now + RawPeer.patience) {}
            peer.close()
            #expect(eventually { hasGone(child) })
        }
    }

    @Test("A child whose client fell silent lets all others go first from then on, and so it serves no other")
    func silent() throws {
        try withServer("--pool", "1:1", "--pool-reuse", "1000", "--timeout", "300ms") { server in
            for _ in 1...2 {
                try server.waitForWaiting(1)
                let child = server.waiting[0]
                #expect(ProcessFiles.niceness(of: child) == ProcessFiles.niceness(of: server.process.pid))
                let peer = try server.open()
                #expect(try peer.takeClose().code == .silent)
                // It reads on until the client closes (7.1-3).
                #expect(eventually { ProcessFiles.niceness(of: child) == 19 })
                peer.close()
                #expect(eventually { hasGone(child) })
            }
        }
    }

    @Test("More clients than wait are served at once, each by a process of its own; then more wait, up to the most")
    func grows() throws {
        try withServer("--pool", "1:4", "--pool-reuse", "1000", "--handler", "count") { server in
            try server.waitForWaiting(1)
            let peers = try (1...20).map { _ in try server.open() }
            for peer in peers {
                try peer.send(.request(1))
                #expect(try peer.takeFrame().text == "This is server send message:0")
            }
            // Those that serve for long do not come back, so others wait.
            try server.waitForWaiting(4, serving: 20, within: .seconds(20))
            for peer in peers { peer.close() }
            try server.waitForChildren(4)
        }
    }

    // MARK: Crashes

    @Test("kill -9 of a child in use costs its connection alone, which is counted once", arguments: [1, 1000])
    func killedInUse(_ reuse: Int) throws {
        try withServer("--pool", "2:2", "--pool-reuse", "\(reuse)", "--metrics", "127.0.0.1:0") { server in
            let scraper = try Scraper(server)
            try server.waitForWaiting(2)
            let other = try server.open()
            let peer = try server.open()
            var found: pid_t?
            let isFound = eventually {
                found = server.children.first { child in
                    ProcessFiles.text("/proc/\(child)/cmdline")?.contains(":\(peer.localPort) ") ?? false
                }
                return found != nil
            }
            try #require(isFound)
            let child = found!
            kill(child, SIGKILL)
            _ = try? peer.takeFrame()
            #expect(peer.ending != nil)
            try server.log.line(with: "child died", "pid=\(child)", "connection=2", "KILL")
            try other.send(.request(1))
            #expect(try other.takeFrame().id == 1)
            let samples = try scraper.samples()
            #expect(samples["connections_accepted_total"] == 2 && samples["connections_live"] == 1)
            #expect(samples["connections_closed_total{reason=\"DIED\",by=\"none\"}"] == 1)
            other.close()
            #expect(eventually { (try? scraper.samples().sum("connections_closed_total")) == 2 })
        }
    }

    @Test("A waiting child that is killed is logged and replaced; where they die at once the pauses grow")
    func killedWaiting() throws {
        try withServer("--pool", "2:2", "--pool-reuse", "10") { server in
            try server.waitForWaiting(2)
            let before = server.waiting
            kill(before[0], SIGKILL)
            try server.log.line(with: "waiting child died", "pid=\(before[0])", "KILL")
            try server.waitForWaiting(2)
            // Whoever dies as soon as it waits: the pauses double, so that there are few of them.
            var killed = 0
            let end = SuspendingClock.now + .seconds(1)
            while SuspendingClock.now < end {
                for child in server.waiting {
                    kill(child, SIGKILL)
                    killed += 1
                    #expect(eventually { hasGone(child) })
                }
            }
            #expect(killed <= 16, "\(killed)")
            #expect(try serve(server, 1) > 0)
            try server.waitForWaiting(2, within: .seconds(15))
        }
    }

    // MARK: Limits, counts

    @Test(
        "--max-connections holds exactly while many come at once, again and again",
        arguments: [["--pool", "4:8", "--pool-reuse", "1000"], ["--connections-per-process", "4"]])
    func exact(flags: [String]) throws {
        try withServer(flags + ["--max-connections", "10", "--metrics", "127.0.0.1:0"]) { server in
            let scraper = try Scraper(server)
            for round in 1...5 {
                let peers = try (1...30).map { _ in try server.connect() }
                for peer in peers { try peer.send(RawFrame.preface + RawFrame.hello().bytes) }
                var welcome = 0
                var refused = 0
                for peer in peers {
                    try peer.takePreface()
                    let frame = try peer.takeFrame()
                    if frame.type == .welcome { welcome += 1 }
                    if frame.notice?.code == .busy { refused += 1 }
                }
                #expect(welcome == 10 && refused == 20, "round \(round)")
                for peer in peers { peer.close() }
                #expect(eventually { (try? scraper.samples()["connections_live"]) == 0 })
                let samples = try scraper.samples()
                #expect(samples["connections_accepted_total"] == Double(10 * round))
                #expect(samples.sum("connections_closed_total") == Double(10 * round))
            }
        }
    }

    @Test(
        "Hundreds of short connections at once, over and over: each is answered, and counted once",
        arguments: [["--pool", "2:8", "--pool-reuse", "7"], ["--connections-per-process", "16"]])
    func burst(flags: [String]) throws {
        try withServer(flags + ["--metrics", "127.0.0.1:0"]) { server in
            let scraper = try Scraper(server)
            for _ in 0..<10 {
                let peers = try (1...40).map { _ in try server.connect() }
                for peer in peers { try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes) }
                for peer in peers {
                    try peer.takePreface()
                    #expect(try peer.frames(upTo: .close).map(\.type) == [.welcome, .response, .close])
                    peer.close()
                }
            }
            #expect(eventually { (try? scraper.samples()["connections_live"]) == 0 })
            let samples = try scraper.samples()
            #expect(samples["connections_accepted_total"] == 400 && samples.sum("requests_total") == 400)
            #expect(samples["connections_closed_total{reason=\"NORMAL\",by=\"server\"}"] == 400)
            #expect(!flags.contains("--pool") || samples["pool_served_total"] ?? 0 > 0)
        }
    }

    @Test("Waiting children are no connections, and status says how many wait")
    func status() throws {
        try withControl { control in
            try withServer("--pool", "2:2", "--pool-reuse", "10", "--control", control) { server in
                let admin = Operator(control: control)
                try server.waitForWaiting(2)
                #expect(try admin.json("connections").isEmpty)
                #expect(try admin.ctl("status").contains("pool_waiting: 2"))
                let peer = try server.open()
                #expect(try admin.connections { $0.count == 1 }.count == 1)
                #expect(try admin.ctl("status").contains("connections: 1"))
                try admin.ctl("drop", "1")
                #expect(try peer.frames(upTo: .close).last?.notice?.code == .kicked)
                peer.close()
                try server.waitForWaiting(2)
                // The dropped one counts until it is reaped, and its successor waits before.
                #expect(try admin.connections { $0.isEmpty }.isEmpty)
                // Whoever was told to end serves nobody after it.
                let next = try serve(server, 2)
                #expect(try next != process(server, 1))
            }
        }
    }

    @Test("A token that is put into the file counts from the next connection on")
    func tokens() throws {
        let directory = try TemporaryDirectory()
        try directory.write("tokens", "one\n")
        chmod(directory.file("tokens"), 0o600)
        try withServer("--pool", "2:2", "--pool-reuse", "100", "--token-file", directory.file("tokens")) { server in
            func isLetIn(_ token: String) throws -> Bool {
                try server.waitForWaiting(2)
                let peer = try server.connect()
                try peer.send(RawFrame.preface + RawFrame.hello(options: RawFrame.option(1, Array(token.utf8))).bytes)
                try peer.takePreface()
                defer { peer.close() }
                return try peer.takeFrame().type == .welcome
            }
            #expect(try isLetIn("one"))
            #expect(try !isLetIn("two!"))
            try directory.write("new", "two!\n")
            chmod(directory.file("new"), 0o600)
            rename(directory.file("new"), directory.file("tokens"))
            #expect(try isLetIn("two!"))
            #expect(try !isLetIn("one"))
        }
    }

    // MARK: Signals

    @Test("SIGHUP replaces those that wait; one that serves keeps what it has, and serves no other")
    func reload() throws {
        let directory = try TemporaryDirectory()
        try directory.write("conf", "pool 2:2\npool-reuse 100\nhandler echo\n")
        try withServer("--pool", "2:2", "--config", directory.file("conf")) { server in
            try server.waitForWaiting(2)
            let before = server.waiting
            let peer = try server.open()
            try directory.write("conf", "pool 9\npool-reuse 100\nhandler ack\n")
            server.process.kill(SIGHUP)
            try server.log.line(with: "info reloaded")
            #expect(eventually { server.waiting.count == 2 && server.waiting.allSatisfy { !before.contains($0) } })
            let other = try server.open()
            try other.send(.request(1, "x"))
            #expect(try other.takeFrame().text == "ok")
            try peer.send(.request(1, "x"))
            #expect(try peer.takeFrame().text == "x")
            for peer in [peer, other] {
                try peer.send(.close())
                try peer.takeClose()
                peer.close()
            }
            #expect(eventually { before.allSatisfy(hasGone) })
        }
    }

    @Test("A configuration under which children cannot be used again is not taken over")
    func wrongReload() throws {
        let directory = try TemporaryDirectory()
        try directory.write("conf", "pool 1:1\npool-reuse 100\n")
        try withServer("--pool", "1:1", "--config", directory.file("conf")) { server in
            try directory.write("conf", "max-cpu 5\n")
            server.process.kill(SIGHUP)
            try server.log.line(with: "not reloaded", "--pool-reuse and --max-cpu exclude each other")
            try server.waitForWaiting(1)
        }
    }

    @Test("SIGUSR1 reaches those that wait")
    func reopen() throws {
        let directory = try TemporaryDirectory()
        let log = directory.file("log")
        try withServer("--pool", "2:2", "--pool-reuse", "10", "--log", log) { server in
            try server.waitForWaiting(2)
            let waiting = server.waiting
            rename(log, log + ".1")
            server.process.kill(SIGUSR1)
            #expect(
                eventually {
                    waiting.allSatisfy { child in
                        ProcessFiles.descriptors(of: child).values.contains(log)
                            && !ProcessFiles.descriptors(of: child).values.contains(log + ".1")
                    }
                })
            #expect(server.waiting == waiting)
            try expectAnswer(from: server.address)
            try directory.line(of: "log", with: "closed connection=1")
        }
    }

    @Test(
        "SIGTERM, SIGINT and SIGQUIT: those that wait end at once, and those that serve as without a pool",
        arguments: [SIGTERM, SIGINT, SIGQUIT])
    func ends(_ signal: Int32) throws {
        try withServer("--pool", "3:3", "--pool-reuse", "10", "--drain", signal == SIGTERM ? "60" : "0") { server in
            try server.waitForWaiting(3)
            let peer = try server.open()
            try server.waitForWaiting(3, serving: 1)
            let waiting = server.waiting
            server.process.kill(signal)
            #expect(eventually { waiting.allSatisfy(hasGone) })
            if signal == SIGTERM { try peer.send(.close()) }
            #expect(try peer.frames(upTo: .close).last?.type == .close)
            peer.close()
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test(
        "SIGTERM and SIGQUIT to one that waits end it, without a word; a new one takes its place",
        arguments: [SIGTERM, SIGQUIT])
    func terminatedWaiting(_ signal: Int32) throws {
        try withServer("--pool", "1:1", "--pool-reuse", "10") { server in
            try server.waitForWaiting(1)
            let child = server.waiting[0]
            kill(child, signal)
            #expect(eventually { hasGone(child) })
            try server.waitForWaiting(1)
            #expect(!server.log.textSoFar.contains("waiting child died"))
            #expect(try serve(server, 1) != child)
        }
    }

    @Test("kill -9 of the parent: those that wait end, and one that serves goes on to the end of its connection")
    func parentKilled() throws {
        try withServer("--pool", "2:2", "--pool-reuse", "10") { server in
            try server.waitForWaiting(2)
            let peer = try server.open()
            let all = server.children
            server.process.kill(SIGKILL)
            _ = try server.process.wait()
            try peer.send(.request(1, "still there"))
            #expect(try peer.takeFrame().text == "still there")
            #expect(eventually { all.filter { !hasGone($0) }.count == 1 })
            peer.close()
            #expect(eventually { all.allSatisfy(hasGone) })
        }
    }

    // MARK: The command

    @Test(
        "What cannot be is refused with status 64",
        arguments: [
            (["--pool", "0"], "neither a number like 4 nor MIN:MAX"),
            (["--pool", "4:2"], "neither a number like 4 nor MIN:MAX"),
            (["--pool", "4:"], "neither a number like 4 nor MIN:MAX"),
            (["--pool-reuse", "2"], "give --pool N too"),
            (["--pool", "2", "--pool-reuse", "0"], "not a whole number"),
            (["--pool", "2", "--pool-reuse", "2", "--max-cpu", "1"], "exclude each other"),
            (["--pool", "2", "--pool-reuse", "2", "--exec", "cat"], "exclude each other"),
        ])
    func mistakes(_ arguments: [String], _ text: String) throws {
        let server = try Spawned("server", ["--port", "0"] + arguments)
        #expect(try server.wait() == .status(64))
        #expect(server.errors.waitForEnd() && server.errors.textSoFar.contains(text), "\(server.errors.textSoFar)")
    }

    @Test("A handler that does not say that it may be reused is none for --pool-reuse")
    func lonely() throws {
        let server = try Spawned("handlers", ["--port", "0", "--lonely", "--pool-reuse", "2"])
        #expect(try server.wait() == .status(1))
        #expect(server.errors.waitForEnd() && server.errors.textSoFar.contains("--pool-reuse 2 is not possible"))
    }

    @Test("Programs are served from a pool, a child for each connection")
    func programs() throws {
        try withServer("--pool", "2:2", "--exec", "cat") { server in
            for _ in 0..<3 { try expectAnswer(from: server.address) }
        }
    }
}
