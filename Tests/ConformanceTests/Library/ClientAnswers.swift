import LifelineClient
import RawWire
import Testing

/// Options of a client that answers in this way, and does not come back.
private func answering(_ answer: @escaping @Sendable ([UInt8]) async throws -> [UInt8]) -> ClientOptions {
    var options = ClientOptions()
    options.reconnect = .never
    options.answer = answer
    return options
}

extension Live.Library {
    /// The client library as the side that answers, judged by a raw server (section 3.7).
    @Suite("Client library: requests of the server") struct ClientAnswers {
        @Test("3.7-4, 3.7-5 Sixteen are answered at once, the seventeenth is refused, and hearts go on beating")
        func atOnce() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                let hello = try peer.greet(.twoWay())
                try demand(hello.option(5) == bigEndian(UInt32(16)) + bigEndian(UInt32(1 << 20)), "4.12: ANSWERS")
                for id: UInt32 in 1...17 { try peer.send(.request(id, "\(id)")) }
                let refused = try peer.next(.failure)
                try demand(refused.id == 17 && refused.notice?.code == .refused, "3.7-4: \(refused)")
                try peer.send(.ping(1))
                try demand(try peer.next(.pong).nonce == 1, "3.7-5")
                // The word for which all sixteen wait.
                try peer.send(.message([1]))
                var answers: [UInt32: String] = [:]
                while answers.count < 16 {
                    let answer = try peer.next(.response)
                    answers[answer.id] = answer.text
                }
                try demand(answers == Dictionary(uniqueKeysWithValues: (1...16).map { ($0, "\($0)!") }))
                // The word that all answers are here: a program that closes before may give up the last ones.
                try peer.send(.message([2]))
                try peer.seeOff(answered: 16)
            } _: { port in
                let gate = Gate()
                let connection = try await LongConnection.open(
                    host: "127.0.0.1", port: port,
                    options: answering { request in
                        await gate.wait()
                        return request + [0x21]
                    })
                var messages = connection.messages.makeAsyncIterator()
                _ = await messages.next()
                await gate.open()
                _ = await messages.next()
                await connection.close()
            }
        }

        @Test("3.5-6 Requests and answers of 3 MB go in chunks, where both sides take such messages")
        func large() async throws {
            let bytes = [UInt8](repeating: 0x61, count: 3_000_000)
            try await withRawServer { listener in
                let peer = try listener.accept()
                let hello = try peer.greet(.twoWay(maxMessage: 4_000_000))
                try demand(hello.maxMessage == 4_000_000)
                try demand(hello.option(5) == bigEndian(UInt32(16)) + bigEndian(UInt32(4_000_000)), "4.12: ANSWERS")
                let request = try peer.takeRequest()
                let chunks = stride(from: 0, to: bytes.count, by: 16384).map { bytes[$0...].prefix(16384) }
                for (index, chunk) in chunks.enumerated() {
                    try peer.send(.request(1, Array(chunk), more: index < chunks.count - 1))
                }
                var answer: [UInt8] = []
                while answer.count < bytes.count { answer += try peer.next(.response).payload }
                try demand(answer == bytes)
                for (index, chunk) in chunks.enumerated() {
                    try peer.send(.response(request.id, Array(chunk), more: index < chunks.count - 1))
                }
                try peer.seeOff(lastID: 1, answered: 1)
            } _: { port in
                var options = answering { $0 }
                options.maxMessage = 4_000_000
                let connection = try await LongConnection.open(host: "127.0.0.1", port: port, options: options)
                #expect(try await connection.request([1]) == bytes)
                await connection.close()
            }
        }

        @Test("4.8-2 CANCEL cancels the program's task and is answered at once")
        func cancelled() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay())
                try peer.send(.request(1))
                try demand(try peer.next(.message).text == "begun")
                try peer.send(.cancel(1))
                let failure = try peer.next(.failure)
                try demand(failure.id == 1 && failure.notice?.code == .cancelled, "\(failure)")
                try demand(try peer.next(.message).text == "cancelled")
                try peer.send(.request(2))
                try demand(try peer.next(.message).text == "begun")
                // The connection ends while the second is worked on.
                peer.reset()
            } _: { port in
                let (ends, end) = AsyncStream<Void>.makeStream()
                let holder = Holder()
                let opened = try await LongConnection.open(
                    host: "127.0.0.1", port: port,
                    options: answering { _ in
                        let connection = await holder.connection()
                        try await connection.send(Array("begun".utf8))
                        await untilCancelled()
                        end.yield()
                        _ = try await Task { try await connection.send(Array("cancelled".utf8)) }.value
                        return []
                    })
                await holder.hold(opened)
                var ended = 0
                for await _ in ends {
                    ended += 1
                    if ended == 2 { break }
                }
                await opened.close()
            }
        }

        @Test("What the closure throws is FAILURE, with a code and a text")
        func failures() async throws {
            struct Trouble: Error, CustomStringConvertible {
                var description: String { String(repeating: "ü", count: 400) }
            }
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay())
                try peer.send(.request(1, "busy"), .request(2, "trouble"), .request(3, "normal"))
                var failures: [UInt32: Notice] = [:]
                while failures.count < 3 {
                    let failure = try peer.next(.failure)
                    failures[failure.id] = failure.notice
                }
                try demand(failures[1]?.code == .busy && failures[1]?.retryAfter == 1500, "\(failures)")
                try demand(failures[1]?.text == Array("later".utf8))
                try demand(failures[2]?.code == .handlerFailed, "\(failures)")
                try demand(failures[2]?.text == Array(String(repeating: "ü", count: 256).utf8), "4.9")
                try demand(failures[3]?.code == .handlerFailed, "4.9-3: \(failures)")
                try peer.send(.close())
                try demand(try peer.takeClose().lastID == 3)
                peer.close()
            } _: { port in
                let connection = try LongConnection.start(
                    host: "127.0.0.1", port: port,
                    options: answering { request in
                        switch String(decoding: request, as: UTF8.self) {
                        case "busy": throw RequestFailure(.busy, "later", retryAfter: .milliseconds(1500))
                        case "normal": throw RequestFailure(.normal, "")
                        default: throw Trouble()
                        }
                    })
                for await case .closed in connection.events { break }
            }
        }

        @Test("3.7-7 close() lets an answer end, for two seconds; CLOSE names it")
        func closing() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                try peer.greet(.twoWay())
                try peer.send(.request(1, "quick"), .request(2, "never"))
                let frames = [try peer.next(), try peer.next()]
                try demand(frames.contains { $0.type == .message && $0.text == "leaving" })
                try demand(frames.contains { $0.type == .response && $0.id == 1 })
                let before = SuspendingClock.now
                try peer.seeOff(answered: 2)
                try demand(before.duration(to: .now) < .seconds(20), "the one that never ends held the client up")
            } _: { port in
                let begun = Gate()
                let connection = try await LongConnection.open(
                    host: "127.0.0.1", port: port,
                    options: answering { request in
                        if request == Array("never".utf8) {
                            await begun.open()
                            await untilCancelled()
                        } else {
                            await begun.wait()
                        }
                        return request
                    })
                await begun.wait()
                try await connection.send(Array("leaving".utf8))
                await connection.close()
            }
        }

        @Test("3.7-1, R20 REQUEST to a client without an answering closure is a violation")
        func notAsked() async throws {
            try await withRawServer { listener in
                let peer = try listener.accept()
                let hello = try peer.greet(.twoWay())
                try demand(hello.option(5) == nil)
                try peer.send(.request(1))
                try peer.takeDrop(.protocolError)
            } _: { port in
                var options = ClientOptions()
                options.reconnect = .never
                let connection = try LongConnection.start(host: "127.0.0.1", port: port, options: options)
                for await case .closed in connection.events { break }
            }
        }
    }
}

/// Returns when the task is cancelled.
private func untilCancelled() async {
    let (stream, continuation) = AsyncStream<Void>.makeStream()
    await withTaskCancellationHandler {
        for await _ in stream {}
    } onCancel: {
        continuation.finish()
    }
}

/// A connection, for a closure that is made before it.
private actor Holder {
    private var held: LongConnection?
    private let gate = Gate()

    func hold(_ connection: LongConnection) async {
        held = connection
        await gate.open()
    }

    func connection() async -> LongConnection {
        await gate.wait()
        return held!
    }
}

/// Opens once, for all who wait.
private actor Gate {
    private var isOpen = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    func wait() async {
        if !isOpen { await withCheckedContinuation { waiters.append($0) } }
    }

    func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }
}
