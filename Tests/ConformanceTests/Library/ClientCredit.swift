import LifelineClient
import RawWire
import Testing

/// Options of a client that does not come back.
private func once(unread: Int = 4 << 20) -> ClientOptions {
    var options = ClientOptions()
    options.reconnect = .never
    options.unreadMessages = unread
    return options
}

extension Live.Library {
    /// Credit for messages, both ways, judged by a raw server (section 3.8).
    @Suite("Client library: credit") struct ClientCredit {
        @Test("3.8-1 The client goes as far as the limit, waits in `send`, and goes on with the next one")
        func limits() async throws {
            let (waits, wait) = AsyncStream<UInt64>.makeStream()
            try await withRawServer { listener in
                defer { wait.finish() }
                let peer = try listener.accept()
                let hello = try peer.greet(.twoWay(credit: 1000))
                try demand(hello.option(4) == bigEndian(UInt64(4 << 20)), "4.12: CREDIT")
                // A message of 30 bytes costs 42.
                var cost: UInt64 = 0
                var count: UInt64 = 0
                for limit: UInt64 in [1000, 1001, 1008, 1009, 5000] {
                    if limit > 1000 { try peer.send(.grant(limit: limit, handled: count)) }
                    while cost < limit {
                        try demand(try peer.next(.message).payload.count == 30)
                        cost += 42
                        count += 1
                    }
                    try demand(try peer.nextIfAny(within: .milliseconds(50)) == nil, "3.8-1: beyond \(limit)")
                    wait.yield(count)
                }
                wait.finish()
                try peer.send(.grant(limit: 100_000, handled: count))
                while count < 200 {
                    _ = try peer.next(.message)
                    count += 1
                }
                try demand(try peer.next(.goAway).notice?.code == .normal, "3.8-10")
                try peer.send(.ping(1))
                try demand(try peer.next(.pong).nonce == 1, "3.8-10: its heart goes on beating")
                try peer.send(.grant(limit: 100_000, handled: 199))
                try peer.send(.close())
                try demand(try peer.takeClose().code == .normal)
                peer.close()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: once())
                let sender = Task {
                    for number in 1...200 {
                        let sent = try await connection.send([UInt8](repeating: 1, count: 30))
                        #expect(sent == number)
                    }
                }
                for await count in waits { #expect(connection.messageCounts.sent >= count) }
                try await sender.value
                let counts = await connection.close()
                #expect(counts.sent == 200 && counts.handled == 199 && counts.unconfirmed == 1)
                #expect(!counts.areAllHandled)
                var story: [ConnectionEvent] = []
                for await event in connection.events { story.append(event) }
                #expect(story.suffix(2).first == .messagesUnconfirmed(numbers: 200...200))
            }
        }

