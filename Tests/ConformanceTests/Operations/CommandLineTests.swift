import Glibc
import Testing
import RawWire

extension Live.Operations {
    /// The command `server`: its flags, its exit statuses, and standard streams that are not there.
    @Suite("Command line of the server") struct CommandLineOfServer {}
}

extension Live.Operations.CommandLineOfServer {
    static let wrong: [[String]] = [
        ["--nonsense"], ["--prot", "7400"], ["extra"], ["--port"], ["--port", "65536"], ["--port", "-1"],
        ["--port", "http"],
        ["--timeout", "soon"], ["--timeout", "0"], ["--timeout", "99ms"], ["--timeout", "-1"], ["--timeout", "1200h"],
        ["--heartbeat", "soon"], ["--heartbeat", "0"], ["--heartbeat", "19ms"], ["--heartbeat", "1200h"],
        ["--handshake-timeout", "0"], ["--grace", "ten"], ["--max-frame", "255"], ["--max-frame", "2g"],
        ["--max-message", "0"], ["--max-in-flight", "0"], ["--max-connections", "0"], ["--backlog", "0"],
        ["--max-queued", "1k", "--max-message", "2k"], ["--max-message", "8m", "--max-queued", "4m"],
        ["--handler", "magic"], ["--log-level", "loud"],
        ["--log-format", "xml"], ["--exec"], ["--exec", ""], ["--handler", "echo", "--exec", "cat"],
        ["--exec-per", "request"], ["--exec-framing", "line"], ["--exec-grace", "1"], ["--shell"],
        ["--exec-per", "packet", "--exec", "cat"], ["--exec-framing", "xml", "--exec", "cat"],
        ["--exec-per", "request", "--exec-framing", "line", "--exec", "cat"],
        ["--exec-per", "request", "--exec-framing", "length", "--exec", "cat"],
        ["--exec-per", "connection", "--exec-framing", "raw", "--exec", "cat"],
        ["--exec-framing", "raw", "--exec", "cat"], ["--shell", "--exec", "cat", "-u"],
        ["--handler-timeout", "0"], ["--host", "example.org"], ["--host", "127.0.0.1:7400"], ["--host", "/tmp/x"],
        ["--host", "300.1.1.1"], ["--host", ""],
        ["--host", "unix:"], ["--daemon"], ["--log", ""], ["--log", "syslog:"], ["--log-flood", "-1"],
        ["--umask", "8"], ["--umask", "1000"], ["--pidfile", ""], ["--ready-fd", "2"], ["--ready-fd", "3"],
        ["--max-memory", "31m"], ["--memory-budget", "64k"], ["--max-cpu", "0"], ["--max-files", "15"],
        ["--max-per-source", "0"], ["--max-rate", "0"], ["--source-prefix", "32"], ["--source-prefix", "0,64"],
        ["--source-prefix", "33,64"], ["--source-prefix", "32,129"], ["--source-prefix", "32,64,1"],
        ["--max-handshakes", "0"], ["--max-handshakes", "10:30"], ["--max-handshakes", "10:0:20"],
        ["--max-handshakes", "10:101:20"], ["--max-handshakes", "10:30:9"], ["--max-handshakes", "10:x:20"],
        ["--exempt", "10.0.0.1/8"],
        ["--user", "0"], ["--user", "root"], ["--group", "nogroup"], ["--allow", "10.0.0.1/8"],
        ["--allow", "localhost"], ["--deny", "::/129"], ["--deny", "1.2.3"],
    ]

    @Test("6-2 A wrong command line ends with status 64 and a sentence that names what is wrong", arguments: wrong)
    func wrong(_ arguments: [String]) throws {
        let server = try Spawned("server", ["--port", "0"] + arguments)
        defer { server.kill(SIGKILL) }
        #expect(try server.wait() == .status(64))
        let text = server.errors.textSoFar
        #expect(text.hasPrefix("server: ") && text.hasSuffix("\n"))
        #expect(arguments.contains { !$0.isEmpty && text.contains($0) } || text.contains("''"), "\(text)")
        #expect(server.output.textSoFar.isEmpty, "standard output is for what was asked for")
    }

    @Test("--help names every flag, --version the version, both on standard output with status 0")
    func help() throws {
        let help = try Spawned("server", ["--help"])
        #expect(try help.wait() == .status(0))
        let text = help.output.textSoFar
        for flag in [
            "host", "port", "timeout", "heartbeat", "handshake-timeout", "handler", "max-connections", "max-frame",
            "max-message",
            "max-in-flight", "max-queued", "token-file", "allow", "deny", "user", "group", "max-memory", "max-cpu",
            "max-files", "backlog", "grace", "log-level", "log-format", "log", "log-flood", "daemon", "chdir", "umask",
            "pidfile", "ready-fd", "max-per-source", "source-prefix", "max-rate", "max-handshakes", "exempt", "check",
        ] {
            #expect(text.contains("--\(flag)"))
        }
        #expect(help.errors.textSoFar.isEmpty)
        let version = try Spawned("server", ["--version"])
        #expect(try version.wait() == .status(0))
        #expect(version.output.linesSoFar.count == 1)
    }

    @Test("Each command that the help of server ctl names is one")
    func commandsOfControl() throws {
        let help = try Spawned("server", ["ctl", "--help"])
        #expect(try help.wait() == .status(0))
        _ = help.output.waitForEnd()
        let commands = help.output.linesSoFar.drop { $0 != "Commands:" }.dropFirst().prefix { !$0.isEmpty }
            .filter { !$0.hasPrefix("   ") }.map { $0.dropFirst(2).prefix { $0 != " " }.description }
        #expect(commands.count == 17)
        let operands = [
            "drop": ["1"], "lift": ["192.0.2.0/24"], "log-level": ["info"], "publish": ["a", "b"],
            "send": ["--all", "b"], "request": ["--name", "n", "b"], "subscribe": ["--all", "a"],
            "unsubscribe": ["--all", "a"], "members": ["a"], "online": ["--all"], "disconnect": ["--all"],
        ]
        for command in commands {
            let words = [command] + (operands[command] ?? [])
            let ctl = try Spawned("server", ["ctl", "--control", "/nonexistent"] + words)
            #expect(try ctl.wait() == .status(69), "\(command): nobody is asked, for there is no server")
        }
    }

