import Glibc
import RawWire
import Testing

extension Live.Logging {
    /// Where the log goes, what is summed up, and what a log that takes nothing costs.
    @Suite("Where the log goes") struct LogDestinations {}
}

// MARK: Files

extension Live.Logging.LogDestinations {
    @Test("--log FILE appends, for its owner to write and its group to read")
    func file() throws {
        let directory = try TemporaryDirectory()
        try directory.write("old", "before\n")
        try withServer("--log", directory.file("old")) { _ in }
        let lines = (directory.text("old") ?? "").split(separator: "\n")
        #expect(lines.first == "before" && lines.last?.contains(" stopped ") == true)
        try withServer("--log", directory.file("new"), prefix: shell("umask 0; exec \"$@\"")) { server in
            #expect(server.log.textSoFar.isEmpty)
            var status = stat()
            #expect(stat(directory.file("new"), &status) == 0 && status.st_mode & 0o777 == 0o640)
        }
    }

    @Test("After SIGUSR1 to the parent its log and those of its children go to the new file, and none to the old one")
    func rotation() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("log")
        try withServer("--log", path, "--log-level", "debug") { server in
            let peers = try (0..<3).map { _ in try server.open() }
            for number in 1...3 { try directory.line(of: "log", with: "opened", "connection=\(number)") }
            let idle = server.children
            try #require(rename(path, directory.file("log.1")) == 0)
            server.process.kill(SIGUSR1)
            // Those that say nothing let go of the old file too: its space is given back when it is removed.
            #expect(
                eventually {
                    ([server.pid] + idle).allSatisfy { pid in
                        let files = ProcessFiles.descriptors(of: pid).values
                        return files.contains(path) && !files.contains(directory.file("log.1"))
                    }
                })
            let before = directory.text("log.1")
            for peer in peers {
                try peer.send(.close())
                try peer.takeClose()
                peer.close()
            }
            for number in 1...3 { try directory.line(of: "log", with: "closed", "connection=\(number)") }
            try expectAnswer(from: server.address)
            try directory.line(of: "log", with: "closed", "connection=4")
            #expect(directory.text("log.1") == before)
        }
        try directory.line(of: "log", with: "stopped")
    }

    @Test("A file that cannot be opened anew leaves the old one, which says so")
    func rotationFails() throws {
        let directory = try TemporaryDirectory()
        try withServer("--log", directory.file("log")) { server in
            try #require(rename(directory.file("log"), directory.file("log.1")) == 0)
            try #require(mkdir(directory.file("log"), 0o700) == 0)
            server.process.kill(SIGUSR1)
            try directory.line(of: "log.1", with: "log not reopened", "pid=\(server.pid)", "directory")
            rmdir(directory.file("log"))
            server.process.kill(SIGUSR1)
            #expect(eventually { directory.names.contains("log") })
        }
        try directory.line(of: "log", with: "stopped")
    }

    @Test("SIGUSR1 ends neither a server that logs to standard error nor its children")
    func signalOnly() throws {
        try withServer { server in
            let peer = try server.open()
            let child = try server.onlyChild()
            server.process.kill(SIGUSR1)
            kill(child, SIGUSR1)
            try expectAnswer(from: server.address)
            try peer.send(.request(1))
            #expect(try peer.take(.response).id == 1)
            peer.close()
        }
    }
}

// MARK: Syslog

