import Glibc
import LifelineClient
import Testing
import RawWire

private let length = 200_000

extension RawPeer {
    /// Answers a request of `length` bytes that this side reads only once `sending` is true, and ends the answer, of as many
    /// bytes, only once `receiving` is.
    fileprivate func serveSlowly(sending: () throws -> Bool, receiving: () throws -> Bool) throws -> UInt32 {
        // In 1.1 nothing leaves beyond the send window, for no PING is answered.
        try greet(.welcome(minor: 1))
        guard try sending() else { throw Unexpected("the client does not tell that it sends") }
        let request = try takeRequest()
        guard request.payload.count == length else { throw Unexpected("\(request.payload.count) bytes") }
        var rest = request.payload[...]
        func send(_ count: Int) throws {
            let part = Array(rest.prefix(count))
            rest = rest.dropFirst(count)
            try self.send(.response(request.id, part, more: !rest.isEmpty))
        }
        try send(5000)
        guard try receiving() else { throw Unexpected("the client does not tell that it receives") }
        while !rest.isEmpty { try send(16384) }
        return request.id
    }

    fileprivate func endShort() throws {
        try send(.close(lastID: 1))
        shutdownWriting()
        try readToEnd()
        close()
    }
}

/// The transfers that events tell of, and how far the server may go on.
private func transfers(_ events: AsyncStream<ConnectionEvent>, _ told: Counter) async -> [TransferProgress] {
    var transfers: [TransferProgress] = []
    for await event in events {
        guard case .transfer(let progress) = event else { continue }
        transfers.append(progress)
        if told.value == (progress.direction == .sending ? 0 : 1) { told.add() }
    }
    return transfers
}

private func expectBothWays(_ transfers: [TransferProgress]) throws {
    for (direction, least, most) in [(TransferDirection.sending, 0, 16384), (.receiving, 5000, 5000)] {
        let told = transfers.filter { $0.direction == direction }
        let first = try #require(told.first)
        let last = try #require(told.last)
        #expect(first.elapsed >= .seconds(1) && !first.isOver && first.request == 1, "\(first)")
        #expect(first.bytes >= least && first.bytes <= most, "\(first)")
        #expect(first.total == (direction == .sending ? length : nil))
        #expect(last.isOver && last.bytes == length && last.total == length, "\(last)")
        #expect(told.filter(\.isOver).count == 1)
    }
}

extension Live.Client {
    /// What the client says of messages that take longer than a second, and of a path that is too long for dead_after.
    @Suite("Client: long transfers and long paths") struct ClientTransfers {
        @Test("Events tell the progress of a long connection's request and of its response")
        func long() async throws {
            let told = Counter()
            try await withRawServer { listener in
                let peer = try listener.accept()
                let id = try peer.serveSlowly {
                    eventually { told.value > 0 }
                } receiving: {
                    eventually { told.value > 1 }
                }
                try peer.seeOff(lastID: id)
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                async let told = transfers(connection.events, told)
                let answer = try await connection.request([UInt8](repeating: 0x78, count: length))
                #expect(answer.count == length)
                await connection.close()
                try expectBothWays(await told)
            }
        }

        @Test("A short connection gives its events to the program's own stream, and finishes it")
        func short() async throws {
            let told = Counter()
            try await withRawServer { listener in
                let peer = try listener.accept()
                _ = try peer.serveSlowly {
                    eventually { told.value > 0 }
                } receiving: {
                    eventually { told.value > 1 }
                }
                try peer.endShort()
            } _: { port in
                let (events, continuation) = AsyncStream.makeStream(of: ConnectionEvent.self)
                async let told = transfers(events, told)
                let answer = try await ShortConnection.request(
                    [UInt8](repeating: 0x78, count: length), host: "127.0.0.1", port: port, events: continuation)
                #expect(answer.count == length)
                try expectBothWays(await told)
            }
        }