        @Test("A server of 1.1 without credit bounds nothing, and close() does not wait for what it never says")
        func without() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay())
                for _ in 0..<1000 { _ = try peer.next(.message) }
                try peer.seeOff()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: once())
                for _ in 0..<1000 { try await connection.send([1]) }
                let counts = await connection.close()
                #expect(counts.sent == 1000 && counts.untold == 1000 && counts.unconfirmed == 0)
            }
        }

        @Test("A server that dies: the client knows which messages are handled, and of which it knows nothing")
        func dies() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1 << 20))
                for _ in 0..<100 { _ = try peer.next(.message) }
                try peer.send(.grant(limit: 1 << 20, handled: 60))
                // What comes behind it shows that it has come.
                try peer.send(.message([]))
                _ = try peer.next(.message)
                peer.reset()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: once())
                for number in 1...100 { #expect(try await connection.send([1]) == number) }
                for await _ in connection.messages { break }
                #expect(connection.messageCounts.handled == 60)
                try await connection.send([2])
                var unconfirmed: [ClosedRange<Int>] = []
                for await event in connection.events {
                    if case .messagesUnconfirmed(let numbers) = event { unconfirmed.append(numbers) }
                }
                #expect(unconfirmed == [61...101])
                let counts = await connection.close()
                #expect(counts.sent == 101 && counts.handled == 60 && counts.unconfirmed == 41)
            }
        }

        @Test("A server that never closes does not hold close() up beyond its limit")
        func neverCloses() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1 << 20, pingEvery: 20, deadAfter: 60_000))
                _ = try peer.next(.message)
                _ = try peer.next(.goAway)
                _ = try peer.takePing()
                try peer.seeOff()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: once())
                try await connection.send([1])
                let counts = await connection.close(within: .milliseconds(500))
                #expect(counts.sent == 1 && counts.unconfirmed == 1)
            }
        }

        @Test("A cancelled task waits for close() no longer")
        func cancelledClose() async throws {
            let (leaves, leave) = AsyncStream<Void>.makeStream()
            try await withRawServer { listener in
                defer { leave.finish() }
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1 << 20))
                _ = try peer.next(.message)
                _ = try peer.next(.goAway)
                leave.finish()
                try peer.seeOff()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: once())
                try await connection.send([1])
                let closing = Task { await connection.close(within: .seconds(600)) }
                for await _ in leaves {}
                closing.cancel()
                #expect(await closing.value.unconfirmed == 1)
            }
        }

        @Test("3.8-4, 3.8-5 The server is let on while the program reads, and nothing is dropped")
        func reading() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                let hello = try peer.greet(.twoWay(credit: 1 << 20))
                try demand(hello.option(4) == bigEndian(UInt64(10_000)))
                // The program reads when this comes back.
                try peer.send(.message([]))
                _ = try peer.next(.message)
                try peer.send(.grant(limit: 1 << 20, handled: 1))
                var limit: UInt64 = 10_000
                var cost: UInt64 = 12
                var handled: UInt64 = 0
                var grants = 0
                for number in 0..<5000 {
                    while cost >= limit {
                        let grant = try peer.next(.grant)
                        try demand(grant.limit > limit && grant.handled >= handled, "3.8-4: \(grant)")
                        try demand(grant.handled <= number + 1, "3.8-6")
                        (limit, handled) = (grant.limit, grant.handled)
                        grants += 1
                    }
                    try peer.send(.message(bigEndian(UInt64(number))))
                    cost += 20
                }
                // 100,000 in halves of 10,000, and a few where both are quick.
                try demand(grants <= 5000 / 250 + 5, "\(grants) frames of CREDIT")
                // The last of them is known by a PONG.
                var frame = try peer.next()
                // It may have come before the request, too.
                while frame.type == .grant {
                    handled = frame.handled
                    frame = try peer.next()
                }
                try demand(frame.type == .request)
                try peer.send(.ping(1))
                frame = try peer.next()
                while frame.type == .grant {
                    handled = frame.handled
                    frame = try peer.next()
                }
                try demand(handled == 5001, "3.8-8: \(handled)")
                try peer.send(.response(1, []))
                try peer.seeOff(lastID: 1)
            } _: { port in
                let connection = try await LongConnection.open(
                    host: "127.0.0.1", port: port, options: once(unread: 10_000))
                var reader = connection.messages.makeAsyncIterator()
                _ = await reader.next()
                try await connection.send([])
                for number: UInt64 in 0..<5000 {
                    let message = await reader.next()
                    guard message == bigEndian(number) else {
                        Issue.record("\(number) is \(String(describing: message))")
                        break
                    }
                }
                _ = try await connection.request([1])
                #expect(connection.messages.dropped == 0)
                await connection.close()
            }
        }

        @Test("3.8-4 The server waits while the program that reads has stopped, and goes on with it")
        func stopping() async throws {
            let (blocks, block) = AsyncStream<Void>.makeStream()
            try await withRawServer { listener in
                defer { block.finish() }
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1 << 20))
                try peer.send(.message([UInt8](repeating: 1, count: 100)))
                _ = try peer.next(.message)
                // The first was read; this is what 10,000 allow, and the last goes beyond.
                for _ in 0..<89 { try peer.send(.message([UInt8](repeating: 2, count: 100))) }
                try demand(try peer.nextIfAny(within: .milliseconds(100)) == nil, "3.8: CREDIT for what nobody read")
                block.finish()
                let grant = try peer.next(.grant)
                try demand(grant.limit >= 15_000, "\(grant)")
                try peer.readToEnd()
            } _: { port in
                let connection = try await LongConnection.open(
                    host: "127.0.0.1", port: port, options: once(unread: 10_000))
                var reader = connection.messages.makeAsyncIterator()
                _ = await reader.next()
                try await connection.send([])
                for await _ in blocks {}
                for _ in 0..<89 { _ = await reader.next() }
                await connection.close(within: .zero)
            }
        }

        @Test("3.8-6 A program that never reads drops the oldest, and the server goes on; it is told of none handled")
        func neverReading() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1 << 20))
                var limit: UInt64 = 10_000
                var cost: UInt64 = 0
                for _ in 0..<1000 {
                    while cost >= limit {
                        let grant = try peer.next(.grant)
                        try demand(grant.handled == 0, "3.8-6: \(grant)")
                        limit = grant.limit
                    }
                    try peer.send(.message([UInt8](repeating: 1, count: 88)))
                    cost += 100
                }
                var frame = try peer.next()
                while frame.type == .grant { frame = try peer.next() }
                try peer.send(.response(frame.id, []))
                try peer.seeOff(lastID: 1)
            } _: { port in
                let connection = try await LongConnection.open(
                    host: "127.0.0.1", port: port, options: once(unread: 10_000))
                for await case .messagesDropped(let count) in connection.events where count >= 900 { break }
                _ = try await connection.request([1])
                await connection.close()
            }
        }

        @Test("M1 A message at the limit is a violation")
        func beyond() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay(credit: 1))
                // The second begins at the limit that was told; the program has read neither.
                try peer.send(.message([UInt8](repeating: 1, count: 88)), .message([]), .message([]))
                try peer.takeDrop(.protocolError)
            } _: { port in
                let connection = try LongConnection.start(
                    host: "127.0.0.1", port: port, options: once(unread: 100))
                for await case .closed in connection.events { break }
            }
        }
    }
}
