import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, sections 3.4 to 3.6: frames to be skipped, messages in chunks, and the ids of requests.
    @Suite("Section 3: messages and requests") struct Messages {}
}

extension Live.Wire.Messages {
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
}
