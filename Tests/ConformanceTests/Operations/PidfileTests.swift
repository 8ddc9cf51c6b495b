import Glibc
import RawWire
import Testing

extension Live.Operations {
    /// `--pidfile`: the lock is the truth, the number a hint.
    @Suite("The pidfile") struct Pidfiles {}
}

extension Live.Operations.Pidfiles {
    @Test("It holds the number of the parent while that runs, and is gone afterwards")
    func number() throws {
        let directory = try TemporaryDirectory()
        try withServer("--pidfile", directory.file("pid")) { server in
            #expect(directory.text("pid") == "\(server.pid)\n")
            // A child that ends does not take it along, and has no copy of it.
            let peer = try server.open()
            let child = try server.onlyChild()
            #expect(!ProcessFiles.descriptors(of: child).values.contains(directory.file("pid")))
            try peer.send(.close())
            try peer.takeClose()
            peer.close()
            try server.waitForChildren(0)
            #expect(directory.text("pid") == "\(server.pid)\n")
        }
        #expect(directory.names.isEmpty)
    }

    @Test("A second server is refused by the number of the first, with status 69, whatever the file says by then")
    func second() throws {
        let directory = try TemporaryDirectory()
        try withServer("--pidfile", directory.file("pid")) { server in
            // Children that have come and gone have not taken the lock along.
            try expectAnswer(from: server.address)
            try server.waitForChildren(0)
            for text in ["\(server.pid)\n", "", "1\n", "scribble"] {
                try directory.write("pid", text)
                let second = try Spawned("server", ["--port", "0", "--pidfile", directory.file("pid")])
                #expect(try second.wait() == .status(69))
                let complaint = second.errors.textSoFar
                #expect(complaint.contains("already running (pid \(server.pid))"), "\(complaint)")
                #expect(complaint.contains(directory.file("pid")))
                #expect(directory.text("pid") == text, "what is refused changes nothing")
            }
            try expectAnswer(from: server.address)
        }
    }

    @Test(
        "A file that a server left behind, or an empty one, is taken over, though a process has that number",
        arguments: ["", "1\n", "\(getpid())\n", "999999999\n"])
    func stale(_ text: String) throws {
        let directory = try TemporaryDirectory()
        try directory.write("pid", text)
        try withServer("--pidfile", directory.file("pid")) { server in
            #expect(directory.text("pid") == "\(server.pid)\n")
        }
        #expect(directory.names.isEmpty)
    }

    @Test("A file with something else in it is left as it is, and so is a directory, a device and a link")
    func foreign() throws {
        let directory = try TemporaryDirectory()
        try directory.write("precious", "my only copy\n")
        let link = directory.file("link")
        try #require(symlink(directory.file("precious"), link) == 0)
        for (path, status) in [
            (directory.file("precious"), 64), (directory.path, 73), ("/dev/null", 64), (link, 73),
        ] as [(String, Int32)] {
            let server = try Spawned("server", ["--port", "0", "--pidfile", path])
            #expect(try server.wait() == .status(status), "\(path)")
            #expect(server.errors.textSoFar.contains(path) && server.output.textSoFar.isEmpty)
        }
        #expect(directory.text("precious") == "my only copy\n" && directory.names.count == 2)
    }

    @Test("A file that is no longer the server's is not removed at its end")
    func replaced() throws {
        let directory = try TemporaryDirectory()
        let server = try ServerProcess(["--pidfile", directory.file("pid")])
        unlink(directory.file("pid"))
        try directory.write("pid", "another's")
        server.process.kill(SIGTERM)
        #expect(try server.process.wait() == .status(0))
        #expect(directory.text("pid") == "another's")
    }

    @Test("After kill -9 of the parent its children go on, and do not keep the next server out")
    func killedParent() throws {
        let directory = try TemporaryDirectory()
        let first = try ServerProcess(["--pidfile", directory.file("pid")])
        let peer = try first.open()
        let child = try first.onlyChild()
        first.process.kill(SIGKILL)
        #expect(try first.process.wait() == .signal(SIGKILL))
        #expect(directory.text("pid") == "\(first.pid)\n")
        // With the same port too.
        try withServer("--pidfile", directory.file("pid"), "--port", "\(first.port)") { second in
            #expect(directory.text("pid") == "\(second.pid)\n")
            try expectAnswer(from: second.address)
            try peer.send(.request(1))
            #expect(try peer.frames(upTo: .response).last?.id == 1)
        }
        try peer.send(.close())
        _ = try peer.frames(upTo: .close)
        peer.close()
        #expect(eventually { hasGone(child) })
        #expect(directory.names.isEmpty)
    }

    @Test("A server that fails after it has locked the file leaves none behind")
    func failedLater() throws {
        let directory = try TemporaryDirectory()
        try withServer { server in
            let second = try Spawned(
                "server", ["--port", "\(server.port)", "--pidfile", directory.file("pid")])
            #expect(try second.wait() == .status(69))
        }
        #expect(directory.names.isEmpty)
    }

    @Test("Of twenty servers that are started at once, one gets the file")
    func race() throws {
        let directory = try TemporaryDirectory()
        let servers = try (0..<20).map { _ in
            try Spawned("server", ["--port", "0", "--log-level", "error", "--pidfile", directory.file("pid")])
        }
        defer { for server in servers { server.kill(SIGKILL) } }
        #expect(try eventually(within: .seconds(20)) { try servers.count { try $0.hasEnded() } == 19 })
        let left = try #require(servers.first { $0.exit == nil })
        #expect(directory.text("pid") == "\(left.pid)\n")
        #expect(servers.allSatisfy { $0.exit == nil || $0.exit == .status(69) })
        left.kill(SIGTERM)
        #expect(try left.wait() == .status(0))
        #expect(directory.names.isEmpty)
    }
}