extension Live.Logging.LogDestinations {
    @Test(
        "--log syslog sends each line with priority, time, name and process, and finds a syslogd that was restarted",
        arguments: ["text", "json"])
    func syslog(_ format: String) throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("socket")
        var syslogd: DatagramReceiver? = try DatagramReceiver(at: path)
        try withServer("--log", "syslog:\(path)", "--log-format", format) { server in
            let line = try #require(syslogd?.next())
            #expect(line.hasPrefix("<30>") && line.contains(" server[\(server.pid)]: ") && !line.hasSuffix("\n"))
            #expect(
                line.hasSuffix(
                    format == "text"
                        ? ": info listening address=\(server.address) pid=\(server.pid)"
                        : "\"event\":\"listening\",\"address\":\"\(server.address)\",\"pid\":\(server.pid)}"), "\(line)"
            )
            syslogd = nil
            unlink(path)
            try expectAnswer(from: server.address)
            try server.waitForChildren(0)
            syslogd = try DatagramReceiver(at: path)
            try expectAnswer(from: server.address)
            // The line of the connection that nobody heard of is counted.
            let lost = try #require(syslogd).next(with: "lines lost")
            #expect(lost.hasPrefix("<28>") && lost.contains(format == "text" ? "count=1" : "\"count\":1"))
            _ = try #require(syslogd).next(with: "closed")
            // The parent finds it too.
            server.process.kill(SIGTERM)
            _ = try #require(syslogd).next(with: "stopped")
            #expect(try server.process.wait() == .status(0))
        }
    }

    @Test("A syslogd that takes nothing costs lines, not connections")
    func fullSyslog() throws {
        let directory = try TemporaryDirectory()
        let syslogd = try DatagramReceiver(at: directory.file("socket"))
        try withServer("--log", "syslog:\(directory.file("socket"))", "--log-level", "debug") { server in
            for _ in 0..<300 { try expectAnswer(from: server.address) }
            try server.waitForChildren(0)
            while syslogd.next(within: .zero) != nil {}
            _ = try syslogd.next(with: "lines lost", within: .seconds(15))
        }
    }
}

// MARK: Floods

extension Live.Logging.LogDestinations {
    /// Drops `count` connections with the same reason.
    private func flood(_ server: ServerProcess, _ count: Int) throws {
        let peers = try (0..<count).map { _ in try server.connect() }
        for peer in peers { try peer.send([0]) }
        for peer in peers {
            try peer.takePreface(within: .seconds(20))
            #expect(try peer.take(.close, within: .seconds(20)).notice?.code == .badPreface)
            peer.close()
        }
        try server.waitForChildren(0, within: .seconds(20))
    }

    private func lines(_ server: ServerProcess, _ event: String) -> [String] {
        server.log.linesSoFar.filter { $0.contains(" \(event) ") }
    }

    private func counts(_ lines: [String]) -> Int {
        lines.compactMap { line in
            line.split(separator: " ").first { $0.hasPrefix("count=") }.flatMap { Int($0.dropFirst(6)) }
        }.reduce(0, +)
    }

    @Test("A flood of one reason over many children is summed up, and each line that was kept back is in a sum")
    func floods() throws {
        try withServer { server in
            try flood(server, 300)
            let other = try server.open()
            try other.send(.unknown(0x77, flags: 0))
            try other.takeClose()
            // Another reason is not kept back.
            try server.log.line(with: "closed", "reason=PROTOCOL_ERROR")
            try server.log.line(
                with: " warning suppressed of=closed reason=BAD_PREFACE count=", "text=\"suppressed ", " in 5 s\"",
                within: .seconds(20))
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            let told = lines(server, "closed").count { $0.contains("reason=BAD_PREFACE") }
            #expect(told >= 20 && told < 300)
            #expect(told + counts(lines(server, "suppressed")) == 300)
        }
    }

    @Test("What was kept back is told at the end too")
    func floodAtTheEnd() throws {
        try withServer("--log-flood", "1") { server in
            try flood(server, 10)
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            let told = lines(server, "closed").count
            #expect(told + counts(lines(server, "suppressed")) == 10 && told < 10)
        }
    }

    @Test("Clients that are refused at a limit are one line and a sum, or a line each with --log-flood 0")
    func refusals() throws {
        for (flood, most) in [("20", 1), ("0", 10)] {
            try withServer("--max-connections", "1", "--log-flood", flood) { server in
                let peer = try server.open()
                for _ in 0..<10 {
                    let refused = try server.connect()
                    try refused.takePreface()
                    #expect(try refused.takeClose().code == .busy)
                    refused.close()
                }
                peer.close()
                server.process.kill(SIGTERM)
                #expect(try server.process.wait() == .status(0))
                #expect(lines(server, "refused").count == most)
                #expect(counts(lines(server, "suppressed")) == 10 - most)
            }
        }
    }

    @Test("--log-flood 0 keeps nothing back, and what ends as it should never is")
    func noFloods() throws {
        try withServer("--log-flood", "0") { server in
            try flood(server, 100)
            #expect(lines(server, "closed").count == 100)
        }
        try withServer { server in
            for _ in 0..<100 { try expectAnswer(from: server.address) }
            try server.waitForChildren(0)
            #expect(lines(server, "closed").count == 100 && lines(server, "suppressed").isEmpty)
        }
    }

