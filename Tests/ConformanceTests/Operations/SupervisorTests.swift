import Glibc
import RawWire
import Testing

extension Live.Operations {
    /// The server under a supervisor: systemd by its datagrams and its sockets, others by `--ready-fd`.
    @Suite("Under a supervisor") struct Supervised {}
}

// MARK: Notifications

extension Live.Operations.Supervised {
    private func environment(_ variables: String...) -> [String] { ["/usr/bin/env"] + variables }

    @Test("It says that it is ready, how many it serves, that it reloads, and that it stops", arguments: [false, true])
    func notifications(_ isAbstract: Bool) throws {
        let directory = try TemporaryDirectory()
        let path = isAbstract ? "@\(directory.path)" : directory.file("notify")
        let supervisor = try DatagramReceiver(at: path)
        try withServer(prefix: environment("NOTIFY_SOCKET=\(path)")) { server in
            #expect(supervisor.next() == "READY=1\nSTATUS=listening on \(server.address)")
            let peer = try server.open()
            _ = try supervisor.next(with: "STATUS=serving 1 connection", within: .seconds(15))
            server.process.kill(SIGHUP)
            _ = try supervisor.next(with: "RELOADING=1\nMONOTONIC_USEC=")
            _ = try supervisor.next(with: "READY=1")
            _ = try supervisor.next(with: "STATUS=serving 1 connection", within: .seconds(15))
            server.process.kill(SIGTERM)
            let text = try supervisor.next(with: "STOPPING=1")
            #expect(text == "STOPPING=1\nSTATUS=stopping, 1 connection left")
            _ = try peer.frames(upTo: .close)
            peer.close()
            #expect(try server.process.wait() == .status(0))
        }
        // Without WATCHDOG_USEC nothing beats.
        while let text = supervisor.next(within: .zero) { #expect(!text.contains("WATCHDOG")) }
    }

    @Test("Neither a child nor a supervisor that is not there holds the server up")
    func nobody() throws {
        try withServer(prefix: environment("NOTIFY_SOCKET=/nowhere/at/all", "WATCHDOG_USEC=1000000")) { server in
            try expectAnswer(from: server.address)
        }
        let directory = try TemporaryDirectory()
        let supervisor = try DatagramReceiver(at: directory.file("notify"))
        // It takes nothing, and its queue is full soon.
        try withServer(
            prefix: environment("NOTIFY_SOCKET=\(directory.file("notify"))", "WATCHDOG_USEC=20000")
        ) { server in
            let start = SuspendingClock.now
            while start.age < .milliseconds(500) { try expectAnswer(from: server.address) }
            let peer = try server.open()
            let child = try server.onlyChild()
            #expect(ProcessFiles.descriptors(of: child).values.count { $0.hasPrefix("socket:") } == 1)
            peer.close()
        }
        _ = supervisor
    }

    private static let wanted = "WATCHDOG_PID=$$ WATCHDOG_USEC=400000 exec \"$@\""

    @Test("The watchdog beats twice in its time while the parent's loop comes round, and not while it hangs")
    func watchdog() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("notify")
        let supervisor = try DatagramReceiver(at: path)
        try withServer(prefix: environment("NOTIFY_SOCKET=\(path)") + shell(Self.wanted)) {
            server in
            _ = try supervisor.next(with: "READY=1")
            _ = try supervisor.next(with: "WATCHDOG=1")
            // It beats without any client.
            var beats = 0
            let start = SuspendingClock.now
            while beats < 5 {
                _ = try supervisor.next(with: "WATCHDOG=1", within: .seconds(10))
                beats += 1
            }
            #expect(start.age >= .milliseconds(750), "no more often than twice in 400 ms")
            kill(server.pid, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: server.pid) == "T" })
            while supervisor.next(within: .zero) != nil {}
            #expect(supervisor.next(within: .seconds(1)) == nil)
            kill(server.pid, SIGCONT)
            _ = try supervisor.next(with: "WATCHDOG=1")
        }
    }

    @Test("The watchdog stops while accept does nothing but fail, and beats again when it succeeds")
    func watchdogOfAccept() throws {
        let directory = try TemporaryDirectory()
        let path = "@\(directory.path)"
        let supervisor = try DatagramReceiver(at: path)
        try withServer(prefix: environment("NOTIFY_SOCKET=\(path)") + shell(Self.wanted)) {
            server in
            // No number is left, and the spare one is of no use either.
            try Spawned.limit(server.pid, "--nofile=4:")
            let peer = try server.connect()
            // The last beats are those of less than 400 ms of failing.
            #expect(
                eventually {
                    while supervisor.next(within: .zero) != nil {}
                    return supervisor.next(within: .milliseconds(900)) == nil
                })
            try server.log.line(with: "accept failed")
            try Spawned.limit(server.pid, "--nofile=1024:")
            _ = try supervisor.next(with: "WATCHDOG=1")
            try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
            try peer.takePreface()
            #expect(try peer.frames(upTo: .close).map(\.type) == [.welcome, .response, .close])
            peer.close()
        }
    }

    @Test("WATCHDOG_PID of another process is none of its business")
    func othersWatchdog() throws {
        let directory = try TemporaryDirectory()
        let supervisor = try DatagramReceiver(at: directory.file("notify"))
        try withServer(
            prefix: environment(
                "NOTIFY_SOCKET=\(directory.file("notify"))", "WATCHDOG_PID=1", "WATCHDOG_USEC=100000")
        ) { _ in
            _ = try supervisor.next(with: "READY=1")
            while let text = supervisor.next(within: .milliseconds(500)) { #expect(!text.contains("WATCHDOG")) }
        }
    }
}

