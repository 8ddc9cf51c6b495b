import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, sections 3.4 to 3.6: frames to be skipped, messages in chunks, and the ids of requests.
    @Suite("Section 3: messages and requests") struct Messages {}
}

extension Live.Wire.Messages {
    @Test("3.4-4 A frame of an unknown type that is IGNORABLE is skipped", arguments: Chop.allCases)
    func skipped(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(
                .unknown(0x0C, flags: 0x80), .unknown(0xFF, flags: 0x80, id: 7, Array("skip me".utf8)),
                .unknown(0x77, flags: 0x80, id: .max, [UInt8](repeating: 0xA5, count: 300)), .request(1), chop: chop)
            #expect(try peer.takeFrame() == .response(1, Array("hello".utf8)))
        }
    }

    @Test("3.4-4 A skipped frame may be as long as max_frame")
    func skippedLong() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.unknown(0x77, flags: 0x80, [UInt8](repeating: 1, count: 16384)), .request(1))
            #expect(try peer.takeFrame().id == 1)
        }
    }

    @Test("3.4-6 IGNORABLE on a type that is known means nothing", arguments: Chop.allCases)
    func ignorableKnown(_ chop: Chop) throws {
        try withServer { server in
            func marked(_ frame: RawFrame) -> RawFrame { frame.with { $0.flags |= RawFrame.ignorable } }
            let peer = try server.open(marked(.hello()))
            try peer.send(
                marked(.request(1, "hel", more: true)), marked(.ping(9)), marked(.request(1, "lo")), chop: chop)
            #expect(try peer.take(.pong).nonce == 9)
            #expect(try peer.takeFrame() == .response(1, Array("hello".utf8)))
            try peer.send(marked(.close()))
            #expect(try peer.takeClose().code == .normal)
        }
    }

    @Test(
        "3.5 Where a message is cut means nothing",
        arguments: [["hello"], ["hel", "lo"], ["h", "e", "l", "l", "o"], ["hello", ""]], Chop.allCases)
    func chunks(_ pieces: [String], _ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            for (index, piece) in pieces.enumerated() {
                try peer.send(.request(1, piece, more: index + 1 < pieces.count), chop: chop)
            }
            #expect(try peer.takeFrame() == .response(1, Array("hello".utf8)))
        }
    }

    @Test("3.5 An empty request and an empty response are messages")
    func empty() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1, ""))
            #expect(try peer.takeFrame() == .response(1, []))
        }
    }

    @Test("3.5-3 PING, PONG's place, CANCEL and skipped frames may come between chunks", arguments: Chop.allCases)
    func betweenChunks(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(
                .request(1), .request(2, "hel", more: true), .ping(5), .cancel(1), .unknown(0x77, flags: 0x80, [1]),
                .request(2, "lo"), chop: chop)
            var frames = [try peer.takeFrame(), try peer.takeFrame(), try peer.takeFrame()]
            frames.sort { $0.id < $1.id }
            #expect(frames.map(\.type) == [.pong, .response, .response])
            #expect(frames.last?.text == "hello")
        }
    }

    static let breaches = [
        Breach("3.5-1", "an empty REQUEST with MORE", RawFrame.request(1, "", more: true)),
        Breach("3.5-1", "an empty MESSAGE with MORE", RawFrame.message([], more: true)),
        Breach("3.5-2", "a chunk with another id", RawFrame.request(1, "a", more: true), .request(2, "b")),
        Breach("3.5-2", "a chunk with a lower id", RawFrame.request(5, "a", more: true), .request(4, "b")),
        Breach("3.5-2", "a chunk with another type", RawFrame.request(1, "a", more: true), .message([1])),
        Breach("3.5-3", "a request between the chunks of a MESSAGE", RawFrame.message([1], more: true), .request(1)),
        Breach(
            "3.5-5", "a request over max_message in one frame",
            Array(RawFrame.request(1).with { $0.claimedLength = 1001 }.bytes.prefix(12)), code: .messageTooLarge),
        Breach(
            "3.5-5", "a MESSAGE over max_message in one frame",
            Array(RawFrame.message([]).with { $0.claimedLength = 1001 }.bytes.prefix(12)), code: .messageTooLarge),
        Breach(
            "3.5-5", "a chunk that takes its message over max_message",
            RawFrame.request(1, [UInt8](repeating: 1, count: 999), more: true).bytes
                + RawFrame.request(1).with { $0.claimedLength = 2 }.bytes.prefix(12), code: .messageTooLarge),
        Breach("4.8-1", "CANCEL of a request that was never sent", RawFrame.cancel(1)),
    ]

    @Test("Chunks that break a rule are answered with CLOSE", arguments: breaches, Chop.allCases)
    func breach(_ breach: Breach, _ chop: Chop) throws {
        try withServer("--max-message", "1000") { server in
            try breach.expectDrop(of: server.open(), greeted: true, by: server, chop)
        }
    }

    @Test(
        "3.5-4 A message of exactly max_message bytes is answered, in one frame and in chunks", arguments: Chop.allCases
    )
    func exactlyMaxMessage(_ chop: Chop) throws {
        try withServer("--max-message", "1000", "--max-queued", "1000") { server in
            let peer = try server.open()
            try peer.send(.request(1, [UInt8](repeating: 1, count: 1000)), chop: chop)
            #expect(try peer.take(.response).payload.count == 1000)
            try peer.send(
                .request(2, [UInt8](repeating: 1, count: 700), more: true),
                .request(2, [UInt8](repeating: 2, count: 300)), chop: chop)
            #expect(try peer.take(.response).payload.count == 1000)
        }
    }

    @Test(
        "3.5-6 A response over the client's max_message becomes FAILURE(MESSAGE_TOO_LARGE), and the connection goes on")
    func responseTooLarge() throws {
        try withServer { server in
            let peer = try server.open(.hello(maxMessage: 4))
            try peer.send(.request(1, "hello"), .request(2, "four"))
            let failure = try peer.take(.failure)
            #expect(failure.id == 1 && failure.notice?.code == .messageTooLarge)
            #expect(try peer.takeFrame() == .response(2, Array("four".utf8)))
        }
    }

    @Test("3.5-4 max_message may be 0: only empty messages are sent then")
    func noMessage() throws {
        try withServer { server in
            let peer = try server.open(.hello(maxMessage: 0))
            try peer.send(.request(1, ""), .request(2, "x"))
            #expect(try peer.takeFrame() == .response(1, []))
            #expect(try peer.take(.failure).notice?.code == .messageTooLarge)
        }
    }

    @Test("3.3-9 A response is cut to the client's max_frame, with MORE on all chunks but the last")
    func responseChunks() throws {
        try withServer { server in
            let peer = try server.open(.hello(maxFrame: 256))
            let message = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
            try peer.send(.request(1, message))
            var chunks = [try peer.take(.response)]
            while chunks[chunks.count - 1].hasMore { chunks.append(try peer.take(.response)) }
            #expect(chunks.allSatisfy { $0.payload.count <= 256 && !$0.payload.isEmpty && $0.id == 1 })
            #expect(chunks.flatMap(\.payload) == message)
        }
    }

    @Test("3.3-10 The server sends no more than 16384 bytes in a frame, whatever the client accepts")
    func longestChunk() throws {
        try withServer("--max-frame", "1m") { server in
            let peer = try server.open(.hello(maxFrame: .max, maxMessage: .max))
            let message = [UInt8](repeating: 7, count: 100_000)
            try peer.send(.request(1, message))
            var chunks = [try peer.take(.response)]
            while chunks[chunks.count - 1].hasMore { chunks.append(try peer.take(.response)) }
            #expect(chunks.allSatisfy { $0.payload.count <= 16384 })
            #expect(chunks.flatMap(\.payload) == message)
        }
    }

    @Test("3.5-7 A MESSAGE is not answered", arguments: Chop.allCases)
    func oneWay(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(
                .message([1, 2]), .message([3], more: true), .message([4]), .message([]), .ping(1), chop: chop)
            #expect(try peer.takeFrame().type == .pong)
        }
    }

    @Test("4.8-4 A chunk of a request that was cancelled is dropped", arguments: Chop.allCases)
    func chunkAfterCancel(_ chop: Chop) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1, "a", more: true), .cancel(1), chop: chop)
            #expect(try peer.take(.failure).notice?.code == .cancelled)
            try peer.send(.request(1, "b"), chop: chop)
            let close = try peer.takeClose()
            #expect(close.code == .protocolError && close.lastID == 0)
        }
    }

    @Test("3.6-1 Ids rise, with gaps, up to the last one")
    func ids() throws {
        try withServer { server in
            let peer = try server.open()
            for id: UInt32 in [1, 2, 7, 1 << 31, .max] {
                try peer.send(.request(id, "\(id)"))
                #expect(try peer.takeFrame() == .response(id, Array("\(id)".utf8)))
            }
        }
    }

    @Test("3.6-1 A request whose id is not above all earlier ones is dropped", arguments: [5, 4, 1] as [UInt32])
    func idsMustRise(_ id: UInt32) throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(5))
            _ = try peer.take(.response)
            try peer.send(.request(id))
            let close = try peer.takeClose()
            #expect(close.code == .protocolError && close.lastID == 5)
        }
    }

    @Test("3.6-4 No byte of a response comes before the last chunk of its request")
    func noEarlyResponse() throws {
        try withServer { server in
            let peer = try server.open()
            try peer.send(.request(1, "a", more: true), .ping(1))
            #expect(try peer.takeFrame().type == .pong)
            try peer.send(.request(1, "b"), .ping(2))
            #expect(try Set([peer.takeFrame().type, peer.takeFrame().type]) == [.response, .pong])
        }
    }
}
