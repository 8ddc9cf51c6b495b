import Glibc
import Testing
import RawWire

extension Live.Programs {
    /// Any program in place of a handler, `server --exec`: how it fails, how it ends, and that nothing of it is left.
    @Suite("Programs and their end") struct ProgramLife {}
}

// MARK: How it fails

extension Live.Programs.ProgramLife {
    @Test(
        "A program that is not there, or may not be executed, keeps the server from starting",
        arguments: [("/no/such/program", Int32(69)), ("no-such-program", 69), ("/etc/passwd", 77), ("/tmp", 77)])
    func cannotStart(_ program: String, _ status: Int32) throws {
        let server = try Spawned("server", ["--port", "0", "--exec", program])
        defer { server.kill(SIGKILL) }
        #expect(try server.wait() == .status(status))
        #expect(server.errors.textSoFar.hasPrefix("server: cannot start the program '\(program)': "))
        #expect(server.output.textSoFar.isEmpty)
    }

    @Test("A program that vanishes fails the request or the connection that needs it, and the log says so")
    func vanishes() throws {
        for scope in ["request", "connection"] {
            let path = "/tmp/lifeline-program-\(getpid())"
            #expect(symlink("/bin/cat", path) == 0)
            defer { unlink(path) }
            try withServer("--exec-per", scope, "--exec", path) { server in
                let before = try server.open(.short)
                try before.send(.request(1, "here"))
                #expect(try before.frames(upTo: .response)[0].text == "here")
                try before.takeClose()
                unlink(path)
                let peer = try server.open()
                try peer.send(.request(1, "gone"))
                let words = "the program cannot be started: No such file or directory"
                if scope == "request" {
                    #expect(try peer.take(.failure).notice?.words == words)
                    try peer.send(.close())
                    try peer.takeClose()
                } else {
                    // Each request that comes fails: a client that gets CLOSE alone would bring it again, for ever.
                    try peer.send(.request(2, "gone"))
                    for _ in 1...2 {
                        let failure = try peer.take(.failure)
                        #expect(failure.notice?.words == words)
                    }
                    let close = try peer.takeClose()
                    #expect(close.code == .handlerFailed && close.words == words)
                }
                try server.log.line(with: "error program failed", "connection=2", path, "No such file or directory")
            }
        }
    }

    static let deaths: [(String, String, String)] = [
        ("echo why >&2; exit 3", "exited with status 3: why", "status=3"),
        ("kill -SEGV $$", "was killed by SIGSEGV", "signal=SIGSEGV"),
        ("exit 0", "exited with status 0 and did not answer", "status=0"),
        ("printf half; exit 1", "exited with status 1 in the middle of a line", "status=1"),
    ]

    @Test("A program that dies fails the request that it had with how it ended, then its connection", arguments: deaths)
    func dies(_ end: String, _ words: String, _ field: String) throws {
        let script = Script("read -r line; echo \"$line\"; read -r line; \(end)")
        try withServer("--log-level", "debug", exec: script) { server in
            let peer = try server.open()
            #expect(try peer.answers(to: ["fine"]) == ["fine"])
            try peer.send((UInt32(2)...4).flatMap { RawFrame.request($0).bytes })
            let failure = try peer.take(.failure)
            #expect(failure.id == 2 && failure.notice?.code == .handlerFailed)
            #expect(failure.notice?.words == "the program \(words)")
            // The others were never given to it: the client may try them again elsewhere.
            let close = try peer.takeClose()
            #expect(close.code == .handlerFailed && close.lastID == 2)
            try server.log.line(with: "program ended", "connection=1", "request=2", field)
        }
    }

    @Test("A program that is done with its connection ends it in order")
    func leaves() throws {
        try withServer("--shell", "--exec", "read -r line; echo \"last: $line\"") { server in
            let peer = try server.open()
            #expect(try peer.answers(to: ["one"]) == ["last: one"])
            #expect(try peer.takeClose().code == .normal)
        }
    }