// MARK: Sockets handed over

extension Live.Operations.Supervised {
    /// What a supervisor does: the listener, which is standard input here, becomes descriptor 3.
    private static let handOver = shell("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null")

    @Test("A listening socket that is handed over is served, and its address announced")
    func handedOver() throws {
        let listener = try RawListener()
        let server = try Spawned(
            "server", ["--port", "1"], prefix: Self.handOver,
            input: .descriptor(listener.descriptor))
        #expect(try server.output.line() == "listening on \(listener.address)")
        try expectAnswer(from: listener.address)
        server.kill(SIGTERM)
        #expect(try server.wait() == .status(0))
    }

    @Test("Whoever is queued on it when a server ends is served by the next: nobody is refused, nothing is lost")
    func restart() throws {
        let listener = try RawListener()
        func start() throws -> Spawned {
            let server = try Spawned(
                "server", [], prefix: Self.handOver, input: .descriptor(listener.descriptor))
            _ = try server.output.line()
            return server
        }
        let first = try start()
        kill(first.pid, SIGSTOP)
        #expect(eventually { ProcessFiles.state(of: first.pid) == "T" })
        first.kill(SIGTERM)
        // Stopped and told to end: what comes now may be taken by the next one only.
        kill(first.pid, SIGCONT)
        #expect(try first.wait() == .status(0))
        let peer = try RawPeer.connect(to: listener.address)
        try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
        let second = try start()
        try peer.takePreface()
        #expect(try peer.frames(upTo: .close).map(\.type) == [.welcome, .response, .close])
        peer.close()
        try expectAnswer(from: listener.address)
        second.kill(SIGTERM)
        #expect(try second.wait() == .status(0))
    }

    @Test("A Unix socket that is handed over keeps its file when the server ends")
    func unixSocket() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("socket")
        let listener = OpenDescriptors.add(
            socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        defer { OpenDescriptors.close(listener) }
        try #require(Address.unix(path).withSockaddr { bind(listener, $0, $1) } == 0 && listen(listener, 16) == 0)
        let server = try Spawned(
            "server", [], prefix: Self.handOver, input: .descriptor(listener))
        #expect(try server.output.line() == "listening on unix:\(path)")
        try expectAnswer(from: .unix(path))
        server.kill(SIGTERM)
        #expect(try server.wait() == .status(0))
        #expect(access(path, F_OK) == 0)
    }

    @Test("What is no listening socket is refused with a reason, by its number and its name")
    func wrongSockets() throws {
        let listener = try RawListener()
        let other = try RawListener()
        other.close()
        for (script, input, reason) in [
            ("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3</dev/null", Spawned.Stream.null, "descriptor 3"),
            ("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&-", .null, "descriptor 3"),
            (
                "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\" 3<&0 4</dev/null", .descriptor(listener.descriptor),
                "descriptor 4"
            ),
            (
                "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=tcp:metrics exec \"$@\" 3<&0 4<&-",
                .descriptor(listener.descriptor), "descriptor 4 (metrics)"
            ),
        ] {
            let server = try Spawned("server", ["--port", "0"], prefix: shell(script), input: input)
            #expect(try server.wait() == .status(64))
            #expect(server.errors.textSoFar.contains(reason), "\(server.errors.textSoFar)")
        }
    }

