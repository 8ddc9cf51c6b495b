import Glibc
import Testing
import RawWire

extension Live.Administration.Control {
    // MARK: Who may ask

    @Test("The socket is its owner's alone: another user may not connect", .enabled(if: Spawned.mayDropPrivileges))
    func otherUser() throws {
        try withOperator { server, user throws in
            var status = stat()
            #expect(stat(user.control, &status) == 0 && status.st_mode & 0o777 == 0o600)
            let other = Operator(control: user.control, prefix: Spawned.unprivileged)
            #expect(try other.ctl("drain", status: 77).contains("only the server's owner and root"))
            #expect(
                try other.status("--control", user.control, status: 77).contains("only the server's owner and root"))
            // The mode is one door; who gets through it is asked for his name.
            chmod(user.control, 0o777)
            #expect(try other.ctl("drain", status: 77).contains("only the server's owner and root may ask"))
            #expect(try user.json("status").first?["state"] as? String == "serving")
        }
    }

    @Test("Root may ask a server of another user, and that user too", .enabled(if: Spawned.mayDropPrivileges))
    func rootAsks() throws {
        try withControl(mode: 0o777) { control in
            try withServer(["--control", control], prefix: Spawned.unprivileged) { server throws in
                for prefix in [[], Spawned.unprivileged] {
                    #expect(try Operator(control: control, prefix: prefix).status().contains("pid \(server.pid)"))
                }
            }
        }
    }

    @Test("With --user the socket is that user's", .enabled(if: Spawned.mayDropPrivileges && geteuid() == 0))
    func ofUser() throws {
        try withControl { control in
            try withServer("--control", control, "--user", "54321", "--group", "54321") { server throws in
                var status = stat()
                #expect(stat(control, &status) == 0 && status.st_uid == 54321)
                for prefix in [[], Spawned.unprivileged] {
                    #expect(try Operator(control: control, prefix: prefix).status().contains("pid \(server.pid)"))
                }
            }
        }
    }

    // MARK: The socket's file

    @Test("A socket on which a server answers is refused with 69; one of a server that was killed is replaced")
    func inUse() throws {
        try withOperator { server, user in
            let second = try Spawned("server", ["--port", "0", "--control", user.control])
            #expect(try second.wait() == .status(69))
            #expect(second.errors.textSoFar.contains("unix:\(user.control)"))
            #expect(try user.status().contains("pid \(server.pid)"), "the first is still there")
        }
        try withControl { control in
            let killed = try ServerProcess(["--control", control])
            killed.process.kill(SIGKILL)
            try killed.process.wait()
            #expect(access(control, F_OK) == 0)
            #expect(try Operator(control: control).status(status: 3).contains("no server answers"))
            try withServer("--control", control) { server throws in
                #expect(try Operator(control: control).status().contains("pid \(server.pid)"))
            }
        }
    }

    @Test("What is no socket is left as it is; what cannot be one is said", arguments: ["file", "missing/control", ""])
    func noSocket(_ name: String) throws {
        try withControl { control in
            let path = name == "file" ? control : name.isEmpty ? "" : "\(control)/\(name)"
            if name == "file" { Glibc.close(open(control, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)) }
            let server = try Spawned("server", ["--port", "0", "--control", path])
            let exit = try server.wait()
            #expect(exit == .status(name == "file" ? 69 : name.isEmpty ? 64 : 71))
            #expect(name != "file" || access(control, F_OK) == 0)
        }
    }

    @Test(
        "Where metrics cannot be served, nothing is left behind", arguments: ["127.0.0.1", "example.org:1", "::1:9100"])
    func wrongMetrics(_ address: String) throws {
        try withControl { control in
            let server = try Spawned(
                "server", ["--host", "unix:\(control)", "--control", "\(control).2", "--metrics", address])
            #expect(try server.wait() == .status(64))
            #expect(server.errors.textSoFar.contains("--metrics '\(address)' is not an address and a port"))
            #expect(access(control, F_OK) != 0 && access("\(control).2", F_OK) != 0)
        }
    }

    // MARK: Those who ask and do not behave

    @Test("Who connects and asks nothing is closed, and keeps nobody from asking, nor from the server")
    func idlers() throws {
        try withOperator { server, user in
            let idlers = try (0..<40).map { _ in try RawPeer.connect(to: .unix(user.control)) }
            #expect(try user.status().contains("serving"))
            _ = try server.open()
            // At most 16 are kept, and those for five seconds.
            try readAll(idlers, within: .seconds(15))
            #expect(idlers.allSatisfy { $0.unread.isEmpty })
        }
    }

    @Test("A request that is none is answered, and closed", arguments: ["quark\n", "lifeline 2 status\n", "\n"])
    func nonsense(_ request: String) throws {
        try withOperator { _, user in
            let peer = try RawPeer.connect(to: .unix(user.control))
            try peer.send(Array(request.utf8))
            try readAll([peer], within: .seconds(10))
            let answer = String(decoding: peer.unread, as: UTF8.self)
            #expect(answer.hasPrefix("{\"lifeline\":1,\"ok\":false,\"error\":\"bad_") && answer.hasSuffix("\"}\n"))
        }
    }

    @Test("A connection's process has no descriptor of the control socket, of metrics, or of who asks there")
    func inherited() throws {
        try withOperator("--metrics", "127.0.0.1:0") { server, user in
            let askers = [
                try RawPeer.connect(to: .unix(user.control)), try RawPeer.connect(to: Scraper(server).address),
            ]
            let taken = eventually {
                ProcessFiles.descriptors(of: server.pid).filter { $0.value.hasPrefix("socket:") }.count == 5
            }
            #expect(taken, "three listeners and two who ask")
            let peer = try server.open()
            let child = try server.onlyChild()
            #expect(ProcessFiles.descriptors(of: child).filter { $0.value.hasPrefix("socket:") }.count == 1)
            for asker in askers { asker.close() }
            peer.close()
        }
    }

    // MARK: status --pidfile

    @Test("'server status --pidfile' asks the lock, whatever stands in the file")
    func pidfile() throws {
        try withControl { path throws in
            let user = Operator(control: path)
            #expect(try user.status("--pidfile", path, status: 3).contains("not running"))
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
            defer { Glibc.close(file) }
            let text = Array("\(getpid())\n".utf8)
            #expect(write(file, text, text.count) == text.count)
            #expect(try user.status("--pidfile", path, status: 3).contains("nobody holds the lock"))
            var lock = flock()
            lock.l_type = Int16(F_WRLCK)
            #expect(fcntl(file, F_SETLK, &lock) == 0)
            #expect(try user.status("--pidfile", path) == "running, pid \(getpid())\n")
        }
    }
}
