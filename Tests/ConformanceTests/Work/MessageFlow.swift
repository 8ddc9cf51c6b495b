import Glibc
import RawWire
import Testing

extension Live.Work {
    /// What becomes of one-way messages: how far a sender may go, and what an end does to those that wait.
    @Suite("One-way messages") struct MessageFlow {}
}

extension Live.Work.MessageFlow {
    /// A server whose handler makes each message a line of a file.
    private func withRecorder(
        _ flags: String..., body: (ServerProcess, _ lines: () -> Int) throws -> Void
    ) throws {
        let directory = try TemporaryDirectory()
        try withServer(flags + ["--record", directory.file("record")], command: "handlers") { server in
            try body(server) { (directory.text("record") ?? "").utf8.count { $0 == UInt8(ascii: "\n") } }
        }
    }

    private func number(_ field: String, in line: String) -> Int {
        let part = line.split(separator: " ").first { $0.hasPrefix(field + "=") }
        return part.flatMap { Int($0.dropFirst(field.count + 1)) } ?? 0
    }

    private func code(_ close: RawFrame) -> UInt16 { UInt16(bigEndian: close.payload[4...]) }

    // MARK: How far a sender may go

    @Test("A burst of 30,000 messages is never dropped, and each is handled", arguments: [[], ["--at-once"]])
    func burst(_ flags: [String]) throws {
        let directory = try TemporaryDirectory()
        try withServer(flags + ["--record", directory.file("record")], command: "handlers") { server in
            let client = try CreditClient(server)
            #expect(client.limit == 1 << 20)
            try client.send(30_000)
            try client.peer.send(.goAway())
            #expect(code(try client.takeClose()) == 0)
            #expect(client.sent == 30_000 && client.handled == 30_000)
            let lines = (directory.text("record") ?? "").split(separator: "\n")
            #expect(lines.count == 30_000)
            #expect(zip(lines, 0...).allSatisfy { $0.hasPrefix("\($1) ") }, "in their order")
            client.peer.close()
            let closed = try server.log.line(with: " info closed ")
            #expect(number("messages_in", in: closed) == 30_000 && !closed.contains("unhandled"))
        }
    }

    @Test("M1 A client that ignores its credit is dropped with PROTOCOL_ERROR, and the text says why")
    func ignored() throws {
        try withRecorder("--message-time", "10ms", "--grace", "0.2") { server, _ in
            let client = try CreditClient(server)
            try client.send(100_000, keepsToCredit: false)
            let close = try client.takeClose()
            #expect(code(close) == 1)
            #expect(String(decoding: close.payload.dropFirst(12), as: UTF8.self).contains("without credit"))
            client.peer.close()
        }
    }

    @Test("A client without credit may send max_queued, and is BUSY beyond that")
    func withoutCredit() throws {
        try withRecorder("--message-time", "10ms", "--grace", "0.2") { server, _ in
            let client = try CreditClient(server, window: nil)
            #expect(!client.hasCredit)
            try client.send(200_000)
            #expect(code(try client.takeClose()) == 12)
            client.peer.close()
            try server.log.line(with: "closed", "reason=BUSY", "unhandled=")
        }
    }

    @Test("send of a handler waits for the client's credit; trySend and a handler in the loop do not")
    func handlerWaits() throws {
        try withServer(command: "handlers") { server in
            let client = try CreditClient(server, window: 0)
            try client.peer.send(.message(Array("try".utf8)), .message(Array("say".utf8)))
            try server.log.line(with: "handler: tried false")
            try client.peer.send(.request(1, "count"))
            try client.takeFrames(within: .milliseconds(100))
            #expect(client.frames.isEmpty, "the handler waits, and the loop does not")
            try client.peer.send(RawFrame(type: .init(number: 0x0C), payload: bigEndian(UInt64(1)) + zeros(8)))
            try server.log.line(with: "handler: sent true unconfirmed Optional(1)")
            try client.takeFrames(within: RawPeer.patience)
            // The answer to the request may have come with it.
            #expect(client.frames.first?.type == .message)
            client.peer.close()
        }
        try withServer("--at-once", command: "handlers") { server in
            let client = try CreditClient(server, window: 0)
            try client.peer.send(.message(Array("say".utf8)))
            try server.log.line(with: "handler: sent false")
            client.peer.close()
        }
    }

    enum End: CaseIterable { case close, reset, terminate, timeout }

    @Test("A handler that waits in send returns when the connection ends, and hears of that", arguments: End.allCases)
    func waitEnds(_ end: End) throws {
        let flags = end == .timeout ? ["--handler-timeout", "0.3"] : ["--grace", "1"]
        try withServer(flags, command: "handlers") { server in
            let client = try CreditClient(server, window: 0)
            try client.peer.send(end == .timeout ? .request(1, "say 2") : .message(Array("say".utf8)))
            try client.takeFrames(within: .milliseconds(200))
            switch end {
            case .close: try client.peer.send(.close())
            case .reset: client.peer.reset()
            case .terminate: server.process.kill(SIGTERM)
            case .timeout:
                #expect(code(try client.takeClose()) == 16)
                #expect(client.frames.first?.notice?.code == .handlerFailed)
                client.peer.close()
                return try server.waitForChildren(0)
            }
            try server.log.line(with: "handler: sent false", within: .seconds(20))
            try server.log.line(with: "handler: closed", within: .seconds(20))
            if end == .terminate {
                #expect(code(try client.takeClose()) == 13)
                #expect(try server.process.wait() == .status(0))
            }
            client.peer.close()
        }
    }