    @Test("With a program for each request a status other than 0 is a FAILURE, and the connection goes on")
    func fails() throws {
        try withServer("--exec-per", "request", "--shell", "--exec", "read -r x; echo $x; echo bad >&2; exit $x") {
            server in
            let peer = try server.open()
            for (id, status) in [(UInt32(1), 7), (2, 0), (3, 1)] {
                try peer.send(.request(id, "\(status)\n"))
                let frames = try peer.frames(upTo: status == 0 ? .response : .failure)
                if status > 0 {
                    #expect(frames.last?.notice?.code == .handlerFailed)
                    #expect(frames.last?.notice?.words == "the program exited with status \(status): bad")
                } else {
                    #expect(frames[0].text == "0\n" && frames[0].hasMore)
                    #expect(try peer.take(.response).payload.isEmpty)
                }
            }
        }
    }

    @Test("A program that never answers costs no heartbeat; a CANCEL ends the one that has the request alone")
    func neverAnswers() throws {
        let script = Script("read -r line; [ \"$line\" = now ] || exec sleep 1000; echo \"$line\"")
        try withServer("--timeout", "1", "--exec-per", "request", exec: script) { server in
            let peer = try server.open()
            try peer.send(.request(1, "never\n"))
            let start = SuspendingClock.now
            var nonce: UInt64 = 0
            while start.age < .seconds(2) {
                nonce += 1
                try peer.send(.ping(nonce))
                _ = try peer.frames(upTo: .pong)
                poll(nil, 0, 300)
            }
            try peer.send(.cancel(1), .request(2, "now\n"))
            let frames = try peer.frames(upTo: .response)
            #expect(frames.contains { $0.id == 1 && $0.notice?.code == .cancelled })
            #expect(frames.last?.id == 2 && frames.last?.text == "now\n")
        }
    }
}

// MARK: How it ends

extension Live.Programs.ProgramLife {
    @Test("--handler-timeout fails the request and ends the program; one for a connection takes that with it")
    func late() throws {
        let script = Script("read -r line; sleep 1000$0")
        for scope in ["request", "connection"] {
            try withServer("--handler-timeout", "300ms", "--exec-per", scope, exec: script) { server in
                let peer = try server.open()
                let start = SuspendingClock.now
                try peer.send(.request(1, scope == "request" ? "never\n" : "never"))
                let failure = try peer.frames(upTo: .failure).last
                #expect(start.age >= .milliseconds(300))
                #expect(failure?.notice?.words == "no answer within 0.3 seconds")
                if scope == "request" { try peer.send(.close()) }
                let code = try peer.takeClose().code
                #expect(code == (scope == "request" ? .normal : .handlerFailed))
            }
        }
    }
}

extension Live.Programs.ProgramLife {
    @Test("At the end of its connection it reads the end of input, and may finish what it does")
    func endOfInput() throws {
        let script = Script("cat; echo \"saved $0\" >&2")
        try withServer(exec: script) { server in
            for end in 0..<3 {
                let peer = try server.open()
                try peer.send(.request(1, "a"))
                _ = try peer.take(.response)
                switch end {
                case 0: try peer.send(.close())
                case 1: peer.shutdownWriting()
                default: peer.reset()
                }
                try server.log.line(with: "program", "connection=\(end + 1)", "saved")
            }
        }
    }

    static let stubborn = "trap '' TERM; trap '' HUP; while :; do sleep 1$0; done"

    @Test("One that ignores the end of input and SIGTERM is killed, never before its grace is over")
    func ignoresAll() throws {
        let script = Script(Self.stubborn)
        try withServer("--exec-grace", "300ms", exec: script) { server in
            let peer = try server.open()
            try script.waitForProcesses(1)
            let start = SuspendingClock.now
            try peer.send(.close())
            try peer.takeClose()
            #expect(script.processes.count == 1)
            try script.waitForProcesses(0)
            #expect(start.age >= .milliseconds(600))
        }
    }

