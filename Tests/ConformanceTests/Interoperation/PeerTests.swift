import Glibc
import Testing
import RawWire

/// tools/peer.py, the second implementation, written from Protocol.md alone.
private enum Peer {
    /// Where it is in the repository.
    static let path = "\(#filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined())/tools/peer.py"

    static let python: String? = {
        guard let path = getenv("PATH") else { return nil }
        return String(cString: path).split(separator: ":").map { "\($0)/python3" }.first { access($0, X_OK) == 0 }
    }()

    static func start(
        _ arguments: [String], input: Spawned.Stream = .null, output: Spawned.Stream = .pipe
    ) throws -> Spawned {
        guard let python else { throw Unexpected("there is no python3") }
        return try Spawned(python, [path] + arguments, input: input, output: output)
    }
}

/// One of the two servers, running.
private struct AnyServer {
    let process: Spawned
    let port: UInt16

    init(_ process: Spawned) throws {
        let greeting = "listening on "
        let line = try process.output.line(within: .seconds(10))
        guard line.hasPrefix(greeting), let port = Address(line.dropFirst(greeting.count))?.port else {
            throw Unexpected("expected '\(greeting)HOST:PORT', got '\(line)'")
        }
        self.process = process
        self.port = port
    }
}

/// Who serves and who asks.
enum Pairing: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case peerServes = "peer.py serves our client"
    case peerAsks = "peer.py asks our server"
    case peerAlone = "peer.py serves peer.py"

    var testDescription: String { rawValue }

    /// Runs `body` with a server. `minor` is the minor version that peer.py offers.
    fileprivate func withServer(_ arguments: String..., minor: Int = 1, body: (AnyServer) throws -> Void) throws {
        let before = OpenDescriptors.count
        do {
            let all = ["--port", "0"] + arguments
            let process =
                self == .peerAsks
                ? try Spawned("server", all) : try Peer.start(["server", "--minor", "\(minor)"] + all)
            do {
                try body(AnyServer(process))
                if process.exit == nil {
                    process.kill(SIGTERM)
                    try process.expectStatus(0)
                }
            } catch {
                for child in ProcessFiles.children(of: process.pid) { kill(child, SIGKILL) }
                process.kill(SIGKILL)
                throw Unexpected("\(error)\nThe server wrote:\n\(process.errors.textSoFar)")
            }
        }
        #expect(OpenDescriptors.count == before, "the test leaks a descriptor")
    }

    fileprivate func withClient(
        of server: AnyServer, _ arguments: String..., minor: Int = 1, input: Spawned.Stream = .null,
        output: Spawned.Stream = .pipe, body: (Spawned) throws -> Void
    ) throws {
        let all = ["--port", "\(server.port)"] + arguments + (self == .peerServes ? ["--retries", "0"] : [])
        let client =
            self == .peerServes
            ? try Spawned("client", all, input: input, output: output)
            : try Peer.start(["client", "--minor", "\(minor)"] + all, input: input, output: output)
        try tellingErrors(of: client) { try body(client) }
    }
}

extension Live.Interoperation {
    /// Two implementations of one text understand each other.
    @Suite(
        "peer.py", .enabled(if: Peer.python != nil, "python3 is not installed, so there is no second implementation"))
    struct SecondImplementation {
        @Test("Its selftest passes: the appendices, section 6 and section 9, and itself against itself")
        func selftest() throws {
            let process = try Peer.start(["selftest"])
            try process.expectStatus(0, within: .seconds(30))
            #expect(process.output.textSoFar.contains("all is well"))
        }

        @Test(
            "Messages in their order, on one connection or on one each", arguments: Pairing.allCases, ["long", "short"])
        func messages(_ pairing: Pairing, _ mode: String) throws {
            try pairing.withServer { server in
                try pairing.withClient(of: server, "--mode", mode, "one", "", "three") { client in
                    try client.expectStatus(0)
                    #expect(client.output.textSoFar == "one\n\nthree\n")
                }
            }
        }

        @Test("The handlers answer alike", arguments: Pairing.allCases)
        func handlers(_ pairing: Pairing) throws {
            for (handler, answer) in [("ack", "ok\nok\n"), ("count", counted)] {
                try pairing.withServer("--handler", handler) { server in
                    try pairing.withClient(of: server, "one", "two") { client in
                        try client.expectStatus(0)
                        #expect(client.output.textSoFar == answer)
                    }
                }
            }
        }

        private var counted: String { (0...1).map { "This is server send message:\($0)\n" }.joined() }

        @Test("2000 messages from standard input", arguments: Pairing.allCases)
        func many(_ pairing: Pairing) throws {
            let lines = (1...2000).map { "message \($0)\n" }.joined()
            let (input, output) = (try TemporaryFile(Array(lines.utf8)), try TemporaryFile())
            try pairing.withServer { server in
                try pairing.withClient(of: server, input: .file(input.path), output: .file(output.path)) { client in
                    try client.expectStatus(0, within: .seconds(20))
                    #expect(output.bytes == Array(lines.utf8), "not what was sent")
                }
            }
        }