        @Test("--verbose prints lines to a pipe", arguments: ["long", "short"])
        func lines(_ mode: String) throws {
            let file = try TemporaryFile([UInt8](repeating: 0x78, count: length))
            try withClient("--verbose", "--mode", mode, "--binary", input: .file(file.path)) { listener, client in
                let peer = try listener.accept()
                let id = try peer.serveSlowly {
                    try client.errors.line(with: "sending 1: ", " of 200 kB, ", "B/s")
                    return true
                } receiving: {
                    try client.errors.line(with: "sent 1: 200 kB in ", "B/s")
                    try client.errors.line(with: "receiving 1: 5.0 kB, ", "B/s")
                    return true
                }
                if mode == "long" { try peer.seeOff(lastID: id) } else { try peer.endShort() }
                try client.expectStatus(0)
                try client.errors.line(with: "received 1: 200 kB in ", "kB/s")
                #expect(client.output.textSoFar.utf8.count == length)
                #expect(!client.errors.textSoFar.contains { $0 == "\r" || $0 == "\u{1B}" || $0 == "#" })
            }
        }

        @Test("--verbose draws a bar on a terminal, and erases it", arguments: ["long", "short"])
        func bar(_ mode: String) throws {
            let file = try TemporaryFile([UInt8](repeating: 0x78, count: length))
            let terminal = try Terminal()
            let listener = try RawListener()
            let client = try startClient(
                ["--verbose", "--mode", mode, "--binary"], port: listener.address.port ?? 0, input: .file(file.path),
                errors: .file(terminal.path))
            let clear = "\r\u{1B}[K"
            try tellingErrors(of: client) {
                let peer = try listener.accept()
                let id = try peer.serveSlowly {
                    try terminal.wait(for: "\(clear)sending 1: [")
                    try terminal.wait(for: "] ")
                    try terminal.wait(for: " %  ")
                    return true
                } receiving: {
                    try terminal.wait(for: "\(clear)client: sent 1: 200 kB in ")
                    try terminal.wait(for: "\(clear)receiving 1: 5.0 kB  ")
                    return true
                }
                if mode == "long" { try peer.seeOff(lastID: id) } else { try peer.endShort() }
                // The reply erases it, or the last event does.
                try terminal.wait(for: clear)
                try terminal.wait(for: "client: received 1: 200 kB in ")
                try client.expectStatus(0)
            }
        }

        @Test("Without --verbose no progress is shown")
        func quiet() throws {
            let file = try TemporaryFile([UInt8](repeating: 0x78, count: length))
            try withClient("--binary", input: .file(file.path)) { listener, client in
                let peer = try listener.accept()
                let start = SuspendingClock.now
                let id = try peer.serveSlowly {
                    eventually { start.age > .milliseconds(1200) }
                } receiving: {
                    true
                }
                try peer.seeOff(lastID: id)
                try client.expectStatus(0)
                #expect(client.errors.textSoFar == "")
            }
        }

        @Test("5.13-1 A path that is too long for dead_after is told before the loss that it explains")
        func path() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greetLate()
                try demand(try peer.takeClose().code == .silent)
                peer.close()
            } _: { port in
                var options = ClientOptions()
                options.reconnect.attempts = 0
                let connection = try LongConnection.start(host: "127.0.0.1", port: port, options: options)
                var story: [String] = []
                for await event in connection.events {
                    switch event {
                    case .pathTooLong(let roundTrip, let deadAfter):
                        #expect(roundTrip >= .milliseconds(250) && deadAfter == .milliseconds(400))
                        story.append("too long")
                    case .lost: story.append("lost")
                    default: break
                    }
                }
                #expect(story == ["too long", "lost"])
            }
        }

        @Test("5.13-1 The command says it without --verbose, and what helps", arguments: ["long", "short"])
        func pathOfTheCommand(_ mode: String) throws {
            try withClient("--mode", mode, "--retries", "0", "x") { listener, client in
                let peer = try listener.accept()
                try peer.greetLate()
                try client.errors.line(with: "a round trip takes ", "400 ms", "--dead-after", "--timeout")
                try client.expectStatus(75)
                let told = client.errors.textSoFar.split(separator: "\n").count { $0.contains("round trip takes") }
                #expect(told == 1)
            }
        }
    }
}

extension RawPeer {
    /// Answers HELLO after more than half of the dead_after that WELCOME says, as over a long path, and nothing else.
    fileprivate func greetLate() throws {
        try takeHello()
        let start = SuspendingClock.now
        guard eventually({ start.age > .milliseconds(250) }) else { throw Unexpected("250 ms do not pass") }
        try send(RawFrame.preface + RawFrame.welcome(pingEvery: 100, deadAfter: 400).bytes)
    }
}