    // MARK: What an end does to messages that wait

    enum Leaving: CaseIterable { case goAway, close, streamEnd, reset }

    @Test("What came before the client's end is handled, and closed() called", arguments: Leaving.allCases)
    func handledBefore(_ end: Leaving) throws {
        try withRecorder("--message-time", "1ms", "--grace", "60") { server, lines in
            let client = try CreditClient(server)
            try client.send(200)
            // All has come before the reset.
            if end == .reset { try client.waitForBytes(of: server) }
            switch end {
            case .goAway: try client.peer.send(.goAway())
            case .close: try client.peer.send(.close())
            case .streamEnd: client.peer.shutdownWriting()
            case .reset: client.peer.reset()
            }
            if end != .reset { #expect(code(try client.takeClose()) == 0) }
            if end == .goAway || end == .streamEnd { #expect(client.handled == 200) }
            try server.log.line(with: "handler: closed", within: .seconds(60))
            #expect(lines() == 200)
            client.peer.close()
            #expect(try !server.log.line(with: " closed connection").contains("unhandled"))
        }
    }

    @Test(
        "What the grace is too short for is counted, told where it can be, and closed() is called",
        arguments: [
            Leaving.goAway, .close, .streamEnd,
        ])
    func tooShort(_ end: Leaving) throws {
        try withRecorder("--message-time", "20ms", "--grace", "0.5") { server, lines in
            let client = try CreditClient(server)
            try client.send(500)
            switch end {
            case .goAway: try client.peer.send(.goAway())
            case .close: try client.peer.send(.close())
            default: client.peer.shutdownWriting()
            }
            #expect(code(try client.takeClose()) == 0)
            client.peer.close()
            try server.log.line(with: "handler: closed", within: .seconds(60))
            let closed = try server.log.line(with: " warning closed connection", within: .seconds(60))
            #expect(lines() + number("unhandled", in: closed) == 500, "\(closed)")
            #expect(client.handled <= lines() && lines() < 500)
            if end != .close { #expect(client.handled + 1 >= lines(), "all but the one in work is told") }
        }
    }

    @Test("SIGTERM while messages of a client without credit wait: CLOSE comes at once, and the handler goes on")
    func terminatedWithoutCredit() throws {
        try withRecorder("--message-time", "10ms", "--grace", "2") { server, lines in
            let client = try CreditClient(server, window: nil)
            try client.send(2000)
            #expect(eventually { lines() > 0 })
            server.process.kill(SIGTERM)
            #expect(code(try client.takeClose()) == 13)
            client.peer.close()
            let atClose = lines()
            #expect(try server.process.wait() == .status(0))
            #expect(server.log.waitForEnd())
            let closed = try server.log.line(with: " closed connection")
            #expect(lines() + number("unhandled", in: closed) == number("messages_in", in: closed), "\(closed)")
            #expect(lines() > atClose && server.log.textSoFar.contains("handler: closed"))
        }
    }

    @Test("SIGTERM in the middle of a flood: all that was told as handled is, and the rest is counted")
    func terminated() throws {
        try withRecorder("--grace", "2") { server, lines in
            let client = try CreditClient(server)
            try client.send(50_000)
            try client.waitForHandled(1)
            server.process.kill(SIGTERM)
            try client.send(200_000)
            #expect(code(try client.takeClose()) == 13)
            client.peer.close()
            #expect(try server.process.wait() == .status(0))
            #expect(server.log.waitForEnd())
            let closed = try server.log.line(with: " closed connection")
            #expect(lines() + number("unhandled", in: closed) == number("messages_in", in: closed), "\(closed)")
            #expect(client.handled <= lines() && client.handled > 0)
            #expect(server.log.textSoFar.contains("handler: closed"), "the child was not killed")
        }
    }

    @Test("kill -9 of the process in the middle: what was told as handled is handled")
    func killed() throws {
        try withRecorder("--message-time", "1ms") { server, lines in
            let client = try CreditClient(server)
            try client.send(1500, length: 1000)
            try client.waitForHandled(1)
            kill(try server.onlyChild(), SIGKILL)
            while client.peer.ending == nil { try client.takeFrames(within: .milliseconds(100)) }
            #expect(client.handled <= lines() && client.handled > 0 && client.handled < client.sent)
            client.peer.close()
            #expect(number("unhandled", in: try server.log.line(with: "child died")) > 0)
        }
    }

    @Test("A handler that is stuck in a message: CLOSE comes after the grace, all is counted, and the process is gone")
    func stuck() throws {
        try withServer("--grace", "0.3", command: "handlers") { server in
            let client = try CreditClient(server)
            try client.peer.send(.message(Array("stuck".utf8)), .message(Array("m".utf8)), .goAway())
            #expect(code(try client.takeClose()) == 0)
            client.peer.close()
            try server.log.line(with: " warning closed ", "unhandled=2", within: .seconds(20))
            try server.waitForChildren(0)
        }
    }
}

private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

extension CreditClient {
    /// Waits until the server's process has read all: it answers a PING, which lies behind.
    fileprivate func waitForBytes(of server: ServerProcess) throws {
        try peer.send(.ping(1))
        let deadline = SuspendingClock.now + RawPeer.patience
        while !frames.contains(where: { $0.type == .pong }) {
            guard SuspendingClock.now < deadline else { throw Unexpected("no PONG") }
            try takeFrames(within: .milliseconds(100))
        }
    }
}
