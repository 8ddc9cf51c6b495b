import Glibc
import Testing
import RawWire

extension Live.Interoperation {
    /// Both commands together, the way that people use them.
    @Suite("Client and server") struct ClientAndServer {
        @Test("A long connection lives through silence by its heartbeats: many T later the same child answers")
        func idle() throws {
            try withServer("--timeout", "500ms") { server in
                let client = try startClient([], port: server.port, input: .pipe)
                try tellingErrors(of: client) {
                    try client.write("one\n")
                    #expect(try client.output.line() == "one")
                    let child = try server.onlyChild()
                    // Ten T, in which neither side has anything to say but that it is alive.
                    #expect(!eventually(within: .seconds(5)) { ProcessFiles.state(of: child) == nil })
                    try client.write("two\n")
                    #expect(try client.output.line() == "two")
                    #expect(try server.onlyChild() == child)
                    client.closeInput()
                    try client.expectStatus(0)
                    #expect(client.errors.textSoFar == "")
                }
                try server.log.line(with: "closed", "requests=2")
            }
        }

        @Test("A child that is stopped is noticed: late, then lost, then a new child answers")
        func stopped() throws {
            try withServer("--timeout", "600ms") { server in
                let client = try startClient([], port: server.port, input: .pipe)
                try tellingErrors(of: client) {
                    try client.write("one\n")
                    #expect(try client.output.line() == "one")
                    let child = try server.onlyChild()
                    let stoppedAt = SuspendingClock.now
                    let watch = LatenessWatch()
                    kill(child, SIGSTOP)
                    defer { kill(child, SIGCONT) }
                    try client.errors.line(with: "heartbeat is late")
                    #expect(stoppedAt.age >= .milliseconds(290), "half of dead_after after a PING that came later")
                    try client.errors.line(with: "connection lost", "SILENT")
                    #expect(stoppedAt.age >= .milliseconds(350))
                    let latest = Duration.milliseconds(200 + 600 + 60 + 400) + watch.end()
                    #expect(stoppedAt.age <= latest, "ping_every, dead_after and slack")
                    try client.errors.line(with: "connected again")
                    try client.write("two\n")
                    #expect(try client.output.line() == "two")
                    #expect(server.children.count == 2 && server.children.contains(child))
                    kill(child, SIGCONT)
                    client.closeInput()
                    try client.expectStatus(0)
                }
            }
        }

        @Test(
            "A child that is killed under a request: said, reconnected, and not repeated unless it may be",
            arguments: [
                false, true,
            ])
        func killed(_ mayRunTwice: Bool) throws {
            try withServer { server in
                // One at a time: the third must not have left when the connection is lost.
                let client = try startClient(
                    ["--in-flight", "1"] + (mayRunTwice ? ["--may-run-twice"] : []), port: server.port, input: .pipe)
                try tellingErrors(of: client) {
                    try client.write("one\n")
                    #expect(try client.output.line() == "one")
                    let child = try server.onlyChild()
                    kill(child, SIGSTOP)
                    #expect(eventually { ProcessFiles.state(of: child) == "T" })
                    try client.write("two\nthree\n")
                    // The request is with the kernel of the stopped child.
                    #expect(
                        try eventually {
                            try TCPSocket.all(withPort: server.port).contains {
                                $0.local.port == server.port && $0.state == .established && $0.unread > 0
                            }
                        })
                    kill(child, SIGKILL)
                    if mayRunTwice { #expect(try client.output.line() == "two") }
                    #expect(try client.output.line() == "three")
                    client.closeInput()
                    try client.expectStatus(mayRunTwice ? 0 : 75)
                    try client.errors.line(with: "connection lost")
                    try client.errors.line(with: "connected again")
                    if !mayRunTwice { try client.errors.line(with: "message 2", "UNKNOWN") }
                }
            }
        }