    @Test("LISTEN_FDS of another process is none of its business")
    func othersSockets() throws {
        try withServer(prefix: ["/usr/bin/env", "LISTEN_PID=1", "LISTEN_FDS=1"]) { server in
            try expectAnswer(from: server.address)
        }
    }

    @Test("--daemon does not go with a socket that is handed over")
    func daemon() throws {
        let listener = try RawListener()
        let server = try Spawned(
            "server", ["--daemon", "--log", "/dev/null"], prefix: Self.handOver,
            input: .descriptor(listener.descriptor))
        #expect(try server.wait() == .status(64))
        #expect(server.errors.textSoFar.contains("LISTEN_FDS"))
    }
}

// MARK: --ready-fd

extension Live.Operations.Supervised {
    @Test("--ready-fd is told in one line where the server listens, and closed")
    func readyDescriptor() throws {
        let directory = try TemporaryDirectory()
        try withServer("--ready-fd", "7", prefix: shell("exec \"$@\" 7>'\(directory.file("ready"))'")) { server in
            #expect(eventually { directory.text("ready") == "listening on \(server.address)\n" })
            #expect(ProcessFiles.descriptors(of: server.pid)[7]?.hasPrefix("/tmp") != true)
        }
    }

    @Test("--ready-fd works for a daemon, and a supervisor that has gone does not hold the server up")
    func readyDaemon() throws {
        let directory = try TemporaryDirectory()
        let command = try Spawned(
            "server",
            [
                "--daemon", "--port", "0", "--log", directory.file("log"), "--pidfile", directory.file("pid"),
                "--ready-fd", "3",
            ], prefix: shell("exec \"$@\" 3>'\(directory.file("ready"))'"))
        #expect(try command.wait() == .status(0))
        let pid = try #require(directory.text("pid").flatMap { pid_t($0.dropLast()) })
        #expect(eventually { directory.text("ready") == command.output.textSoFar })
        kill(pid, SIGTERM)
        #expect(eventually { hasGone(pid) })
        try withServer("--ready-fd", "7", prefix: shell("exec \"$@\" 7>/dev/full")) { server in
            try server.log.line(with: "not announced", "--ready-fd 7")
            try expectAnswer(from: server.address)
        }
    }

    @Test("--ready-fd that is not open is a wrong command line, with and without --daemon")
    func notOpen() throws {
        for arguments in [[], ["--daemon", "--log", "/dev/null"]] {
            let server = try Spawned("server", ["--port", "0", "--ready-fd", "3"] + arguments)
            #expect(try server.wait() == .status(64))
            #expect(server.errors.textSoFar.contains("--ready-fd 3"))
        }
    }
}

// MARK: Unit files

extension Live.Operations.Supervised {
    private static let verifier = "/usr/bin/systemd-analyze"

    @Test(
        "systemd finds nothing wrong with tools/systemd/lifeline.service and tools/systemd/lifeline.socket",
        .enabled(if: access(verifier, X_OK) == 0))
    func units() throws {
        let units = ProtocolDocument.path.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/tools/systemd"
        // The unit names the server where it will be installed; here it is where it was built.
        let directory = try TemporaryDirectory()
        let service = try #require(ProcessFiles.text("\(units)/lifeline.service"))
        #expect(service.contains("ExecStart=/usr/local/bin/server "))
        try directory.write(
            "lifeline.service",
            service.split(separator: "\n", omittingEmptySubsequences: false).map {
                $0.hasPrefix("ExecStart=") ? "ExecStart=\(Spawned.products)/server" : String($0)
            }.joined(separator: "\n"))
        try directory.write("lifeline.socket", try #require(ProcessFiles.text("\(units)/lifeline.socket")))
        let verify = try Spawned([
            Self.verifier, "verify", directory.file("lifeline.service"),
            directory.file("lifeline.socket"),
        ])
        #expect(try verify.wait(within: .seconds(30)) == .status(0))
        let complaints = verify.errors.textSoFar.split(separator: "\n").filter { $0.contains("lifeline") }
        #expect(complaints.isEmpty, "\(complaints)")
    }
}
