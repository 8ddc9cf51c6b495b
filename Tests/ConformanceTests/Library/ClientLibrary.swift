import Glibc
import LifelineClient
import Testing
import RawWire

extension Live.Library {
    /// The client library, judged by a raw server: what it promises to a program. The library is the thing under test;
    /// none of its constants is used to judge it.
    @Suite("Client library: requests and messages") struct ClientLibrary {
        @Test("7.7-1 Many requests are in flight at once, and each gets its own answer in whatever order they come")
        func anyOrder() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet()
                var requests: [RawFrame] = []
                while requests.count < 100 { requests.append(try peer.takeRequest()) }
                for request in requests.shuffled() { try peer.send(.response(request.id, request.payload + [0x21])) }
                try peer.seeOff(lastID: 100)
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<100 {
                        group.addTask {
                            let message = Array("request \(number)".utf8)
                            return try await connection.request(message) == message + [0x21]
                        }
                    }
                    for try await isRight in group { #expect(isRight) }
                }
                await connection.close()
            }
        }

        @Test(
            "3.6-8 The client keeps to max_in_flight and max_queued, so that nothing need be refused",
            arguments: [
                UInt32(5), 256,
            ])
        func room(_ maxInFlight: UInt32) async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.welcome(maxMessage: 100, maxInFlight: maxInFlight, maxQueued: 400))
                let most = min(Int(maxInFlight), 4)
                var unanswered: [RawFrame] = []
                var answered = 0
                while answered < 40 {
                    while unanswered.count < min(most, 40 - answered) { unanswered.append(try peer.takeRequest()) }
                    try demand(try peer.nextIfAny(within: .milliseconds(5)) == nil, "over the server's limits")
                    let request = unanswered.removeLast()
                    try peer.send(.response(request.id, []))
                    answered += 1
                }
                try peer.seeOff(lastID: 40)
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<40 {
                        group.addTask { _ = try await connection.request([UInt8](repeating: 1, count: 100)) }
                    }
                    try await group.waitForAll()
                }
                await connection.close()
            }
        }

        @Test("4.8-1, 3.6-6 A cancelled task and a timeout become CANCEL on the wire; the caller is told at once")
        func cancelled() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet()
                for id: UInt32 in 1...2 {
                    try demand(try peer.takeRequest().id == id)
                    if id == 1 { try peer.send(.message([1])) }
                    try demand(try peer.next() == .cancel(id))
                }
                // Endings of what was cancelled are still taken, whichever they are.
                try peer.send(.failure(1, .cancelled), .response(2, [1]))
                try demand(try peer.echo().text == "last")
                try peer.seeOff(lastID: 3)
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                let request = Task { try await connection.request([1]) }
                // The server's message says that the request is there.
                for await _ in connection.messages { break }
                request.cancel()
                #expect(await failure { try await request.value } as? RequestError == .unknown(.cancelled))
                let late = await failure { try await connection.request([2], timeout: .milliseconds(100)) }
                #expect(late as? RequestError == .unknown(.timedOut))
                #expect(try await connection.request(Array("last".utf8)) == Array("last".utf8))
                await connection.close()
            }
        }

        @Test("5.10-2 CANCELs are held back before the server's bucket is empty")
        func cancels() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 30_000, deadAfter: 60_000))
                var ids: Set<UInt32> = []
                while ids.count < 40 { ids.insert(try peer.takeRequest().id) }
                var cancels = 0
                while let frame = try peer.nextIfAny(within: .seconds(1)) {
                    cancels += frame.type == .cancel ? 1 : 0
                }
                try demand((1...20).contains(cancels), "5.10-1: \(cancels) CANCELs")
                peer.reset()
            } _: { port in
                var options = ClientOptions()
                options.reconnect = .never
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: options)
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<40 {
                        group.addTask { _ = try? await connection.request([1], timeout: .milliseconds(100)) }
                    }
                }
                await connection.close()
            }
        }

        @Test("4.7 One-way messages go both ways, in order, of any length")
        func messages() async throws {
            let sizes = [0, 1, 16384, 16385, 200_000, 3]
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet()
                for size in sizes {
                    var bytes: [UInt8] = []
                    var chunk = try peer.next(.message)
                    bytes += chunk.payload
                    while chunk.hasMore {
                        chunk = try peer.next(.message)
                        bytes += chunk.payload
                    }
                    try demand(bytes == [UInt8](repeating: 7, count: size))
                }
                for number: UInt8 in 0..<50 { try peer.send(.message([number], more: true), .message([number])) }
                try peer.seeOff()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                for size in sizes { try await connection.send([UInt8](repeating: 7, count: size)) }
                var number: UInt8 = 0
                for await message in connection.messages {
                    #expect(message == [number, number])
                    number += 1
                    if number == 50 { break }
                }
                await connection.close()
            }
        }

        @Test("Sending is held back while the server does not read")
        func backPressure() async throws {
            let (begins, begin) = AsyncStream<Void>.makeStream()
            try await withRawServer { listener in
                defer { begin.finish() }
                let peer = try listener.accept()
                try peer.greet(.welcome(maxMessage: 1 << 20, maxQueued: 1 << 20))
                // Until the kernel is full the client writes; then nothing moves.
                var held = -1
                let isFull = eventually {
                    let now = peer.bytesInKernel ?? 0
                    defer { held = now }
                    poll(nil, 0, 30)
                    return now == held && now > 0
                }
                try demand(isFull)
                begin.finish()
                var whole = 0
                while whole < 30 { whole += try peer.next(.message).hasMore ? 0 : 1 }
                try peer.seeOff()
            } _: { port in
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port)
                let sent = Counter()
                let sender = Task {
                    for _ in 0..<30 {
                        try await connection.send([UInt8](repeating: 1, count: 1 << 20))
                        sent.add()
                    }
                }
                for await _ in begins {}
                #expect(sent.value < 30, "30 MiB were taken though nobody reads")
                try await sender.value
                #expect(sent.value == 30)
                await connection.close()
            }
        }

        @Test("3.5-8 Messages that the program does not read are bounded, and those that go are counted and told")
        func unread() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet()
                for _ in 0..<100 { try peer.send(.message([UInt8](repeating: 1, count: 1000))) }
                try demand(try peer.echo().payload == [9])
                try peer.seeOff(lastID: 1)
            } _: { port in
                var options = ClientOptions()
                options.unreadMessages = 10_000
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: options)
                // Its answer comes behind the messages.
                _ = try await connection.request([9])
                #expect((90..<100).contains(connection.messages.dropped))
                await connection.close()
                var left = 0
                for await _ in connection.messages { left += 1 }
                #expect(left == 100 - connection.messages.dropped)
                var told = 0
                for await case .messagesDropped(let count) in connection.events { told = count }
                #expect(told == connection.messages.dropped)
            }
        }
    }
}