    /// Programs that leave somebody behind: in their group, in a session of its own, with a parent that is gone.
    static let families = [
        "sleep 1000$0 & cat; :", "setsid sleep 1000$0 & cat; :",
        "setsid sh -c 'trap \"\" TERM; (setsid sleep 1000$0 &) ; sleep 1000$0' $0 & cat; :",
    ]

    /// `end` ends it all; then nobody of the family may be left.
    private func expectNobodyLeft(
        _ script: Script, end: (ServerProcess, RawPeer, pid_t) throws -> Void
    ) throws {
        try withServer(exec: script) { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            try peer.send(.request(1, "a"))
            _ = try peer.take(.response)
            try #require(eventually { script.family.count >= 2 }, "\(script.family)")
            try end(server, peer, child)
            #expect(eventually { script.family.isEmpty }, "\(script.family) are left")
        }
    }

    @Test("Who was started by a program does not survive its connection, wherever it hides", arguments: families)
    func families(_ text: String) throws {
        try expectNobodyLeft(Script(text)) { _, peer, _ in
            try peer.send(.close())
            try peer.takeClose()
        }
    }

    @Test("kill -9 of the child leaves no program, and nobody that it started", arguments: families)
    func childKilled(_ text: String) throws {
        try expectNobodyLeft(Script(text)) { server, peer, child in
            kill(child, SIGKILL)
            _ = try? peer.takeFrame()
            try server.log.line(with: "child died", "pid=\(child)")
        }
    }

    @Test("kill -9 of the parent leaves its children and their programs serving, and nothing when they are done")
    func parentKilled() throws {
        try expectNobodyLeft(Script(Self.families[2])) { server, peer, _ in
            server.process.kill(SIGKILL)
            #expect(try server.process.wait() == .signal(SIGKILL))
            try peer.send(.request(2, "b"))
            #expect(try peer.take(.response).text == "b")
            try peer.send(.close())
            try peer.takeClose()
        }
    }

    @Test("kill -9 of the parent and then of the child leaves no program either")
    func bothKilled() throws {
        let script = Script("exec sleep 1000$0")
        try withServer(exec: script) { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            try #require(eventually { script.family.count == 1 })
            server.process.kill(SIGKILL)
            #expect(try server.process.wait() == .signal(SIGKILL))
            kill(child, SIGKILL)
            #expect(eventually { script.family.isEmpty })
            peer.close()
        }
    }

    @Test("A server that ends takes all programs with it, also those that will not go", arguments: [1, 2])
    func drained(_ signals: Int) throws {
        let script = Script("trap '' TERM; setsid sleep 1000$0 & while :; do sleep 1000$0; done")
        try withServer("--exec-grace", signals == 1 ? "200ms" : "60", exec: script) { server in
            let peer = try server.open()
            try #require(eventually { script.family.count >= 3 })
            server.process.kill(SIGTERM)
            try peer.takeClose()
            if signals == 2 {
                try server.log.line(with: "draining")
                server.process.kill(SIGTERM)
            }
            #expect(try server.process.wait() == .status(0))
            #expect(script.family.isEmpty, "nobody is left when the server is gone")
        }
    }

    @Test("With a program for each request, nobody outlives its request", arguments: families)
    func requestOver(_ text: String) throws {
        let script = Script(text)
        try withServer("--exec-per", "request", exec: script) { server in
            let peer = try server.open()
            for id in UInt32(1)...5 {
                try peer.send(.request(id, "a"))
                let frames = try peer.frames(upTo: .response)
                #expect(frames[0].text == "a")
                _ = try peer.take(.response)
                #expect(script.family.isEmpty)
            }
        }
    }

    @Test("A hundred connections with a program each, all closed at once, leave no process")
    func hundred() throws {
        try withServer(exec: Script("while read -r line; do echo $line; done")) { server in
            let peers = try (0..<100).map { _ in try server.open() }
            for peer in peers {
                try peer.send(.request(1, "a"))
                #expect(try peer.take(.response).text == "a")
            }
            for peer in peers { peer.close() }
            try server.waitForChildren(0, within: .seconds(20))
        }
    }
}
