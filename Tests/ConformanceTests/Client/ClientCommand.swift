import Glibc
import Testing
import RawWire

extension Live.Client {
    /// The command `client`: its streams and its exit status.
    @Suite("Client: the command") struct ClientCommand {
        @Test(
            "What is typed wrongly is told with status 64, on standard error alone",
            arguments: [
                ["--moed", "long"], ["--mode", "middle"], ["--port", "0"], ["--port", "65536"], ["--timeout", "never"],
                ["--timeout", "0"], ["--retries", "-1"], ["--name", String(repeating: "n", count: 65)],
                ["--mode", "short", "--hold", "1", "x"], ["--binary", "a", "b"], ["--mode"], ["--hold", "1 parsec"],
                ["--in-flight", "0"],
                ["--jobs", "0"], ["--mode", "short", "--send", "x"], ["--mode", "short", "--messages", "x"],
                ["--json", "--binary", "x"], ["--max-message", "0"],
            ])
        func usage(_ arguments: [String]) throws {
            let client = try Spawned("client", arguments)
            try client.expectStatus(64)
            #expect(client.output.textSoFar == "")
            #expect(client.errors.textSoFar.hasPrefix("client: "))
        }

        @Test("--help and --version answer on standard output with status 0")
        func help() throws {
            for (flag, text) in [("--help", "--mode"), ("--version", "client")] {
                let client = try Spawned("client", [flag])
                try client.expectStatus(0)
                #expect(client.output.textSoFar.contains(text))
                #expect(client.errors.textSoFar == "")
            }
        }

        @Test(
            "Who is not there is told: 68 for an unknown host, 69 where nobody listens", arguments: ["long", "short"])
        func nobody(_ mode: String) throws {
            let listener = try RawListener()
            let port = listener.address.port ?? 0
            listener.close()
            let cases: [(String, Int32)] = [
                ("127.0.0.1", 69), ("no-such-host.invalid", 68), ("unix:/nowhere/at/all", 69),
                ("unix:/" + String(repeating: "x", count: 200), 64), ("unix:", 64),
            ]
            for (host, status) in cases {
                let client = try startClient(["--mode", mode, "--timeout", "5", "x"], host: host, port: port)
                try tellingErrors(of: client) {
                    try client.expectStatus(status, within: .seconds(8))
                    #expect(client.output.textSoFar == "")
                    #expect(client.errors.textSoFar.hasPrefix("client: "), "\(host)")
                }
            }
        }

        @Test("A server that turns clients away for good or for now: 77, 75", arguments: ["long", "short"])
        func turnedAway(_ mode: String) throws {
            for (code, status) in [(RawCode.unauthorized, Int32(77)), (.busy, 75), (.shuttingDown, 75)] {
                try withClient("--mode", mode, "--retries", "1", "x") { listener, client in
                    for _ in 0..<(code == .unauthorized ? 1 : 2) {
                        let peer = try listener.accept()
                        try peer.takeHello()
                        try peer.send(RawFrame.preface + RawFrame.close(code, retryAfter: 20, "sorry").bytes)
                        peer.shutdownWriting()
                        while peer.ending == nil { try #require(try peer.read(until: .now + .seconds(3))) }
                    }
                    try client.expectStatus(status)
                    try client.errors.line(with: "\(code)", "sorry")
                    #expect(try listener.acceptIfAny(within: .zero) == nil)
                }
            }
        }

        @Test(
            "Each line of standard input is a message, the last one without a line end too",
            arguments: [
                "long", "short",
            ])
        func lines(_ mode: String) throws {
            let long = String(repeating: "long ", count: 60_000)
            let input = try TemporaryFile(Array("one\n\n  two \(long)\nthree\r\nlast".utf8))
            try withServer { server in
                let client = try startClient(["--mode", mode], port: server.port, input: .file(input.path))
                try tellingErrors(of: client) {
                    try client.expectStatus(0)
                    #expect(client.output.textSoFar == "one\n\n  two \(long)\nthree\r\nlast\n")
                    #expect(client.errors.textSoFar == "")
                }
                // A child writes its line after the last byte that the client waits for.
                try server.waitForChildren(0)
                let closed = server.log.textSoFar.split(separator: "\n").count { $0.contains(" closed ") }
                #expect(closed == (mode == "short" ? 5 : 1), "\(server.log.textSoFar)")
            }
        }

        @Test("Standard input that is empty, closed or /dev/null is no message", arguments: ["closed", "null"])
        func noInput(_ how: String) throws {
            try withServer { server in
                let client = try startClient([], port: server.port, input: how == "null" ? .null : .closed)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "")
            }
        }