        @Test(
            "A message of 1 MiB, one of 0 bytes and one of 1 MiB", arguments: Pairing.allCases, ["long", "short"])
        func large(_ pairing: Pairing, _ mode: String) throws {
            let large = String(repeating: "0123456789abcdef", count: 65536)
            let all = Array("\(large)\n\n\(large)\n".utf8)
            let (input, output) = (try TemporaryFile(all), try TemporaryFile())
            try pairing.withServer { server in
                try pairing.withClient(
                    of: server, "--mode", mode, input: .file(input.path), output: .file(output.path)
                ) { client in
                    try client.expectStatus(0, within: .seconds(20))
                    #expect(output.bytes == all, "not what was sent")
                }
            }
        }

        @Test("A peer of version 1.0 gets its messages, and is kept by its heartbeats", arguments: Pairing.allCases)
        func old(_ pairing: Pairing) throws {
            let large = String(repeating: "0123456789abcdef", count: 65536)
            let (input, output) = (try TemporaryFile(Array("\(large)\n\n".utf8)), try TemporaryFile())
            try pairing.withServer("--timeout", "1", minor: 0) { server in
                try pairing.withClient(
                    of: server, "--hold", "2500ms", minor: 0, input: .file(input.path), output: .file(output.path)
                ) { client in
                    try client.expectStatus(0, within: .seconds(20))
                    #expect(output.bytes == Array("\(large)\n\n".utf8), "not what was sent")
                }
                try server.process.errors.line(with: "closed", "reason=NORMAL", "by=client", "requests=2")
            }
        }

        @Test("A message over max_message is told as NOT_SENT, and nobody is dropped", arguments: Pairing.allCases)
        func tooLarge(_ pairing: Pairing) throws {
            try pairing.withServer("--max-message", "1000", "--max-frame", "256") { server in
                let tooLarge = String(repeating: "x", count: 1001)
                try pairing.withClient(of: server, "--hold", "200ms", "a", tooLarge, "b") { client in
                    try client.wait()
                    _ = client.output.waitForEnd()
                    _ = client.errors.waitForEnd()
                    #expect(client.output.textSoFar == "a\nb\n")
                    #expect(client.errors.textSoFar.contains("NOT_SENT"))
                }
            }
        }

        @Test("Heartbeats alone keep a connection over five timeouts", arguments: Pairing.allCases)
        func held(_ pairing: Pairing) throws {
            try pairing.withServer("--timeout", "300ms") { server in
                let start = SuspendingClock.now
                try pairing.withClient(of: server, "--hold", "1500ms", "hello") { client in
                    try client.expectStatus(0)
                    #expect(client.output.textSoFar == "hello\n")
                }
                #expect(start.age >= .milliseconds(1500))
                try server.process.errors.line(with: "closed", "reason=NORMAL", "by=client", "requests=1")
            }
        }

        @Test("A server that is told to stop sends its client away", arguments: Pairing.allCases)
        func drain(_ pairing: Pairing) throws {
            try pairing.withServer { server in
                try pairing.withClient(of: server, "--hold", "20", "hello") { client in
                    #expect(try client.output.line() == "hello")
                    server.process.kill(SIGTERM)
                    try server.process.expectStatus(0)
                    try server.process.errors.line(with: "closed", "requests=1")
                    try client.errors.line(with: "SHUTTING_DOWN")
                    try client.wait()
                }
            }
        }

        @Test("A stopped client is dropped with SILENT in time", arguments: Pairing.allCases)
        func silentClient(_ pairing: Pairing) throws {
            let timeout = Duration.milliseconds(600)
            try expectBetween(timeout * 0.6, withSlack(timeout)) {
                var time = Duration.zero
                try pairing.withServer("--timeout", "600ms") { server in
                    try pairing.withClient(of: server, "--hold", "20", "hello") { client in
                        #expect(try client.output.line() == "hello")
                        poll(nil, 0, 300)
                        let start = SuspendingClock.now
                        client.kill(SIGSTOP)
                        try server.process.errors.line(with: "closed", "reason=SILENT", "by=server")
                        time = start.age
                    }
                }
                return time
            }
        }

        @Test(
            "A stopped server is dropped with SILENT in time",
            arguments: Pairing.allCases)
        func silentServer(_ pairing: Pairing) throws {
            let timeout = Duration.milliseconds(600)
            try expectBetween(timeout * 0.6, withSlack(timeout)) {
                var time = Duration.zero
                try pairing.withServer { server in
                    try pairing.withClient(of: server, "--dead-after", "600ms", "--hold", "20", "--verbose", "hello") {
                        client in
                        #expect(try client.output.line() == "hello")
                        poll(nil, 0, 300)
                        let all = [server.process.pid] + ProcessFiles.children(of: server.process.pid)
                        let start = SuspendingClock.now
                        for pid in all { kill(pid, SIGSTOP) }
                        defer { for pid in all { kill(pid, SIGCONT) } }
                        try client.errors.line(with: "SILENT")
                        time = start.age
                        try client.expectStatus(75)
                    }
                }
                return time
            }
        }

        @Test(
            "Who does not speak the protocol is told so, by either server", arguments: [Pairing.peerServes, .peerAsks])
        func badPreface(_ pairing: Pairing) throws {
            try pairing.withServer { server in
                let peer = try RawPeer.connect(to: .v4("127.0.0.1", server.port))
                try peer.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
                try peer.takePreface()
                let close = try peer.takeClose()
                #expect(close.code == .badPreface && close.lastID == 0)
                #expect(String(decoding: close.text, as: UTF8.self).contains("HTTP"))
            }
        }
    }
}
