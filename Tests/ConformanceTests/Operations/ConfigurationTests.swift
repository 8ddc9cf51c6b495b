import Glibc
import Testing
import RawWire

extension Live.Operations {
    /// `--config FILE`, and what SIGHUP makes of it.
    @Suite("Configuration") struct Configuration {}
}

extension TemporaryFile {
    /// Puts a new file in its place, as one that is edited is.
    func replace(_ text: String) throws {
        let new = try TemporaryFile(Array(text.utf8))
        guard rename(new.path, path) == 0 else { throw systemError("rename") }
    }
}

extension Live.Operations.Configuration {
    private func reload(_ server: ServerProcess, _ parts: String..., count: Int = 1) throws {
        server.process.kill(SIGHUP)
        let isTold = eventually { lines(server, parts).count >= count }
        if !isTold { throw Unexpected("no line with \(parts)") }
    }

    private func lines(_ server: ServerProcess, _ parts: [String]) -> [String] {
        server.log.linesSoFar.filter { line in parts.allSatisfy { line.contains($0) } }
    }

    private func answer(_ peer: RawPeer, id: UInt32 = 1) throws -> String {
        try peer.send(.request(id, "hello"))
        return String(decoding: try peer.take(.response).payload, as: UTF8.self)
    }

    @Test("The file says what flags say, and what is typed wins")
    func atStart() throws {
        let file = try TemporaryFile(Array("timeout 4 # seconds\nhandler = ack\nmax-in-flight=3\nport 1\n".utf8))
        try withServer("--config", file.path, "--timeout", "2") { server in
            let (peer, welcome) = try server.greeted()
            #expect(welcome.deadAfter == 2000 && welcome.maxInFlight == 3)
            #expect(try answer(peer) == "ok")
            #expect(server.port != 1, "--port 0 was typed")
            peer.close()
        }
    }

    @Test(
        "A file that is wrong ends the start with status 78, and the file, the line and what is expected",
        arguments: [
            ("port 1\ntimeuot 3", ":2: 'timeuot'", "did you mean timeout?"),
            ("timeout soon", ":1: timeout: 'soon'", "not a duration"),
            ("grace 1\ngrace 2", ":2: grace", "line 1"), ("config x", ":1: config", "command line"),
            ("max-queued 1k\nmax-message 2k", ": --max-queued 1024", "raise it"),
            ("host example.org", ": 'example.org'", "numeric"),
            ("user root", ": ", "root"), ("daemon", ": --daemon", "--log"),
        ])
    func wrongAtStart(_ text: String, _ place: String, _ expected: String) throws {
        let file = try TemporaryFile(Array(text.utf8))
        let server = try Spawned("server", ["--config", file.path])
        defer { server.kill(SIGKILL) }
        #expect(try server.wait() == .status(78))
        let said = server.errors.textSoFar
        #expect(said.hasPrefix("server: \(file.path)\(place)") && said.contains(expected), "\(said)")
    }

    @Test("A file that cannot be read ends the start with status 66")
    func missing() throws {
        let server = try Spawned("server", ["--config", "/nowhere/server.conf"])
        #expect(try server.wait() == .status(66))
        #expect(server.errors.textSoFar.hasPrefix("server: cannot read the configuration /nowhere/server.conf: "))
    }

    @Test("SIGHUP: new connections have the new values, old ones keep theirs, and the listener is the same")
    func reloads() throws {
        let file = try TemporaryFile(Array("timeout 4\nhandler echo\n".utf8))
        try withServer("--config", file.path) { server in
            let (old, welcome) = try server.greeted()
            #expect(welcome.deadAfter == 4000)
            try file.replace("timeout 1\nhandler count\nmax-frame 512\nmax-in-flight 7\ngrace 3\n")
            try reload(server, "info reloaded")
            let (new, changed) = try server.greeted()
            #expect(changed.deadAfter == 1000 && changed.maxInFlight == 7 && changed.maxFrame == 512)
            #expect(try answer(new) == "This is server send message:0")
            #expect(try answer(old) == "hello")
            // The old one is not dropped in the new time, which the new one is.
            let start = SuspendingClock.now
            #expect(try new.frames(upTo: .close).last?.notice?.code == .silent)
            #expect(start.age >= .milliseconds(900))
            #expect(try answer(old, id: 2) == "hello")
            for peer in [old, new] { peer.close() }
        }
    }

    @Test("SIGHUP with a broken or missing file keeps everything, and says what is wrong")
    func broken() throws {
        let file = try TemporaryFile(Array("handler ack\n".utf8))
        try withServer("--config", file.path) { server in
            try file.replace("handler echo\ntimeout soon\n")
            try reload(server, "error", "not reloaded", "\(file.path):2: timeout: 'soon'", "stays as it was")
            try file.replace("handler echo\ntoken-file /nowhere/tokens\n")
            try reload(server, "error", "not reloaded", "/nowhere/tokens")
            #expect(try answer(try server.open()) == "ok", "what came before the error does not count either")
            unlink(file.path)
            try reload(server, "error", "not reloaded", "cannot read the configuration")
            let peer = try server.open()
            #expect(try answer(peer) == "ok")
            try file.replace("handler echo\n")
            try reload(server, "info reloaded")
            #expect(try answer(try server.open()) == "hello")
            peer.close()
        }
    }