    @Test("Codes that a client makes up are one reason")
    func madeUpCodes() throws {
        try withServer("--log-flood", "2") { server in
            for code in UInt16(1000)..<1010 {
                let peer = try server.open()
                try peer.send(.close(RawCode(number: code), ""))
                try peer.takeClose()
                peer.close()
            }
            try server.waitForChildren(0)
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
            #expect(server.log.linesSoFar.contains { $0.contains("reason=\"unknown code\"") })
            #expect(lines(server, "closed").count + counts(lines(server, "suppressed")) == 10)
        }
    }
}

// MARK: A log that takes nothing

extension Live.Logging.LogDestinations {
    @Test("A full disk costs lines, not connections; when there is room again, a line says how many")
    func fullDisk() throws {
        let directory = try TemporaryDirectory()
        try #require(symlink("/dev/full", directory.file("log")) == 0)
        try withServer("--log", directory.file("log")) { server in
            for _ in 0..<5 { try expectAnswer(from: server.address) }
            try server.waitForChildren(0)
            // The disk is cleared.
            unlink(directory.file("log"))
            server.process.kill(SIGUSR1)
            // "listening" and five connections, told of by the parent, with nothing else to write.
            try directory.line(of: "log", with: " warning lines lost count=6 ", within: .seconds(15))
            try expectAnswer(from: server.address)
            try directory.line(of: "log", with: "closed", "connection=6")
            server.process.kill(SIGTERM)
            #expect(try server.process.wait() == .status(0))
        }
    }

    /// A prefix that gives the command a disk of 64 KiB of its own at `path`; nobody else sees it.
    private static func smallDisk(at path: String) -> [String] {
        ["/usr/bin/unshare", "--mount"] + shell("mount -t tmpfs -o size=64k none '\(path)' && exec \"$@\"")
    }

    private static let hasSmallDisk: Bool = {
        guard let directory = try? TemporaryDirectory() else { return false }
        let server = try? Spawned("server", ["--version"], prefix: smallDisk(at: directory.path))
        return (try? server?.wait()) == .status(0)
    }()

