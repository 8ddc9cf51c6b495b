import Foundation
import RawWire
import Testing

extension Live.Client {
    /// What the command `client` prints of one-way messages and as JSON, and what it sends one way.
    @Suite("Client: one way, and as JSON") struct ClientOutput {
        private func objects(_ client: Spawned) throws -> [[String: Any]] {
            try client.output.linesSoFar.map { line in
                try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
            }
        }

        @Test("--messages prints them on standard output as they are, a line each; otherwise they are notices")
        func messages() throws {
            let bytes: [UInt8] = [0x61, 0xFF, 0x1B, 0x62]
            for isPlain in [true, false] {
                let output = try TemporaryFile()
                let listener = try RawListener()
                let client = try startClient(
                    ["--hold", "20"] + (isPlain ? ["--messages"] : []), port: listener.address.port ?? 0,
                    output: .file(output.path))
                try tellingErrors(of: client) {
                    let peer = try listener.accept()
                    try peer.greet()
                    try peer.send(.message(bytes), .message([]), .message(Array("last".utf8)))
                    if isPlain {
                        #expect(eventually { output.bytes == bytes + Array("\n\nlast\n".utf8) })
                        #expect(client.errors.textSoFar == "")
                    } else {
                        try client.errors.line(with: "client: message: last")
                        #expect(output.bytes == [])
                    }
                    client.kill(SIGKILL)
                }
            }
        }

        @Test("--send sends each line one way, in order, and awaits nothing")
        func send() throws {
            try withClient("--send", input: .pipe) { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                try client.write("one\ntwo\n")
                #expect(try peer.next(.message).text == "one")
                #expect(try peer.next(.message).text == "two")
                try client.write("three")
                client.closeInput()
                #expect(try peer.next(.message).text == "three")
                try peer.seeOff()
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "" && client.errors.textSoFar == "")
            }
        }

        @Test("--send tells of a message over the server's limit by its number, and sends the others")
        func sendTooLong() throws {
            try withClient("--send", "eleven byte", "ten bytes!") { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(maxMessage: 10))
                #expect(try peer.next(.message).text == "ten bytes!")
                try peer.seeOff()
                try client.expectStatus(64)
                try client.errors.line(with: "message 1", "NOT_SENT", "10 bytes")
            }
        }

        @Test("--json prints a line for each thing that happens, and nothing on standard error")
        func json() throws {
            try withClient("--json", "--hold", "1", "a", "b", "c") { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(connection: 42))
                let ids = try (0..<3).map { _ in try peer.takeRequest().id }
                try peer.send(.message([0xFF, 0xFE]))
                try peer.send(.failure(ids[1], .handlerFailed, "no \"b\"\n"), .response(ids[0], Array("A\t".utf8)))
                try peer.send(.close(.internalError, lastID: 3, "over"))
                try peer.takeDrop(.normal)
                let again = try listener.accept()
                try again.greet(.welcome(connection: 43))
                try again.seeOff()
                try client.expectStatus(70)
                #expect(client.errors.textSoFar == "")
                let all = try objects(client)
                func first(_ event: String) throws -> [String: Any] {
                    try #require(all.first { $0["event"] as? String == event }, "\(event) is missing in \(all)")
                }
                #expect(try first("connected")["connection"] as? Int == 42)
                #expect(try first("message")["base64"] as? String == "//4=")
                let answer = try first("answer")
                #expect(answer["number"] as? Int == 1 && answer["text"] as? String == "A\t")
                let failures = all.filter { $0["event"] as? String == "failure" }
                #expect(failures.map { $0["number"] as? Int } == [2, 3])
                #expect(failures.map { $0["outcome"] as? String } == ["FAILED", "UNKNOWN"])
                #expect(failures[0]["code"] as? String == "HANDLER_FAILED")
                #expect(failures[0]["text"] as? String == "no \"b\"\n")
                #expect(try first("lost")["code"] as? String == "INTERNAL")
                #expect(try first("reconnecting")["attempt"] as? Int == 1)
                #expect(try first("reconnected")["connection"] as? Int == 43)
                #expect(all.last?["event"] as? String == "closed")
                #expect(all.last?["kind"] as? String == "closed_by_program")
            }
        }

        @Test("--json of short connections: answers and failures, each a line")
        func shortJSON() throws {
            try withServer("--max-message", "3") { server in
                let client = try startClient(
                    ["--json", "--mode", "short", "ab", "abcd", "c"], port: server.port)
                try tellingErrors(of: client) {
                    try client.expectStatus(64)
                    let all = try objects(client)
                    #expect(all.map { $0["event"] as? String } == ["answer", "failure", "answer"])
                    #expect(all.map { $0["number"] as? Int } == [1, 2, 3])
                    #expect(all[1]["reason"] as? String == "too_large")
                }
            }
        }
    }
}
