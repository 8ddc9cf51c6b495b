import Glibc
import RawWire
import Testing

extension Live.Client {
    /// The command `client` with many messages on their way at once.
    @Suite("Client: many in flight") struct ClientPipeline {
        private static let numbers = (1...10_000).map { "\($0)\n" }.joined()

        @Test(
            "Ten thousand lines are answered in their order, on one connection and on one each",
            arguments: [["--in-flight", "64"], ["--in-flight", "1"], ["--mode", "short", "--jobs", "16"]])
        func order(_ flags: [String]) throws {
            let isFast = flags == ["--in-flight", "64"]
            let lines = isFast ? Self.numbers : (1...300).map { "\($0)\n" }.joined()
            let (input, output) = (try TemporaryFile(Array(lines.utf8)), try TemporaryFile())
            try withServer { server in
                let client = try startClient(
                    flags, port: server.port, input: .file(input.path), output: .file(output.path))
                try tellingErrors(of: client) { try client.expectStatus(0, within: .seconds(30)) }
                #expect(output.bytes == Array(lines.utf8), "not what was sent")
                #expect(client.errors.textSoFar == "")
            }
        }

        @Test("Answers in any order are printed in the order of the messages, each as soon as all before it are there")
        func outOfOrder() throws {
            try withClient("a", "b", "c", "d") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                let ids = try (0..<4).map { _ in try peer.takeRequest().id }
                try peer.send(.response(ids[3], [0x34]), .response(ids[1], [0x32]))
                try peer.send(.response(ids[0], [0x31]))
                #expect(try client.output.line() == "1")
                #expect(try client.output.line() == "2")
                #expect(client.output.linesSoFar.count == 2)
                try peer.send(.failure(ids[2], .handlerFailed, "no"))
                #expect(try client.output.line() == "4")
                try peer.seeOff(lastID: ids[3])
                try client.expectStatus(70)
                #expect(client.errors.textSoFar == "client: message 3, \"c\": FAILED: HANDLER_FAILED, no\n")
            }
        }