    @Test(
        "Durations read 2.5, 500ms, 2m and 1h",
        arguments: [("2.5", 2500), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("3s", 3000)]
            as [(String, UInt32)])
    func durations(_ text: String, _ milliseconds: UInt32) throws {
        try withServer("--timeout", text) { server in
            let welcome = try server.greeted().welcome
            #expect(welcome.deadAfter == milliseconds)
        }
    }

    @Test("A port in use ends with status 69 and names the address")
    func portInUse() throws {
        try withServer { server in
            let second = try Spawned("server", ["--port", "\(server.port)"])
            #expect(try second.wait() == .status(69))
            #expect(second.errors.textSoFar.contains("127.0.0.1:\(server.port)"))
        }
    }

    @Test("Without permission it ends with status 77", .enabled(if: Spawned.mayDropPrivileges))
    func permission() throws {
        let server = try Spawned("server", ["--host", "unix:/lifeline-test.socket"], prefix: Spawned.unprivileged)
        #expect(try server.wait() == .status(77))
    }

    @Test(
        "A directory that is not there, or an address of another machine, ends with a status and a reason",
        arguments: ["unix:/nowhere/at/all", "192.0.2.1"])
    func cannotListen(_ host: String) throws {
        let server = try Spawned("server", ["--host", host, "--port", "0"])
        let exit = try server.wait()
        #expect(exit != .status(0) && exit != .status(64))
        #expect(server.errors.textSoFar.hasPrefix("server: cannot listen on"))
    }

    @Test("A port is free again at once when its server has ended, clients in TIME_WAIT or not")
    func restart() throws {
        var port: UInt16 = 0
        try withServer { server in
            port = server.port
            try server.open(.short).send(.request(1))
        }
        let again = try Spawned("server", ["--port", "\(port)"])
        #expect(try again.output.line() == "listening on 127.0.0.1:\(port)")
        again.kill(SIGTERM)
        #expect(try again.wait() == .status(0))
    }
}

// MARK: Standard streams

extension Live.Operations.CommandLineOfServer {
    private func expectService(_ server: ServerProcess) throws {
        for _ in 0..<5 {
            let peer = try server.connect()
            try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
            try peer.takePreface()
            #expect(try peer.frames(upTo: .close).map(\.type) == [.welcome, .response, .close])
            try peer.takeEnd()
        }
    }

    @Test("It serves without standard input, and without standard error")
    func closedStreams() throws {
        try withServer(input: .closed) { server in
            try expectService(server)
            let peer = try server.open()
            let descriptors = ProcessFiles.descriptors(of: try server.onlyChild())
            #expect(descriptors[0]?.hasPrefix("socket:") == false, "0 is no connection: \(descriptors)")
            try peer.send(.close())
            try peer.takeClose()
        }
        try withServer(errors: .closed) { server in
            try expectService(server)
            let peer = try server.open()
            let descriptors = ProcessFiles.descriptors(of: try server.onlyChild())
            #expect(descriptors[2]?.hasPrefix("socket:") == false, "2 is no connection: \(descriptors)")
            try peer.send(.unknown(1, flags: 0x40))
            try peer.takeClose()
        }
    }

    @Test("It serves without standard output, and takes no connection for it")
    func closedOutput() throws {
        let server = try Spawned("server", ["--port", "0"], output: .closed)
        defer { server.kill(SIGKILL) }
        let line = try server.errors.line(with: "listening", "address=")
        let word = try #require(line.split(separator: " ").first { $0.hasPrefix("address=") })
        let address = try #require(Address(word.dropFirst("address=".count)))
        let peer = try RawPeer.connect(to: address)
        try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
        try peer.takePreface()
        #expect(try peer.frames(upTo: .close).map(\.type) == [.welcome, .response, .close])
        peer.close()
        server.kill(SIGTERM)
        #expect(try server.wait() == .status(0))
    }

    @Test("Where it cannot say that it listens it ends with status 74")
    func fullOutput() throws {
        let server = try Spawned("server", ["--port", "0"], output: .file("/dev/full"))
        #expect(try server.wait() == .status(74))
        #expect(server.errors.textSoFar.contains("standard output"))
    }

    @Test("A log on a full disk costs lines, not connections")
    func fullLog() throws {
        try withServer("--log-level", "debug", errors: .file("/dev/full")) { server in try expectService(server) }
    }

    @Test("A log that nobody reads costs lines, not connections; the next that can be written says how many")
    func unreadLog() throws {
        let pipe = try SmallPipe()
        defer { pipe.close() }
        let server = try ServerProcess(
            ["--log-level", "debug"], errors: .descriptor(pipe.writeEnd))
        for _ in 0..<20 { try expectService(server) }
        // The parent writes too, and must not hang.
        let peer = try server.open()
        let child = try server.onlyChild()
        kill(child, SIGKILL)
        try server.waitForChildren(0)
        peer.close()
        var buffer = [UInt8](repeating: 0, count: 65536)
        #expect(read(pipe.readEnd, &buffer, buffer.count) > 0)
        server.process.kill(SIGTERM)
        #expect(try server.process.wait() == .status(0))
        let count = read(pipe.readEnd, &buffer, buffer.count)
        #expect(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).contains(" lines lost count="))
    }
}
