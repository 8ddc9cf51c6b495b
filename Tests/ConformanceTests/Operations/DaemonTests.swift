import Glibc
import RawWire
import Testing

extension Live.Operations {
    /// `--daemon`: the way to the background, and what the command that was typed makes of it.
    @Suite("The daemon") struct DaemonOfServer {}
}

extension Live.Operations.DaemonOfServer {
    private func status(_ pid: pid_t, _ field: String) -> String? {
        ProcessFiles.text("/proc/\(pid)/status")?.split(separator: "\n").first { $0.hasPrefix("\(field):") }
            .map { $0.dropFirst(field.count + 1).filter { !$0.isWhitespace } }
    }

    @Test(
        "When the command returns, the daemon serves, in a session of its own without a terminal, away from all streams"
    )
    func daemon() throws {
        try withDaemon { pid, address, directory in
            try expectAnswer(from: address)
            let stat = try #require(ProcessFiles.text("/proc/\(pid)/stat"))
            // State, parent, group, session, terminal.
            let fields = stat[stat.lastIndex(of: ")")!...].split(separator: " ").dropFirst()
            let numbers = Array(fields.dropFirst().prefix(4))
            #expect(numbers[0] != "\(getpid())", "no child of who typed the command")
            #expect(numbers[1] == numbers[2], "group and session are one: \(stat)")
            #expect(numbers[1] != "\(pid)" && numbers[1] != "\(getpgrp())", "not the head of the session, nor in ours")
            #expect(numbers[3] == "0", "no terminal")
            #expect(ProcessFiles.link("/proc/\(pid)/cwd") == "/")
            #expect(status(pid, "Umask") == "0022")
            let descriptors = ProcessFiles.descriptors(of: pid)
            for number: Int32 in 0...2 { #expect(descriptors[number] == "/dev/null") }
            #expect(!descriptors.values.contains { $0.hasPrefix("pipe:") }, "\(descriptors)")
            try directory.line(of: "log", with: "listening", "address=\(address)", "pid=\(pid)")
            try directory.line(of: "log", with: "closed", "connection=1")
        }
    }

    @Test("--chdir and --umask say where it works and what it makes; relative paths mean what they meant when typed")
    func directory() throws {
        let place = try TemporaryDirectory()
        try withDaemon("--chdir", place.path, "--umask", "077", "--host", "unix:socket") { pid, address, directory in
            #expect(ProcessFiles.link("/proc/\(pid)/cwd") == place.path)
            #expect(status(pid, "Umask") == "0077")
            #expect(address == .unix(directory.file("socket")))
            try expectAnswer(from: address)
            var status = stat()
            #expect(stat(directory.file("socket"), &status) == 0 && status.st_mode & 0o777 == 0o700)
            #expect(place.names.isEmpty)
        }
    }

    @Test("Without --daemon --chdir works as well")
    func foreground() throws {
        let place = try TemporaryDirectory()
        let start = try TemporaryDirectory()
        try withServer(
            "--chdir", place.path, "--pidfile", "pid", prefix: shell("cd '\(start.path)' && exec \"$@\"")
        ) { server in
            #expect(ProcessFiles.link("/proc/\(server.pid)/cwd") == place.path)
            #expect(start.text("pid") == "\(server.pid)\n")
        }
        #expect(start.names.isEmpty && place.names.isEmpty)
    }

    /// Starts a daemon that cannot start, and returns what the command said.
    private func refusal(_ arguments: String..., expecting status: Int32, prefix: [String] = []) throws -> String {
        let command = try Spawned("server", ["--daemon"] + arguments, prefix: prefix)
        #expect(try command.wait() == .status(status))
        // Nobody is left who could write to it.
        #expect(command.errors.waitForEnd() && command.output.textSoFar.isEmpty)
        let text = command.errors.textSoFar
        #expect(text.hasPrefix("server: ") && text.split(separator: "\n").count == 1, "\(text)")
        return text
    }

    @Test("A daemon that cannot start says so where the command was typed, which fails with the daemon's status")
    func failures() throws {
        let directory = try TemporaryDirectory()
        let log = directory.file("log")
        try withServer { server in
            let text = try refusal("--log", log, "--port", "\(server.port)", expecting: 69)
            #expect(text.contains("127.0.0.1:\(server.port)"))
        }
        #expect(try refusal("--log", "/nowhere/log", expecting: 73).contains("/nowhere/log"))
        #expect(try refusal("--log", log, "--chdir", "/nowhere", expecting: 71).contains("/nowhere"))
        #expect(try refusal("--log", log, "--pidfile", "/nowhere/pid", expecting: 73).contains("/nowhere/pid"))
        #expect(try refusal("--log", log, "--host", "example.org", expecting: 64).contains("example.org"))
        #expect(try refusal("--log", "syslog:\(directory.path)/nobody", expecting: 71).contains("nobody"))
        #expect(try refusal(expecting: 64).contains("--log"))
    }

    @Test(
        "Without permission for the log or the pidfile the command fails with status 77",
        .enabled(if: Spawned.mayDropPrivileges && geteuid() == 0))
    func permission() throws {
        let directory = try TemporaryDirectory()
        let prefix = Spawned.unprivileged
        #expect(try refusal("--log", directory.file("log"), expecting: 77, prefix: prefix).contains("Permission"))
        let text = try refusal(
            "--log", "/dev/null", "--pidfile", directory.file("pid"), "--port", "0", expecting: 77, prefix: prefix)
        #expect(text.contains(directory.file("pid")))
    }

    @Test("A daemon that cannot announce itself does not stay, and leaves no pidfile behind")
    func unannounced() throws {
        let directory = try TemporaryDirectory()
        let command = try Spawned(
            "server", ["--daemon", "--port", "0", "--log", directory.file("log"), "--pidfile", directory.file("pid")],
            output: .file("/dev/full"))
        #expect(try command.wait() == .status(74))
        #expect(command.errors.waitForEnd() && command.errors.textSoFar.contains("standard output"))
        #expect(!directory.names.contains("pid"))
    }

    @Test("Where the command is killed before the daemon listens, there is no daemon")
    func killedStarter() throws {
        let directory = try TemporaryDirectory()
        // A full pipe for standard output holds the daemon where it announces itself.
        let pipe = try SmallPipe()
        defer { pipe.close() }
        try pipe.fill()
        let command = try Spawned(
            "server", ["--daemon", "--port", "0", "--log", directory.file("log"), "--pidfile", directory.file("pid")],
            output: .descriptor(pipe.writeEnd))
        var pid: pid_t = 0
        #expect(
            eventually {
                pid = directory.text("pid").flatMap { pid_t($0.dropLast()) } ?? 0; return pid > 0
            })
        command.kill(SIGKILL)
        try command.wait()
        #expect(!hasGone(pid))
        defer { if !hasGone(pid) { kill(pid, SIGKILL) } }
        var buffer = [UInt8](repeating: 0, count: pipe.capacity)
        try #require(read(pipe.readEnd, &buffer, buffer.count) == buffer.count)
        #expect(eventually { hasGone(pid) })
        #expect(!directory.names.contains("pid"))
    }