        @Test("No more are on their way than --in-flight says, and no more is read", arguments: [1, 3])
        func limit(_ limit: Int) throws {
            let (reading, writing) = try OpenDescriptors.pipe()
            defer { for end in [reading, writing] { OpenDescriptors.close(end) } }
            try withClient("--in-flight", "\(limit)", input: .descriptor(reading)) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(maxInFlight: 100))
                let room = fcntl(writing, 1031, 65536)  // F_SETPIPE_SZ
                let line = [UInt8](repeating: 0x78, count: 1023) + [0x0A]
                let all = Array((0..<64).map { _ in line }.joined())
                #expect(room == 65536 && write(writing, all, all.count) == all.count)
                for _ in 0..<limit { _ = try peer.takeRequest() }
                #expect(try peer.nextIfAny(within: .milliseconds(100)) == nil)
                // The pipe was emptied once, and is not emptied again: the producer waits.
                #expect(eventually { waitUntilReady(writing, POLLOUT, until: .now) })
                #expect(write(writing, all, all.count) == all.count)
                #expect(try peer.nextIfAny(within: .milliseconds(100)) == nil)
                #expect(!waitUntilReady(writing, POLLOUT, until: .now))
                client.kill(SIGKILL)
            }
        }

        @Test("A producer that waits for each answer before it writes the next line is answered at once")
        func slowProducer() throws {
            try withServer { server in
                let client = try startClient([], port: server.port, input: .pipe)
                try tellingErrors(of: client) {
                    for number in 1...50 {
                        try client.write("\(number)\n")
                        #expect(try client.output.line() == "\(number)")
                    }
                    // Half a line is no message yet.
                    try client.write("ha")
                    try client.write("lf\nand ")
                    #expect(try client.output.line() == "half")
                    client.closeInput()
                    try client.expectStatus(0)
                    #expect(client.output.linesSoFar.last == "and ")
                }
            }
        }

        @Test("A server that is killed in the middle: each line has an answer or an outcome, and none has two")
        func killed() throws {
            let input = try TemporaryFile(Array(Self.numbers.utf8))
            // A program is slow enough to be there in the middle.
            try withServer("--exec", "sh", "-c", "while read -r line; do echo $line; done") { server in
                let client = try startClient([], port: server.port, input: .file(input.path))
                try tellingErrors(of: client) {
                    for _ in 0..<3 {
                        let before = client.output.linesSoFar.count
                        let grown = eventually { client.output.linesSoFar.count > before + 100 }
                        guard grown, let child = server.children.first else { break }
                        kill(child, SIGKILL)
                    }
                    _ = try client.wait(within: .seconds(30))
                    _ = client.output.waitForEnd()
                    _ = client.errors.waitForEnd()
                    let answered = client.output.linesSoFar.compactMap { Int($0) }
                    let failed = client.errors.linesSoFar.compactMap { line -> Int? in
                        guard line.hasPrefix("client: message "), line.contains("UNKNOWN") else { return nil }
                        return Int(line.dropFirst("client: message ".count).prefix { $0.isNumber })
                    }
                    #expect(answered == answered.sorted() && failed == failed.sorted())
                    #expect((answered + failed).sorted() == Array(1...10_000))
                    #expect(!failed.isEmpty, "nothing was in the middle")
                }
            }
        }

        @Test("The end of the last server tells of each line that was read, and that no more is")
        func gone() throws {
            try withClient("--reconnect-for", "0", input: .pipe) { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                try client.write("one\ntwo\n")
                _ = try peer.takeRequest()
                _ = try peer.takeRequest()
                listener.close()
                peer.reset()
                try client.errors.line(with: "no more of standard input is read")
                try client.expectStatus(75)
                #expect(client.errors.linesSoFar.count { $0.contains("UNKNOWN") } == 2)
                #expect(client.errors.linesSoFar.count { $0.contains("no connection") } == 1)
            }
        }

        @Test("--timeout is the time of each message, without that of those before it")
        func timeout() throws {
            try withClient("--timeout", "600ms", "a", "b", "c", "d") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                let ids = try (0..<4).map { _ in try peer.takeRequest().id }
                // Together they take longer than the time of one.
                for id in ids.prefix(3) {
                    let begun = SuspendingClock.now
                    _ = eventually { begun.age > .milliseconds(300) }
                    try peer.send(.response(id, [0x6F, 0x6B]))
                }
                #expect(try peer.next() == .cancel(ids[3]))
                try peer.send(.failure(ids[3], .cancelled))
                try peer.seeOff(lastID: ids[3])
                try client.expectStatus(75)
                #expect(client.output.textSoFar == "ok\nok\nok\n")
                try client.errors.line(with: "message 4", "UNKNOWN: the answer did not come in time")
            }
        }

        @Test("Lines that wait on a connection that is lost wait for the next, and their time begins anew")
        func outage() throws {
            let listener = try RawListener()
            let port = listener.address.port ?? 0
            let client = try startClient(["--timeout", "400ms", "a", "b"], port: port)
            try tellingErrors(of: client) {
                let peer = try listener.accept()
                try peer.greet(.welcome(maxInFlight: 1))
                _ = try peer.takeRequest()
                listener.close()
                peer.reset()
                try client.errors.line(with: "message 1", "UNKNOWN")
                let lost = SuspendingClock.now
                _ = eventually { lost.age > .milliseconds(600) }
                let next = try RawListener(port: port)
                let again = try next.accept()
                try again.greet()
                #expect(try again.echo().text == "b")
                try again.seeOff(lastID: 1)
                try client.expectStatus(75)
                #expect(client.output.textSoFar == "b\n")
            }
        }

        @Test("A line over the server's limit is told at once, costs no memory, and those behind it are sent")
        func longLine() throws {
            try withServer("--max-message", "1000") { server in
                let client = try startClient([], port: server.port, input: .pipe)
                try tellingErrors(of: client) {
                    try client.write("first\n")
                    #expect(try client.output.line() == "first")
                    let piece = String(repeating: "x", count: 50_000)
                    for _ in 0..<200 { try client.write(piece) }
                    try client.write("\nlast\n")
                    #expect(try client.output.line() == "last")
                    client.closeInput()
                    try client.expectStatus(64)
                    try client.errors.line(with: "message 2", "(10000000 bytes)", "NOT_SENT", "at most 1000 bytes")
                }
            }
        }

        @Test("Standard output that is closed in the middle ends the command with status 74")
        func closedOutput() throws {
            try withServer { server in
                let (reading, writing) = try OpenDescriptors.pipe()
                let client = try startClient([], port: server.port, input: .pipe, output: .descriptor(writing))
                OpenDescriptors.close(writing)
                var reader: PipeReader? = PipeReader(reading)
                try tellingErrors(of: client) {
                    try client.write("one\n")
                    let first = try reader?.line()
                    #expect(first == "one")
                    reader = nil
                    try client.write("two\nthree\n")
                    try client.expectStatus(74)
                    try client.errors.line(with: "standard output")
                }
            }
        }

        @Test("--max-message takes an answer of 3 MB", arguments: ["long", "short"])
        func large(_ mode: String) throws {
            let bytes = [UInt8](repeating: 0x78, count: 3_000_000)
            let (input, output) = (try TemporaryFile(bytes), try TemporaryFile())
            try withServer("--max-message", "4m", "--max-queued", "8m") { server in
                let refused = try startClient(
                    ["--mode", mode, "--binary", "--reconnect-for", "0"], port: server.port, input: .file(input.path))
                try tellingErrors(of: refused) {
                    _ = try refused.wait()
                    #expect(refused.exit != .status(0))
                }
                let client = try startClient(
                    ["--mode", mode, "--binary", "--max-message", "4m"], port: server.port, input: .file(input.path),
                    output: .file(output.path))
                try tellingErrors(of: client) { try client.expectStatus(0) }
                #expect(output.bytes == bytes)
            }
        }

        @Test("--jobs has this many connections at once, and prints in the order of the messages")
        func jobs() throws {
            try withClient("--mode", "short", "--jobs", "3", "a", "b", "c", "d") { listener, client in
                var peers = try (0..<3).map { _ in try listener.accept() }
                #expect(try listener.acceptIfAny(within: .milliseconds(100)) == nil)
                var requests: [(text: String, peer: RawPeer)] = []
                func answer(_ peer: RawPeer, _ id: UInt32, _ payload: [UInt8]) throws {
                    try peer.send(.response(id, payload), .close(lastID: 1))
                    peer.shutdownWriting()
                    try peer.readToEnd()
                    peer.close()
                }
                for peer in peers {
                    try peer.greet()
                    let request = try peer.takeRequest()
                    #expect(request.id == 1)
                    requests.append((request.text, peer))
                }
                #expect(requests.map(\.text).sorted() == ["a", "b", "c"])
                for (text, peer) in requests.sorted(by: { $0.text > $1.text }) {
                    try answer(peer, 1, Array("\(text)!".utf8))
                }
                let last = try listener.accept()
                peers.append(last)
                try last.greet()
                #expect(try last.takeRequest().text == "d")
                try answer(last, 1, [0x64])
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "a!\nb!\nc!\nd\n")
            }
        }
    }
}
