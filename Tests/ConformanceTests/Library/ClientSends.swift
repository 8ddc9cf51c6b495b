import LifelineClient
import RawWire
import Testing

extension Live.Library {
    /// Messages that a program sends one after another, as fast as it can, judged by a raw server.
    @Suite("Client library: sends") struct ClientSends {
        /// The message with this number.
        private static func message(_ number: Int) -> [UInt8] { bigEndian(UInt64(number)) }

        private func patient() -> ClientOptions {
            var options = ClientOptions()
            options.reconnect = ReconnectPolicy(base: .milliseconds(1), cap: .milliseconds(5))
            return options
        }

        @Test("3.8-10 Servers that go away while a program sends lose no message, and get all of them in their order")
        func goingAway() async throws {
            let connections = 12
            let (ends, end) = AsyncStream<Void>.makeStream()
            try await withRawServer { listener in
                defer { end.finish() }
                var expected = 1
                for turn in 1...connections {
                    let peer = try listener.accept()
                    try peer.greet(.twoWay(credit: 1 << 15))
                    var handled: UInt64 = 0
                    var isGoingAway = false
                    while true {
                        let frame = try peer.next()
                        if frame.type == .goAway { break }
                        if frame.type == .close {
                            // All was handled before it went away.
                            try demand(frame.notice?.code == .normal)
                            break
                        }
                        try demand(frame.type == .message, "\(frame)")
                        try demand(
                            frame.payload == ClientSends.message(expected), "3.8: not number \(expected): \(frame)")
                        expected += 1
                        handled += 1
                        if handled == 100 + UInt64(turn) * 7, !isGoingAway {
                            isGoingAway = true
                            if turn == connections { end.finish() }
                            try peer.send(.goAway(.shuttingDown))
                        }
                    }
                    try peer.send(.grant(limit: 1 << 40, handled: handled))
                    try peer.send(.close(.shuttingDown))
                    peer.shutdownWriting()
                    try peer.readToEnd()
                    peer.close()
                }
                listener.close()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: patient())
                let sender = Task {
                    var number = 0
                    while !Task.isCancelled {
                        guard let sent = try? await connection.send(ClientSends.message(number + 1)) else { break }
                        number += 1
                        guard sent == number else { throw Unexpected("number \(sent) in place of \(number)") }
                    }
                    return number
                }
                for await _ in ends {}
                // Without a server it waits, and its cancellation ends that.
                sender.cancel()
                let sent = try await sender.value
                let counts = await connection.close()
                #expect(counts.sent == sent && counts.unconfirmed == 0 && counts.areAllHandled, "\(counts)")
            }
        }

        @Test(
            "Of a message whose connection is reset, the program learns that nothing is known of it: of each one once")
        func resets() async throws {
            let connections = 20
            let (ends, end) = AsyncStream<Void>.makeStream()
            try await withRawServer { listener in
                defer { end.finish() }
                for turn in 1...connections {
                    let peer = try listener.accept()
                    try peer.greet(.twoWay(credit: 1 << 15))
                    for _ in 0..<(50 + turn) { _ = try peer.next(.message) }
                    try peer.send(.grant(limit: 1 << 40, handled: UInt64(turn)))
                    _ = try peer.next(.message)
                    if turn == connections { end.finish() }
                    peer.reset()
                }
                listener.close()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: patient())
                let events = Task {
                    var unknown: [ClosedRange<Int>] = []
                    for await case .messagesUnconfirmed(let numbers) in connection.events { unknown.append(numbers) }
                    return unknown
                }
                let sender = Task {
                    var number = 0
                    while !Task.isCancelled, (try? await connection.send([1])) != nil { number += 1 }
                    return number
                }
                for await _ in ends {}
                sender.cancel()
                let sent = await sender.value
                let counts = await connection.close()
                #expect(counts.sent == sent, "each send that has returned counts: \(counts), \(sent)")
                #expect(counts.handled + counts.unconfirmed == counts.sent, "\(counts)")
                let unknown = await events.value
                #expect(unknown.reduce(0) { $0 + $1.count } == counts.unconfirmed, "\(unknown)")
                for (one, next) in zip(unknown, unknown.dropFirst()) { #expect(one.upperBound < next.lowerBound) }
                #expect(unknown.last?.upperBound == sent)
            }
        }

        @Test("4.2 A server that reads nothing stops the sender: max_queued bytes and what the kernel takes, no more")
        func backPressure() async throws {
            let count = 20_000
            try await withRawServer { listener in
                let peer = try listener.accept()
                // 1.0 has neither credit nor a send window.
                try peer.greet(.welcome(maxQueued: 100_000))
                // Another connection is the signal to read.
                let signal = try listener.accept(within: .seconds(60))
                try signal.greet()
                for number in 1...count {
                    try demand(try peer.next(.message).payload.prefix(8).elementsEqual(ClientSends.message(number)))
                }
                try peer.seeOff()
                try signal.seeOff()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                let filler = [UInt8](repeating: 0, count: 992)
                let sender = Task {
                    for number in 1...count { try await connection.send(ClientSends.message(number) + filler) }
                }
                var before = -1
                let deadline = SuspendingClock.now + .seconds(30)
                while connection.messageCounts.sent != before, SuspendingClock.now < deadline {
                    before = connection.messageCounts.sent
                    try await Task.sleep(for: .milliseconds(300))
                }
                #expect(100..<15_000 ~= before, "it stands still at \(before) of \(count)")
                let signal = try await LongConnection.open(host: "127.0.0.1", port: port)
                try await sender.value
                #expect(await connection.close().sent == count)
                await signal.close()
            }
        }
    }
}