    @Test("A daemon that dies before it listens is told of, with status 70")
    func diedEarly() throws {
        let directory = try TemporaryDirectory()
        let pipe = try SmallPipe()
        defer { pipe.close() }
        try pipe.fill()
        let command = try Spawned(
            "server", ["--daemon", "--port", "0", "--log", directory.file("log"), "--pidfile", directory.file("pid")],
            output: .descriptor(pipe.writeEnd))
        var pid: pid_t = 0
        #expect(
            eventually {
                pid = directory.text("pid").flatMap { pid_t($0.dropLast()) } ?? 0; return pid > 0
            })
        kill(pid, SIGKILL)
        #expect(try command.wait() == .status(70))
        #expect(command.errors.textSoFar.contains("ended before it listened"))
    }

    @Test("All three standard streams may be closed when the command is typed")
    func closedStreams() throws {
        let directory = try TemporaryDirectory()
        let command = try Spawned(
            "server", ["--daemon", "--port", "0", "--log", directory.file("log"), "--pidfile", directory.file("pid")],
            input: .closed, output: .closed, errors: .closed)
        #expect(try command.wait() == .status(0))
        let pid = try #require(directory.text("pid").flatMap { pid_t($0.dropLast()) })
        defer { kill(pid, SIGKILL) }
        let descriptors = ProcessFiles.descriptors(of: pid)
        for number: Int32 in 0...2 { #expect(descriptors[number] == "/dev/null", "\(descriptors)") }
        let line = try directory.line(of: "log", with: "listening")
        let word = try #require(line.split(separator: " ").first { $0.hasPrefix("address=") })
        try expectAnswer(from: try #require(Address(word.dropFirst("address=".count))))
        kill(pid, SIGTERM)
        #expect(eventually { hasGone(pid) })
    }
}
