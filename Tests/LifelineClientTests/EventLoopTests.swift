import Basics
import Framing
import Posix
import Testing

@testable import LifelineClient

private func withServer(
    _ welcome: Welcome = Peer.welcome, _ body: (LoopbackServer) async throws -> Void
) async throws {
    let server = try LoopbackServer(welcome)
    defer { server.stop() }
    try await body(server)
}

private func open(_ server: LoopbackServer, _ options: ClientOptions = ClientOptions()) async throws -> LongConnection {
    try await LongConnection.open(host: "127.0.0.1", port: server.port, options: options)
}

/// The library as a program uses it, over loopback, one server to a test.
@Suite(.timeLimit(.minutes(1))) struct EventLoopTests {
    @Test func manyRequestsOnManyConnections() async throws {
        try await withServer { server in
            let connections = try await withThrowingTaskGroup(of: LongConnection.self) { group in
                for _ in 0..<40 { group.addTask { try await open(server) } }
                return try await group.reduce(into: [LongConnection]()) { $0.append($1) }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for connection in connections {
                    for number in 0..<20 {
                        group.addTask {
                            let message = bytes("request \(number)")
                            let answer = try await connection.request(message)
                            #expect(answer == message)
                        }
                    }
                }
                try await group.waitForAll()
            }
            for connection in connections { await connection.close() }
            #expect(server.seen.connections == 40)
            #expect(server.seen.closes == Array(repeating: .normal, count: 40))
        }
    }

    @Test func heartsBeatWhileEveryPoolThreadIsBlocked() async throws {
        var welcome = Peer.welcome
        welcome.deadAfter = 400
        welcome.pingEvery = 50
        try await withServer(welcome) { server in
            let connection = try await open(server)
            let before = server.seen.pings
            // Far more tasks than the pool has threads, none of which lets go of its own.
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<32 {
                    group.addTask {
                        var none: [PollEntry] = []
                        _ = try? poll(&none, until: .now + .milliseconds(100))
                    }
                }
            }
            guard case .open = connection.state else {
                Issue.record("\(connection.state)")
                return
            }
            #expect(server.seen.pings > before)
            let answer = try await connection.request([1])
            #expect(answer == [1])
        }
    }

    @Test func aCancelledTaskIsToldAtOnceAndTheServerToo() async throws {
        try await withServer { server in
            let connection = try await open(server)
            let request = Task { () -> RequestError? in
                do throws(RequestError) {
                    _ = try await connection.request(bytes("never"))
                    return nil
                } catch {
                    return error
                }
            }
            while server.seen.requests == 0 { await Task.yield() }
            request.cancel()
            #expect(await request.value == .unknown(.cancelled))
            while server.seen.cancels.isEmpty { await Task.yield() }
            #expect(server.seen.cancels == [1])
            await connection.close()
        }
    }

    @Test func aTaskThatIsCancelledAlreadySendsNothing() async throws {
        try await withServer { server in
            let connection = try await open(server)
            let request = Task { () -> RequestError? in
                withUnsafeCurrentTask { $0?.cancel() }
                do throws(RequestError) {
                    _ = try await connection.request([1])
                    return nil
                } catch {
                    return error
                }
            }
            #expect(await request.value == .notSent(.cancelled))
        }
    }

    @Test func whatWasRefusedIsRepeatedOnTheNextConnection() async throws {
        try await withServer { server in
            var options = ClientOptions()
            options.reconnect = ReconnectPolicy(base: .milliseconds(1), cap: .milliseconds(1), attempts: 1)
            let connection = try await open(server, options)
            // Each connection refuses it, and each time it may be repeated. A connection that opened is no failure.
            let error = await #expect(throws: RequestError.self) {
                try await connection.request(bytes("close"), timeout: .milliseconds(200))
            }
            guard case .refused = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(server.seen.connections > 4)
            await connection.close()
            var kinds: [String] = []
            for await event in connection.events {
                switch event {
                case .lost: kinds.append("lost")
                case .reconnecting(_, _, let attempt): kinds.append("reconnecting \(attempt)")
                case .reconnected: kinds.append("reconnected")
                case .connected, .closed, .beatLate, .roundTrip, .pathTooLong, .transfer, .goingAway,
                    .messagesDropped, .messagesUnconfirmed:
                    break
                }
            }
            // The oldest events are dropped where nobody reads them.
            kinds = Array(kinds.drop { $0 != "lost" })
            #expect(Array(kinds.prefix(9)) == ["lost", "reconnecting 1", "reconnected"].repeated(3))
        }
    }

    @Test func oneWayMessagesInOrder() async throws {
        try await withServer { server in
            let connection = try await open(server)
            _ = try await connection.request(bytes("push 100"))
            await connection.close()
            var read: [String] = []
            for await message in connection.messages { read.append(String(decoding: message, as: UTF8.self)) }
            #expect(read == (0..<100).map { "\($0)" })
        }
    }

    @Test func aConnectionThatIsLetGoOfIsClosed() async throws {
        try await withServer { server in
            do {
                let connection = try await open(server)
                _ = try await connection.request([1])
            }
            while server.seen.closes.isEmpty { await Task.yield() }
            #expect(server.seen.closes == [.normal])
        }
    }

    @Test func shortRequestsOfAnySize() async throws {
        try await withServer { server in
            for length in [0, 1, 256, 257, 16384, 16385, 300_000] {
                let message = [UInt8](repeating: 7, count: length)
                let answer = try await ShortConnection.request(message, host: "localhost", port: server.port)
                #expect(answer == message)
            }
        }
    }

    @Test func nobodyListens() async throws {
        let listener = try Descriptor.listening(at: SocketAddress(host: "127.0.0.1", port: 0)!, backlog: 1)
        let port = UInt16(listener.localAddress.description.split(separator: ":").last!)!
        _ = consume listener
        let error = await #expect(throws: ConnectionError.self) {
            try await LongConnection.open(host: "127.0.0.1", port: port)
        }
        #expect(error?.kind == .unreachable)
        await #expect(throws: RequestError.self) {
            try await ShortConnection.request([1], host: "127.0.0.1", port: port)
        }
    }

    @Test func openingCanBeCancelled() async throws {
        // It accepts into its backlog and never says a word.
        let listener = try Descriptor.listening(at: SocketAddress(host: "127.0.0.1", port: 0)!, backlog: 1)
        let port = UInt16(listener.localAddress.description.split(separator: ":").last!)!
        let opening = Task { try await LongConnection.open(host: "127.0.0.1", port: port) }
        opening.cancel()
        let error = await #expect(throws: ConnectionError.self) { try await opening.value }
        #expect(error?.kind == .cancelled)
        _ = consume listener
    }

    @Test func optionsOutOfBoundsAreSaidSo() async {
        var options = ClientOptions()
        options.name = String(repeating: "n", count: 65)
        let error = await #expect(throws: ConnectionError.self) {
            try await LongConnection.open(host: "127.0.0.1", options: options)
        }
        #expect(error?.kind == .invalidOptions)
    }
}

extension Array {
    fileprivate func repeated(_ count: Int) -> [Element] { (0..<count).flatMap { _ in self } }
}
