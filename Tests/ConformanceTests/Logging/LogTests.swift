import Foundation
import Testing
import RawWire

extension Live.Logging {
    /// The log: what a line says, and what untrusted text cannot do to it.
    @Suite("The log") struct Logs {}
}

extension Live.Logging.Logs {
    /// A connection that calls itself `name`, sends one request, and is dropped for a wrong frame.
    private func drop(_ server: ServerProcess, name: String = "till-7") throws -> RawPeer {
        let peer = try server.open(.hello(options: RawFrame.name(name)))
        try peer.send(.request(1))
        _ = try peer.take(.response)
        try peer.send(.unknown(0x77, flags: 0))
        try peer.takeClose()
        return peer
    }

    @Test("Each drop is logged with peer, reason, age, requests, bytes in and out")
    func fields() throws {
        try withServer { server in
            let peer = try drop(server)
            let child = try server.onlyChild()
            let line = try server.log.line(with: " warning closed ")
            let words = line.split(separator: " ")
            #expect(words[0].count == 24 && words[0].hasSuffix("Z"), "the time first, in UTC: \(line)")
            for field in [
                "connection=1", "pid=\(child)", "peer=127.0.0.1:\(peer.localPort)", "name=till-7",
                "reason=PROTOCOL_ERROR", "requests=1", "bytes_in=79", "bytes_out=\(peer.received)",
            ] {
                #expect(words.contains { $0 == field }, "\(field) in \(line)")
            }
            #expect(words.contains { $0.hasPrefix("age=") && $0.hasSuffix("s") } && line.contains(" text=\""))
        }
    }

    @Test(
        "An orderly end is information, a drop a warning, and --log-level leaves out what is below it",
        arguments: [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
    func levels(_ level: String, _ expected: Int) throws {
        try withServer("--log-level", level) { server in
            let peer = try server.open()
            try peer.send(.close())
            try peer.takeClose()
            let dropped = try server.connect()
            try dropped.send([0])
            try dropped.takePreface()
            try dropped.takeClose()
            peer.close()
            dropped.close()
            try server.waitForChildren(0)
            // opened (debug), closed NORMAL (info), closed BAD_PREFACE (warning)
            let lines = server.log.linesSoFar.filter { $0.contains(" opened ") || $0.contains(" closed ") }
            #expect(lines.count == expected, "\(lines)")
        }
    }

    private func object(_ line: String) throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(object as? [String: Any], "\(line)")
    }

    static let names = [
        "till-7", "", "a b", "\"quoted\" \\ back", "line\nbreak\r", "\u{1B}[31mred\u{7}", "nul\u{0}", "\u{202E}txet",
        "\u{85}\u{2028}",
        "Ελένη", "🏊‍♀️", "{\"event\":\"forged\"}", " reason=NORMAL", String(repeating: "\u{7F}", count: 64),
        String(repeating: "𝄞", count: 16),
    ]

    @Test("Every line of JSON parses, and gives back the name that the client said")
    func json() throws {
        try withServer("--log-format", "json", "--log-level", "debug") { server in
            #expect(try object(server.log.line())["event"] as? String == "listening")
            for name in Self.names {
                _ = try drop(server, name: name)
                #expect(try object(server.log.line())["event"] as? String == "opened")
                let closed = try object(server.log.line())
                #expect(closed["event"] as? String == "closed" && closed["name"] as? String == name)
                #expect(closed["reason"] as? String == "PROTOCOL_ERROR" && closed["requests"] as? Int == 1)
                #expect(closed["age"] is NSNumber && closed["bytes_in"] is NSNumber)
                #expect(closed["level"] as? String == "warning")
            }
        }
    }

    @Test("11-3 In text no name makes a second line, a control character, or a field of its own")
    func text() throws {
        try withServer { server in
            _ = try server.log.line(with: " listening ")
            for (index, name) in Self.names.enumerated() {
                let peer = try drop(server, name: name)
                let line = try server.log.line(with: " closed connection=\(index + 1) ")
                #expect(server.log.linesSoFar.count == 2 + index)
                let categories = Set(line.unicodeScalars.map(\.properties.generalCategory))
                #expect(
                    categories.isDisjoint(with: [.control, .format, .lineSeparator, .paragraphSeparator]), "\(line)")
                if name.allSatisfy(\.isLetter) { #expect(name.isEmpty || line.contains("name=\"\(name)\"")) }
                // Outside quotes there is one reason only.
                let outside = line.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
                    .filter { $0.offset % 2 == 0 }.map(\.element).joined()
                if !name.contains("\"") {
                    #expect(outside.components(separatedBy: " reason=").count == 2, "\(line)")
                }
                #expect(peer.ending == .end)
            }
        }
    }

    @Test("No line is longer than 4096 bytes, whatever a client says", arguments: ["text", "json"])
    func longest(_ format: String) throws {
        try withServer("--log-format", format) { server in
            let peer = try server.open(.hello(options: RawFrame.name(String(repeating: "\u{1}", count: 64))))
            // A text of 512 bytes, each of which becomes six or more.
            try peer.send(.close(.kicked, String(repeating: "\u{1}", count: 512)))
            try peer.takeClose()
            let line = try server.log.line(with: "closed")
            #expect(line.utf8.count < 4096)
            if format == "json" { _ = try object(line) }
        }
    }

    @Test("Lines of many processes never mix")
    func whole() throws {
        try withServer("--log-format", "json", "--log-level", "debug") { server in
            let peers = try (0..<200).map { _ in try server.connect() }
            for peer in peers {
                let name = RawFrame.name(String(repeating: "x", count: 64))
                try peer.send(RawFrame.preface + RawFrame.hello(options: name).bytes + RawFrame.close().bytes)
            }
            try readAll(peers, within: .seconds(20))
            try server.waitForChildren(0)
            let lines = server.log.linesSoFar
            #expect(lines.count == 401)
            for line in lines { _ = try object(line) }
        }
    }
}
