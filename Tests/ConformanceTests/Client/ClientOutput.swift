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

        @Test("--send sends each line one way, in order, and waits until the server has handled them")
        func send() throws {
            try withClient("--send", input: .pipe) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1 << 20))
                try client.write("one\ntwo\n")
                #expect(try peer.next(.message).text == "one")
                #expect(try peer.next(.message).text == "two")
                try client.write("three")
                client.closeInput()
                #expect(try peer.next(.message).text == "three")
                #expect(try peer.next(.goAway).notice?.code == .normal)
                #expect(try !client.hasEnded())
                try peer.send(.grant(limit: 2 << 20, handled: 3), .close())
                #expect(try peer.takeClose().code == .normal)
                peer.close()
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "" && client.errors.textSoFar == "")
            }
        }

        @Test(
            "--send tells by their numbers which messages nothing is known of, and leaves with status 75",
            arguments: ["text", "JSON"])
        func unconfirmed(_ form: String) throws {
            let flags = form == "JSON" ? ["--json"] : []
            let listener = try RawListener()
            let client = try startClient(
                flags + ["--send", "a", "eleven byte", "b", "c", "d"], port: listener.address.port ?? 0)
            try tellingErrors(of: client) {
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1 << 20, maxMessage: 10))
                for text in ["a", "b", "c", "d"] { #expect(try peer.next(.message).text == text) }
                _ = try peer.next(.goAway)
                try peer.send(.grant(limit: 2 << 20, handled: 2), .close())
                #expect(try peer.takeClose().code == .normal)
                peer.close()
                try client.expectStatus(64)  // That of the first message that failed.
                if form == "JSON" {
                    let all = try objects(client)
                    let event = try #require(all.first { $0["event"] as? String == "messages_unconfirmed" })
                    #expect(event["count"] as? Int == 2 && event["first"] as? Int == 4 && event["last"] as? Int == 5)
                    let sent = try #require(all.last)
                    #expect(sent["event"] as? String == "sent" && sent["messages"] as? Int == 4)
                    #expect(sent["handled"] as? Int == 2 && sent["unconfirmed"] as? Int == 2)
                } else {
                    try client.errors.line(with: "message 2, \"eleven byte\": NOT_SENT")
                    try client.errors.line(with: "nothing is known of 2 one-way messages, from message 4 on")
                    try client.errors.line(with: "2 of 4 messages are handled; of 2 nothing is known")
                }
            }
        }

        @Test("--send to a server of 1.0 says that it tells nothing of messages")
        func sendUntold() throws {
            try withClient("--send", "one") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                #expect(try peer.next(.message).text == "one")
                try peer.seeOff()
                try client.expectStatus(0)
                #expect(
                    client.errors.textSoFar
                        == "client: the server does not tell which messages it has handled; sent: 1\n")
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