        @Test("Standard input that cannot be read is told with status 74")
        func unreadable() throws {
            try withServer { server in
                let client = try startClient(
                    ["--retries", "0"], port: server.port, input: .descriptor(try #require(directory())))
                try client.expectStatus(74)
                try client.errors.line(with: "standard input")
            }
        }

        private func directory() -> Int32? {
            let descriptor = open("/tmp", O_RDONLY | O_CLOEXEC)
            return descriptor < 0 ? nil : descriptor
        }

        @Test("--binary sends and prints bytes as they are, and no line end more", arguments: ["long", "short"])
        func binary(_ mode: String) throws {
            let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0) }
            let input = try TemporaryFile(bytes)
            let output = try TemporaryFile()
            try withServer { server in
                let client = try startClient(
                    ["--mode", mode, "--binary"], port: server.port, input: .file(input.path),
                    output: .file(output.path))
                try tellingErrors(of: client) { try client.expectStatus(0) }
                #expect(output.bytes == bytes)
            }
        }

        @Test("Messages of arguments come out in order; an empty one is a message too", arguments: ["long", "short"])
        func arguments(_ mode: String) throws {
            try withServer { server in
                let client = try startClient(["--mode", mode, "--", "a", "", "--b", "c d"], port: server.port)
                try tellingErrors(of: client) { try client.expectStatus(0) }
                #expect(client.output.textSoFar == "a\n\n--b\nc d\n")
            }
        }

        @Test("Standard output that is closed or full ends the command with status 74", arguments: ["closed", "full"])
        func noOutput(_ how: String) throws {
            try withServer { server in
                let client = try startClient(
                    ["x", "y"], port: server.port, output: how == "closed" ? .closed : .file("/dev/full"))
                try client.expectStatus(74)
                try client.errors.line(with: "standard output")
            }
        }

        @Test("A reader that goes away ends the command with status 74, not with a signal")
        func brokenPipe() throws {
            try withServer { server in
                let (reading, writing) = try OpenDescriptors.pipe()
                OpenDescriptors.close(reading)
                defer { OpenDescriptors.close(writing) }
                let client = try startClient(["x"], port: server.port, output: .descriptor(writing))
                try client.expectStatus(74)
            }
        }

        @Test("11-3 What the server says is escaped on standard error: no control character reaches a terminal")
        func escaped() throws {
            let nasty = "\u{1B}[2J\u{1B}]0;title\u{07}\r\n\u{9B}31mred\u{202E}\u{7F}end"
            try withClient("--retries", "0", "--verbose", "x") { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(options: RawFrame.option(3, Array(nasty.utf8))))
                let request = try peer.takeRequest()
                try peer.send(
                    .message(Array(nasty.utf8)), .goAway(.normal, nasty), .failure(request.id, .handlerFailed, nasty))
                try peer.send(.close(.kicked, lastID: 1, nasty))
                try peer.takeClose()
                peer.close()
                _ = try client.wait()
                _ = client.errors.waitForEnd()
                let text = client.errors.textSoFar
                #expect(text.contains("end"))
                for character in text.unicodeScalars where character != "\n" {
                    let isControl = character.value < 0x20 || (0x7F...0x9F).contains(character.value)
                    let turns = (0x202A...0x202E).contains(character.value)
                    #expect(!isControl && !turns, "U+\(String(character.value, radix: 16)) in \(text.debugDescription)")
                    if isControl || turns { break }
                }
                #expect(client.errors.linesSoFar.allSatisfy { $0.hasPrefix("client: ") }, "a forged line: \(text)")
            }
        }

        @Test("--hold keeps the connection after the last message, and --verbose tells of its heartbeats")
        func hold() throws {
            try withServer("--timeout", "1") { server in
                let startedAt = SuspendingClock.now
                let client = try startClient(
                    ["--hold", "1500ms", "--verbose", "--ping-every", "200ms", "x"], port: server.port)
                try tellingErrors(of: client) {
                    #expect(try client.output.line() == "x")
                    try client.expectStatus(0)
                    #expect(startedAt.age >= .milliseconds(1500))
                    try client.errors.line(with: "connected", "200 ms")
                    #expect(client.errors.linesSoFar.count { $0.contains("round trip") } >= 4)
                }
            }
        }

        @Test("A peer that speaks HTTP, or another protocol, is told with status 76", arguments: ["long", "short"])
        func http(_ mode: String) throws {
            try withClient("--mode", mode, "x") { listener, client in
                let peer = try listener.accept()
                try peer.send(Array("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".utf8))
                try peer.takeHello()
                try peer.takeDrop(.badPreface)
                try client.expectStatus(76)
                try client.errors.line(with: "HTTP")
            }
        }

        @Test("A Unix socket is reached by unix: and its path", arguments: ["long", "short"])
        func unixSocket(_ mode: String) throws {
            let path = try TemporaryFile().path + ".socket"
            defer { unlink(path) }
            let server = try Spawned("server", ["--host", "unix:\(path)"])
            try tellingErrors(of: server) {
                _ = try server.output.line()
                let client = try startClient(["--mode", mode, "x", "y"], host: "unix:\(path)", port: 1)
                try tellingErrors(of: client) { try client.expectStatus(0) }
                #expect(client.output.textSoFar == "x\ny\n")
                server.kill(SIGTERM)
                try server.expectStatus(0)
            }
        }
    }
}
