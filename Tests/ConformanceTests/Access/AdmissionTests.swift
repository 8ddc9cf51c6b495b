import Glibc
import Testing
import RawWire

extension Live.Access {
    /// Whom the server lets in.
    @Suite("Admission") struct Admission {}
}

extension RawFrame {
    /// HELLO with the TOKEN `token`.
    fileprivate static func hello(token: String, _ flags: UInt16 = 0) -> RawFrame {
        .hello(flags: flags, options: option(1, Array(token.utf8)))
    }
}

/// Calls `body` with the path of a file with `contents`, in a directory of its own.
private func withFile(_ contents: String, mode: mode_t = 0o600, _ body: (String) throws -> Void) throws {
    var template = Array("/tmp/lifeline-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw systemError("mkdtemp") }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let path = "\(directory)/file"
    defer {
        unlink(path)
        rmdir(directory)
    }
    chmod(directory, 0o755)
    try write(contents, to: path, mode: mode)
    try body(path)
}

/// Puts a file in the place of what is at `path`, at one stroke.
private func write(_ contents: String, to path: String, mode: mode_t = 0o600) throws {
    let descriptor = open("\(path).new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw systemError("open") }
    defer { close(descriptor) }
    let bytes = Array(contents.utf8)
    guard fchmod(descriptor, mode) == 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count,
        rename("\(path).new", path) == 0
    else { throw systemError("write") }
}

/// What a client with this HELLO gets in place of WELCOME.
private func refusal(_ server: ServerProcess, _ hello: RawFrame) throws -> Notice {
    let peer = try server.connect()
    try peer.send(RawFrame.preface + hello.bytes + RawFrame.request(1).bytes)
    try peer.takePreface()
    let notice = try peer.take(.close).notice
    try peer.takeEnd()
    return try #require(notice)
}

// MARK: Tokens

extension Live.Access.Admission {
    @Test("4.12-8, 11-2 With --token-file a TOKEN of it is let in, under its name; another is not, and none is logged")
    func tokens() throws {
        try withFile("# till 7\nopen-sesame alice\nnameless\n") { path in
            try withServer("--token-file", path, "--log-level", "debug") { server in
                let peer = try server.open(.hello(token: "open-sesame"))
                try peer.send(.request(1), .close())
                #expect(try peer.frames(upTo: .close).map(\.type) == [.response, .close])
                try server.log.line(with: "closed", "token=alice", "reason=NORMAL")
                _ = try server.open(.hello(token: "nameless"))
                for (hello, part) in [
                    (RawFrame.hello(), "HELLO has none"), (.short, "HELLO has none"),
                    (.hello(token: "open-sesame!"), "not accepted"), (.hello(token: "", 1), "not accepted"),
                ] {
                    let notice = try refusal(server, hello)
                    #expect(
                        notice.code == .unauthorized && notice.lastID == 0
                            && String(decoding: notice.text, as: UTF8.self).contains(part))
                }
                try server.log.line(with: " warning closed ", "reason=UNAUTHORIZED", "by=server", "not accepted")
                #expect(!server.log.textSoFar.contains("sesame"))
            }
        }
    }

    @Test("A change of the token file counts from the next connection on, and ends no connection")
    func changed() throws {
        try withFile("old alice\n") { path in
            try withServer("--token-file", path) { server in
                let peer = try server.open(.hello(token: "old"))
                try write("new bob\n", to: path)
                #expect(try refusal(server, .hello(token: "old")).code == .unauthorized)
                _ = try server.open(.hello(token: "new"))
                try peer.send(.request(1))
                _ = try peer.take(.response)
                try server.log.line(with: " info token file read ", "tokens=1")
            }
        }
    }

    @Test("A token file that is broken or gone is told once, and the tokens stay as they were")
    func broken() throws {
        try withFile("first alice\n") { path in
            try withServer("--token-file", path) { server in
                let troubles: [(String, () throws -> Void)] = [
                    ("line 2: 3 words", { try write("x\na b c\n", to: path) }),
                    ("no token", { try write("", to: path) }),
                    ("No such file", { unlink(path) }),
                    ("not a regular file", { guard mkfifo(path, 0o600) == 0 else { throw systemError("mkfifo") } }),
                ]
                for (part, make) in troubles {
                    try make()
                    for _ in 0..<3 { _ = try server.open(.hello(token: "first")) }
                    try server.log.line(with: " error token file not read ", part)
                }
                #expect(server.log.linesSoFar.filter { $0.contains(" token file not read ") }.count == troubles.count)
                try write("second\n", to: path)
                _ = try server.open(.hello(token: "second"))
                #expect(try refusal(server, .hello(token: "first")).code == .unauthorized)
            }
        }
    }

    @Test("A token file that others can read is a warning", arguments: [(0o600, 0), (0o640, 1), (0o604, 1)])
    func permissions(_ mode: mode_t, _ expected: Int) throws {
        try withFile("token\n", mode: mode) { path in
            try withServer("--token-file", path) { server in
                _ = try server.open(.hello(token: "token"))
                let lines = server.log.linesSoFar.filter { $0.contains(" warning token file open to others ") }
                #expect(lines.count == expected && lines.allSatisfy { $0.contains("path=\(path)") })
            }
        }
    }

    @Test(
        "A token file that cannot be used ends the start: 66 where it is not there, 78 with its line where it is wrong")
    func unusable() throws {
        try withFile("a\nb\na\n") { path in
            for (path, status, part) in [
                ("\(path).not", Int32(66), "No such file"), (path, 78, "line 3: the same token as in line 1"),
                ("/tmp", 78, "a directory"),
            ] {
                let server = try Spawned("server", ["--port", "0", "--token-file", path])
                #expect(try server.wait() == .status(status))
                let text = server.errors.textSoFar
                #expect(text.hasPrefix("server: the token file \(path): ") && text.contains(part), "\(text)")
                #expect(server.output.textSoFar.isEmpty)
            }
        }
    }

    @Test("A token file without permission ends the start with 77", .enabled(if: Spawned.mayDropPrivileges))
    func closedFile() throws {
        try withFile("a\n", mode: 0) { path in
            let server = try Spawned(
                "server", ["--port", "0", "--token-file", path], prefix: Spawned.unprivileged)
            #expect(try server.wait() == .status(77))
        }
    }
}

// MARK: Addresses

extension Live.Access.Admission {
    private func expectRefused(_ peer: RawPeer) throws {
        try peer.send(RawFrame.preface + RawFrame.hello().bytes)
        try peer.takePreface()
        let notice = try #require(peer.take(.close).notice)
        #expect(notice.code == .unauthorized && notice.lastID == 0 && notice.retryAfter == 0 && !notice.text.isEmpty)
        try peer.takeEnd()
    }

    @Test(
        "An address that is denied, or not allowed, gets CLOSE(UNAUTHORIZED) and no process; a flood of them few lines",
        arguments: [
            (["--deny", "127.0.0.0/8"], "127.0.0.0/8 is denied"),
            (["--allow", "127.0.0.1", "--deny", "192.0.2.0/24", "--deny", "127.0.0.1"], "127.0.0.1 is denied"),
            (["--allow", "192.0.2.0/24", "--allow", "::1"], "no range that is allowed"),
        ])
    func addresses(_ flags: [String], _ reason: String) throws {
        try withServer(flags) { server in
            for _ in 0..<20 { try expectRefused(server.connect()) }
            try server.log.line(with: " warning refused ", "reason=UNAUTHORIZED", "peer=127.0.0.1:", reason)
            #expect(server.log.linesSoFar.filter { $0.contains(" refused ") }.count < 20)
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            try server.log.line(with: "stopped connections=0")
        }
    }

    @Test("An address that is allowed is served")
    func allowed() throws {
        try withServer(["--allow", "192.0.2.0/24", "--allow", "127.0.0.0/8", "--deny", "127.0.0.2"]) { server in
            _ = try server.open()
        }
    }

    @Test("On :: a client of IPv4 is judged as one", .enabled(if: hasIPv6))
    func both() throws {
        try withServer(["--host", "::", "--allow", "::/0"]) { server in
            try expectRefused(.connect(to: .v4("127.0.0.1", server.port)))
            let peer = try RawPeer.connect(to: .v6("::1", server.port))
            try peer.send(RawFrame.preface + RawFrame.hello().bytes)
            try peer.takePreface()
            _ = try peer.take(.welcome)
        }
    }

    @Test("A client of a Unix socket is not judged by addresses")
    func unixSocket() throws {
        try withFile("") { path in
            unlink(path)
            try withServer(["--host", "unix:\(path)", "--allow", "192.0.2.0/24", "--deny", "::/0"]) { server in
                _ = try server.open()
            }
        }
    }
}

// MARK: Privileges

private let isRoot = geteuid() == 0

extension Live.Access.Admission {
    /// A line of /proc/PID/status, its values alone.
    private func status(_ pid: pid_t, _ key: String) throws -> [Substring] {
        let text = try #require(ProcessFiles.text("/proc/\(pid)/status"))
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(key):") })
        return line.split { $0 == " " || $0 == "\t" }.dropFirst().map { $0 }
    }

    @Test(
        "With --user nothing of root is left, neither in the parent nor in a child", .enabled(if: isRoot),
        arguments: [
            (["--user", "54321", "--group", "54322"], "54321", "54322"), (["--user", "nobody"], "65534", "65534"),
        ])
    func user(_ flags: [String], _ user: String, _ group: String) throws {
        guard flags[1] != "nobody" || ProcessFiles.text("/etc/passwd")?.contains("\nnobody:x:65534:65534:") == true
        else {
            return
        }
        try withServer(flags) { server in
            try server.log.line(with: "listening", "user=\(user)", "group=\(group)")
            let peer = try server.open()
            for pid in [server.pid, try server.onlyChild()] {
                #expect(try status(pid, "Uid") == Array(repeating: Substring(user), count: 4))
                #expect(try status(pid, "Gid") == Array(repeating: Substring(group), count: 4))
                #expect(try status(pid, "Groups") == [Substring(group)])
                #expect(try status(pid, "CapEff") == ["0000000000000000"])
                #expect(try status(pid, "CapPrm") == ["0000000000000000"])
            }
            try peer.send(.request(1))
            _ = try peer.take(.response)
        }
    }

    @Test("No program that a server or its child starts gets new privileges, with --user and without")
    func newPrivileges() throws {
        try withServer { server in
            let peer = try server.open()
            for pid in [server.pid, try server.onlyChild()] { #expect(try status(pid, "NoNewPrivs") == ["1"]) }
            peer.close()
        }
    }

    @Test(
        "An unknown user or group ends the start with 67", arguments: [["no-such-user"], ["1", "--group", "no-such"]])
    func unknownUser(_ user: [String]) throws {
        let server = try Spawned("server", ["--port", "0", "--user"] + user)
        #expect(try server.wait() == .status(67))
        #expect(server.errors.textSoFar.contains("'no-such"))
    }

    @Test("Without root, --user ends the start with 77 and leaves no socket", .enabled(if: Spawned.mayDropPrivileges))
    func notRoot() throws {
        try withFile("") { path in
            unlink(path)
            let directory = String(path.prefix(upTo: try #require(path.lastIndex(of: "/"))))
            chmod(directory, 0o777)
            let server = try Spawned(
                "server", ["--host", "unix:\(path)", "--user", "1", "--group", "1"], prefix: Spawned.unprivileged)
            #expect(try server.wait() == .status(77))
            #expect(server.errors.textSoFar.contains("cannot become user 1"))
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test("A token file must be readable to the user; its group may read it without a warning", .enabled(if: isRoot))
    func tokenFileOfUser() throws {
        try withFile("token alice\n", mode: 0o640) { path in
            let flags = ["--user", "54321", "--group", "54322", "--token-file", path]
            let server = try Spawned("server", ["--port", "0"] + flags)
            #expect(try server.wait() == .status(77))
            #expect(server.errors.textSoFar.contains(path))
            chown(path, 0, 54322)
            try withServer(flags) { server in
                _ = try server.open(.hello(token: "token"))
                try write("other\n", to: path, mode: 0o604)
                _ = try server.open(.hello(token: "other"))
                #expect(server.log.linesSoFar.filter { $0.contains("open to others") }.count == 1)
            }
        }
    }

    @Test("The file of a Unix socket that --user may not remove is replaced by the next start", .enabled(if: isRoot))
    func socketOfUser() throws {
        try withFile("") { path in
            unlink(path)
            for _ in 0..<2 {
                let server = try Spawned(
                    "server", ["--host", "unix:\(path)", "--user", "54321", "--group", "54322"])
                _ = try server.output.line()
                server.kill(SIGTERM)
                #expect(try server.wait() == .status(0))
                #expect(access(path, F_OK) == 0)
            }
        }
    }
}

// MARK: Limits

extension Live.Access.Admission {
    /// The soft limits of a process: bytes of address space, seconds of processor time, and descriptors.
    private func limits(_ pid: pid_t) throws -> [String] {
        let text = try #require(ProcessFiles.text("/proc/\(pid)/limits"))
        return ["Max address space", "Max cpu time", "Max open files"].map { name in
            let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
            return String(line?.dropFirst(name.count).split(separator: " ").first ?? "")
        }
    }

    @Test(
        "Limits bind every child, and not the parent; a part of a second of processor time is a whole one",
        .boundsMemory)
    func limited() throws {
        try withServer("--max-memory", "64m", "--max-cpu", "2500ms", "--max-files", "20") { server in
            let peer = try server.open()
            let child = try limits(server.onlyChild())
            #expect(child == ["67108864", "3", "20"])
            let parent = try limits(server.pid)
            let own = try limits(getpid())
            #expect(parent == own)
            try peer.send(.request(1))
            _ = try peer.take(.response)
        }
    }

    @Test("A limit that is lower already is left as it is")
    func lower() throws {
        let prefix = ["/usr/bin/prlimit", "--nofile=64:64"]
        try withServer("--max-files", "1000", prefix: prefix) { server in
            let peer = try server.open()
            let child = try limits(server.onlyChild())
            #expect(child[2] == "64")
            peer.close()
        }
    }

    @Test("A connection that has used up --max-cpu ends alone, and the log says why")
    func processorTime() throws {
        try withServer("--max-cpu", "1", "--timeout", "60") { server in
            let other = try server.open()
            let before = server.children
            let peer = try server.open()
            let child = try #require(server.children.first { !before.contains($0) })
            let many = Array(repeating: RawFrame.message([0]).bytes, count: 5000).flatMap { $0 }
            let deadline = SuspendingClock.now + .seconds(40)
            do { while SuspendingClock.now < deadline { try peer.send(many) } } catch {}
            let line = try server.log.line(with: "child died", "pid=\(child)", "limit=max-cpu")
            #expect(line.contains("signal=SIGXCPU"))
            try other.send(.request(1))
            // A busy machine takes longer for a second of processor time than the server waits before it asks.
            _ = try other.frames(upTo: .response)
        }
    }

    @Test("A connection that asks for more than --max-memory ends alone", .boundsMemory)
    func memory() throws {
        let flags = ["--max-memory", "48m", "--max-message", "100m", "--max-queued", "100m", "--timeout", "60"]
        try withServer(flags) { server in
            let other = try server.open()
            let peer = try server.open()
            let chunk = RawFrame.request(1, [UInt8](repeating: 0, count: 16384), more: true).bytes
            do { for _ in 0..<6000 { try peer.send(chunk) } } catch {}
            try server.log.line(with: "child died", "connection=2")
            try other.send(.request(1))
            _ = try other.take(.response)
        }
    }
}