        @Test("A server that is started again on its port finds its client there")
        func restarted() throws {
            let server = try Spawned("server", ["--port", "0"])
            try tellingErrors(of: server) {
                let address = Address(try server.output.line().dropFirst("listening on ".count))
                let port = try #require(address?.port)
                let client = try startClient(["--retries", "100"], port: port, input: .pipe)
                try tellingErrors(of: client) {
                    try client.write("one\n")
                    #expect(try client.output.line() == "one")
                    server.kill(SIGTERM)
                    try server.expectStatus(0)
                    try client.errors.line(with: "SHUTTING_DOWN")
                    let again = try Spawned("server", ["--port", "\(port)"])
                    try tellingErrors(of: again) {
                        _ = try again.output.line()
                        try client.write("two\n")
                        #expect(try client.output.line(within: .seconds(10)) == "two")
                        client.closeInput()
                        try client.expectStatus(0)
                        again.kill(SIGTERM)
                        try again.expectStatus(0)
                    }
                }
            }
        }

        @Test(
            "SIGTERM to the server under load: nothing is lost and nothing is done twice", arguments: ["long", "short"])
        func drained(_ mode: String) throws {
            let count = 400
            let lines = (0..<count).map { "line \($0)" }
            let input = try TemporaryFile(Array(lines.joined(separator: "\n").utf8))
            try withServer { server in
                var clients: [Spawned] = []
                for _ in 0..<4 {
                    clients.append(
                        try startClient(
                            ["--mode", mode, "--retries", "0"], port: server.port, input: .file(input.path)))
                }
                for client in clients { for _ in 0..<20 { _ = try client.output.line() } }
                server.process.kill(SIGTERM)
                for client in clients { try client.wait() }
                try server.process.wait()
                try judge(clients, lines, log: server.log.textSoFar, mode)
            }
        }

        private func judge(_ clients: [Spawned], _ lines: [String], log: String, _ mode: String) throws {
            var answered = 0
            for client in clients {
                let replies = client.output.linesSoFar
                answered += replies.count
                // In order, without a gap but those that were told, and each once.
                let told = client.errors.linesSoFar.filter {
                    $0.contains(": message ") || $0.contains("client: message ")
                }
                let untold = lines.filter { line in
                    !replies.contains(line) && !told.contains { $0.contains("\"\(line)\"") }
                }
                #expect(replies == lines.filter(Set(replies).contains))
                #expect(told.allSatisfy { !$0.contains("UNKNOWN") }, "it was lost: \(told.prefix(3))")
                // A long client that has lost its server asks for no more lines.
                #expect(mode == "long" || untold.isEmpty, "\(untold.prefix(3))")
            }
            let done = log.split(separator: "\n").reduce(0) { sum, line in
                guard let field = line.split(separator: " ").first(where: { $0.hasPrefix("requests=") }) else {
                    return sum
                }
                return sum + (Int(field.dropFirst(9)) ?? 0)
            }
            #expect(done == answered, "the server worked on \(done) requests, the clients have \(answered) answers")
        }

        @Test("BUSY is told with status 75", arguments: ["long", "short"])
        func busy(_ mode: String) throws {
            try withServer("--max-connections", "1") { server in
                let first = try server.open()
                let client = try startClient(["--mode", mode, "--retries", "0", "x"], port: server.port)
                try tellingErrors(of: client) {
                    try client.expectStatus(75)
                    try client.errors.line(with: "BUSY")
                }
                first.close()
            }
        }

        @Test("Short connections leave no TIME_WAIT on the client's side: 300 of them, one after another")
        func manyShort() throws {
            let input = try TemporaryFile(Array((0..<300).map { "\($0)\n" }.joined().utf8))
            try withServer { server in
                let port = server.port
                // A client of an earlier test may have had this number for its port; its place is still kept.
                let earlier = Set(try TCPSocket.all(withPort: port).filter { $0.remote.port == port }.map(\.local.port))
                let client = try startClient(["--mode", "short"], port: port, input: .file(input.path))
                try tellingErrors(of: client) { try client.expectStatus(0, within: .seconds(20)) }
                #expect(client.output.linesSoFar == (0..<300).map { "\($0)" })
                let waiting = try TCPSocket.all(withPort: port).filter {
                    $0.state == .timeWait && $0.remote.port == port && !earlier.contains($0.local.port)
                }
                // The last one's socket ends with the process, perhaps before the server's end of stream has come.
                #expect(waiting.count <= 1, "\(waiting.count) sockets in TIME_WAIT at the client")
            }
        }
    }
}