    @Test(
        "On a disk that fills up and is cleared the lines before and after are whole, and all others are counted",
        .enabled(if: hasSmallDisk))
    func smallDisk() throws {
        let directory = try TemporaryDirectory()
        try withServer(
            "--log", directory.file("log"), prefix: Self.smallDisk(at: directory.path)
        ) { server in
            let inside = "/proc/\(server.pid)/root\(directory.path)"
            func log() -> [Substring] { (ProcessFiles.text("\(inside)/log") ?? "").split(separator: "\n") }
            // Filled from outside but for a page, which the log fills to its last byte.
            let filler = open("\(inside)/filler", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
            try #require(filler >= 0)
            defer { close(filler) }
            let page = [UInt8](repeating: 0, count: 4096)
            while write(filler, page, page.count) == page.count {}
            for _ in 0..<60 { try expectAnswer(from: server.address) }
            try server.waitForChildren(0)
            try #require(ftruncate(filler, 0) == 0)
            #expect(eventually(within: .seconds(15)) { log().contains { $0.contains(" lines lost count=") } })
            try expectAnswer(from: server.address)
            #expect(eventually { log().contains { $0.contains(" connection=61 ") } })
            let lines = log()
            let lost = lines.compactMap { line in
                line.contains(" lines lost ")
                    ? line.split(separator: " ").first { $0.hasPrefix("count=") }.flatMap { Int($0.dropFirst(6)) } : nil
            }.reduce(0, +)
            let whole = lines.count { $0.contains(" closed ") && $0.contains(" bytes_out=") }
            // The last one before the disk was full may have been cut off behind bytes_out.
            #expect(lost > 20 && (61...62).contains(whole + lost), "\(whole) whole, \(lost) lost")
            #expect(lines.allSatisfy { $0.hasPrefix("20") && !($0.contains(" lost ") && $0.contains(" closed ")) })
        }
    }

    @Test("A line that a full disk cut off does not swallow the next one", .enabled(if: geteuid() == 0))
    func tornLine() throws {
        let directory = try TemporaryDirectory()
        // A limit on the size of files cuts a line off as a full disk does.
        let filling = String(repeating: "x", count: 1023) + "\n"
        try directory.write("log", filling)
        try withServer(
            "--log", directory.file("log"), prefix: shell("trap '' XFSZ; exec \"$@\"")
        ) { server in
            try directory.line(of: "log", with: "listening")
            let size = directory.text("log")?.utf8.count ?? 0
            try Spawned.limit(server.pid, "--fsize=\(size + 50):")
            try expectAnswer(from: server.address)
            try server.waitForChildren(0)
            try expectAnswer(from: server.address)
            try server.waitForChildren(0)
            try Spawned.limit(server.pid, "--fsize=1000000:")
            let line = try directory.line(of: "log", with: " warning lines lost count=", within: .seconds(15))
            #expect(!line.contains(" closed "), "the line stands alone: \(line)")
            #expect(directory.text("log")?.contains("connection=1 ") == true, "the line before it was cut off")
        }
    }

    @Test("Many processes on a pipe that nobody reads lose lines, and none of them waits for room")
    func unreadPipe() throws {
        let pipe = try SmallPipe()
        defer { pipe.close() }
        let server = try ServerProcess(["--log-level", "debug", "--timeout", "5"], errors: .descriptor(pipe.writeEnd))
        // poll(2) promises the same room to all who ask, and two who do so at the same instant are no event to wait for.
        // So it is looked whether the server writes through a description of its own, which does not block.
        let own = ProcessFiles.descriptors(of: server.pid).filter {
            $0.key > 2 && $0.value == ProcessFiles.descriptors(of: server.pid)[2]
        }
        let flags = own.keys.first.flatMap { ProcessFiles.text("/proc/\(server.pid)/fdinfo/\($0)") }?
            .split(separator: "\n").first { $0.hasPrefix("flags:") }?.split(separator: "\t").last.flatMap {
                Int32($0, radix: 8)
            }
        #expect(own.count == 1 && flags.map { $0 & O_NONBLOCK } == O_NONBLOCK, "\(own) \(flags ?? 0)")
        // All of them come to write at the same time, with room for the lines of a few.
        var buffer = [UInt8](repeating: 0, count: 65536)
        for _ in 0..<5 {
            while waitUntilReady(pipe.readEnd, POLLIN, until: .now) { _ = read(pipe.readEnd, &buffer, buffer.count) }
            let peers = try (0..<50).map { _ in try server.connect() }
            for peer in peers {
                try peer.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes)
            }
            for peer in peers {
                try peer.takePreface(within: .seconds(20))
                _ = try peer.take(.welcome, within: .seconds(20))
                _ = try peer.take(.response, within: .seconds(20))
                try peer.takeClose(within: .seconds(20))
                peer.close()
            }
            try server.waitForChildren(0, within: .seconds(20))
        }
        // The flag is not set on what others share: the pipe of the test still blocks.
        #expect(fcntl(pipe.writeEnd, F_GETFL) & O_NONBLOCK == 0)
        server.process.kill(SIGTERM)
        #expect(try server.process.wait() == .status(0))
    }

    @Test("A reader of standard error that goes away costs lines, not connections")
    func closedPipe() throws {
        let (reading, writing) = try OpenDescriptors.pipe()
        let server = try ServerProcess(["--log-level", "debug"], errors: .descriptor(writing))
        for end in [reading, writing] { OpenDescriptors.close(end) }
        for _ in 0..<5 { try expectAnswer(from: server.address) }
        server.process.kill(SIGTERM)
        #expect(try server.process.wait() == .status(0))
    }

    @Test("Standard error may be a socket, as the journal gives: full or closed, it costs lines and not connections")
    func socketAsError() throws {
        var ends: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        for end in ends { _ = OpenDescriptors.add(end) }
        var size: Int32 = 4096
        setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, 4)
        let server = try ServerProcess(["--log-level", "debug"], errors: .descriptor(ends[1]))
        OpenDescriptors.close(ends[1])
        for _ in 0..<200 { try expectAnswer(from: server.address) }
        var buffer = [UInt8](repeating: 0, count: 65536)
        #expect(read(ends[0], &buffer, buffer.count) > 0)
        try expectAnswer(from: server.address)
        OpenDescriptors.close(ends[0])
        for _ in 0..<5 { try expectAnswer(from: server.address) }
        server.process.kill(SIGTERM)
        #expect(try server.process.wait() == .status(0))
    }
}