    /// Lines that a restart alone changes, in the order in which the log names them.
    private static let kept = [
        "host ::1", "listen unix:/tmp/s", "backlog 9", "user nobody", "group nogroup", "max-connections 5", "pool 2",
        "pool-reuse 3", "pidfile /tmp/p", "ready-fd 9", "log /tmp/l", "control /tmp/c", "metrics 127.0.0.1:1", "topics",
        "publish-socket /tmp/b", "daemon",
        "chdir /",
        "umask 077",
    ]
    /// The same, with a line in place of one that excludes it.
    private static let keptInstead = kept.map { name($0) == "pool-reuse" ? "connections-per-process 7" : $0 }
    /// Lines that a running server takes over.
    private static let takenOver = [
        "timeout 9", "heartbeat 9", "handshake-timeout 9", "handler-timeout 9", "exec cat", "exec-per connection",
        "exec-framing length", "exec-grace 9", "shell", "memory-budget 64m", "handler-threads 9", "max-per-source 9",
        "source-prefix 24,56",
        "max-rate 9",
        "max-handshakes 9", "exempt 10.0.0.0/8", "allow 127.0.0.0/8", "deny 10.0.0.0/8", "max-frame 512",
        "max-message 2m", "max-in-flight 9", "max-queued 9m", "max-memory 9g", "max-cpu 9", "max-files 99", "no-titles",
        "drain 9", "grace 9", "log-level debug", "log-format text", "log-flood 9", "max-age 9h", "max-idle 9h",
        "max-topics 9",
    ]

    private static func name(_ line: some StringProtocol) -> String { String(line.prefix { $0 != " " }) }

    @Test("Every flag of a configuration is taken over, or kept and named")
    func everyFlag() throws {
        let all = try Spawned("server", ["--generate", "configuration"])
        #expect(try all.wait() == .status(0) && all.output.waitForEnd())
        let names = all.output.linesSoFar.filter { $0.hasPrefix("#") && !$0.hasPrefix("# ") }
            .map { Live.Operations.Configuration.name($0.dropFirst()) }
        // What these do is tested elsewhere: --port 0 is typed for every server here, and clients here have no proxy.
        let others = ["port", "handler", "token-file", "proxy-from", "token-from-cn"]
        let kept = Set(
            (Live.Operations.Configuration.kept + Live.Operations.Configuration.keptInstead).map(
                Live.Operations.Configuration.name))
        let takenOver = Live.Operations.Configuration.takenOver.map(Live.Operations.Configuration.name)
        #expect(names.sorted() == (kept + takenOver + others).sorted())
        let file = try TemporaryFile([])
        try withServer("--config", file.path) { server in
            try file.replace(Live.Operations.Configuration.takenOver.joined(separator: "\n"))
            try reload(server, "info reloaded")
            #expect(lines(server, ["kept="]) == [])
            try server.greeted().peer.close()
        }
    }

    @Test("SIGHUP keeps what cannot change, and names it; the rest of the file counts", arguments: [kept, keptInstead])
    func unchangeable(_ kept: [String]) throws {
        let file = try TemporaryFile(Array("handler ack\n".utf8))
        try withServer("--config", file.path) { server in
            try file.replace((kept + ["handler echo"]).joined(separator: "\n"))
            let names = kept.map { "--" + Live.Operations.Configuration.name($0) }.joined(separator: ",")
            try reload(server, "warning reloaded", "kept=\(names) ", "restart")
            let peers = try (0..<6).map { _ in try server.open() }
            #expect(try answer(peers[5]) == "hello")
            for peer in peers { peer.close() }
        }
    }

    @Test("SIGHUP changes a handler for a program and back, and the program's connection has the old one on")
    func programs() throws {
        let file = try TemporaryFile(Array("handler ack\n".utf8))
        try withServer("--config", file.path) { server in
            let old = try server.open()
            try file.replace("exec sed -u 's/hello/from a program/'\n")
            try reload(server, "info reloaded")
            let program = try server.open()
            #expect(try answer(program) == "from a program" && answer(old) == "ok")
            try file.replace("exec /nowhere/program\n")
            try reload(server, "not reloaded", "/nowhere/program")
            try file.replace("handler echo\nmax-per-source 3\n")
            try reload(server, "info reloaded", count: 2)
            let new = try server.open()
            #expect(try answer(new) == "hello" && answer(program, id: 2) == "from a program")
            // Those that were there before are counted.
            let fourth = try server.connect()
            try fourth.takePreface()
            #expect(try fourth.take(.close).notice?.code == .busy)
            for peer in [old, program, new, fourth] { peer.close() }
        }
    }

    @Test("SIGHUP without --config reads the token file again, and a broken one changes nothing")
    func tokens() throws {
        let file = try TemporaryFile(Array("one alice\n".utf8))
        chmod(file.path, 0o600)
        try withServer("--token-file", file.path) { server in
            try reload(server, "info reloaded", "tokens=1")
            try file.replace("one alice\ntwo bob\n")
            try reload(server, "info reloaded", "tokens=2")
            try file.replace("# nobody\n")
            try reload(server, "error", "not reloaded", "no token")
        }
    }

    @Test("SIGHUP in a row loses no connection and leaves no descriptor, and a drain answers none")
    func often() throws {
        let file = try TemporaryFile(Array("timeout 30\n".utf8))
        try withServer("--config", file.path, "--drain", "1") { server in
            let peer = try server.open()
            for round in 1...20 {
                try file.replace(round == 10 ? "broken" : "timeout \(round)\n")
                try reload(server, "reloaded", count: round)
                #expect(try answer(peer, id: UInt32(round)) == "hello")
                #expect(try server.greeted().welcome.deadAfter == UInt32(round == 10 ? 9 : round) * 1000)
            }
            #expect(lines(server, ["not reloaded"]).count == 1)
            try server.waitForChildren(1)
            server.process.kill(SIGTERM)
            try server.log.line(with: "draining")
            try reload(server, "not reloaded", "shutting down")
            peer.close()
            #expect(try server.process.wait() == .status(0))
        }
    }
}
