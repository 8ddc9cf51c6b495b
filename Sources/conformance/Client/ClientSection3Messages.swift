import RawWire

extension Case<ClientBench> {
    /// Sections 3.5 and 3.6: messages in chunks, the ids of requests.
    static let section3Messages: [Case] =
        [
            Case("3.5", "3.5-1", "A RESPONSE with MORE and no byte is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [], more: true), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.5", "3.5-1", "A MESSAGE with MORE and no byte is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.message([], more: true).bytes)
            },
            Case("3.5", "3.5-1", "The last chunk may be empty") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.message([1], more: true), .message([]), on: peer)
                try bench.send(.response(id, [1], more: true), .response(id, []), on: peer)
                try bench.expectAlive(on: peer, "an empty last chunk ends a message")
            },
            Case("3.5", "3.5-1", "A response of no byte is an answer") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, []), on: peer)
                try bench.expectAlive(on: peer, "an empty response is whole")
            },
            Case("3.5", "3.5-2", "A chunk with another id is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [1], more: true), .response(id + 1, [2]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.5", "3.5-3", "A MESSAGE between the chunks of a response is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [1], more: true), .message([1]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.5", "3.5-3", "A RESPONSE between the chunks of a MESSAGE is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.message([1], more: true), .response(id, [1]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.5", "3.5-3", "The chunks of a request come one behind the other, with no other message between") {
                bench in
                let (peer, _, _) = try bench.openIdle(welcome: .welcome(maxFrame: 256))
                try bench.ask(String(repeating: "x", count: 50_000))
                for _ in 0..<3 { try bench.ask("between") }
                let request = try bench.takeRequest(on: peer)
                bench.expect(request.payload.count == 50_000, "a request of 50000 bytes", got: "\(request)")
            },
            Case("3.5", "3.5-2", "A response in chunks of one byte each is the response") { bench in
                let (peer, _, id) = try bench.openBusy()
                let chunks = (0..<200).flatMap { RawFrame.response(id, [UInt8($0)], more: $0 < 199).bytes }
                try bench.send(chunks, on: peer)
                try bench.expectAlive(on: peer, "the response is whole")
            },
            Case("3.5", "3.5-4", "Nothing is sent of a request that is longer than max_message") { bench in
                try bench.expectNothing(of: "eleven byte", maxMessage: 10)
            },
            Case("3.5", "3.5-4", "With a max_message of 0 no request but an empty one is sent") { bench in
                try bench.expectNothing(of: "x", maxMessage: 0)
            },
            Case("3.5", "3.5-4", "A request of exactly max_message is sent") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: .welcome(maxMessage: 10))
                try bench.ask("ten bytes!")
                let request = try bench.takeRequest(on: peer)
                bench.expect(request.text == "ten bytes!", "the request of ten bytes", got: "\(request)")
            },
            Case("3.5", "3.5-5", "A response that grows over the client's max_message is a MESSAGE_TOO_LARGE") {
                bench in
                try bench.expectTooLong { id, bytes, more in .response(id, bytes, more: more) }
            },
            Case("3.5", "3.5-5", "A MESSAGE that grows over the client's max_message is a MESSAGE_TOO_LARGE") { bench in
                try bench.expectTooLong { _, bytes, more in .message(bytes, more: more) }
            },
            Case("3.5", "3.5-5", "A response of exactly the client's max_message is taken") { bench in
                let (peer, hello, id) = try bench.openBusy()
                let bytes = try bench.fill(hello) { bytes in .response(id, bytes, more: true) }
                try peer.send(bytes + RawFrame.response(id, []).bytes)
                try bench.expectAlive(on: peer, "max_message may be used")
            },
            Case("3.5", "3.5-7", "A MESSAGE is not answered") { bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send(.message([1, 2, 3]), .message([4], more: true), .message([5]), .ping(9), on: peer)
                let frame = try bench.next(on: peer)
                bench.expect(frame == .pong(9), "nothing but PONG 9", got: "\(frame)")
            },
            Case("3.5", "3.5-8", "A flood of MESSAGEs is taken or discarded, and the connection goes on") { bench in
                let (peer, _, _) = try bench.openIdle()
                let messages = (0..<64).flatMap { _ in RawFrame.message([UInt8](repeating: 0x61, count: 16000)).bytes }
                for _ in 0..<8 { try peer.send(messages, within: .seconds(20)) }
                try bench.send(.ping(9), on: peer)
                let frame = try bench.next(on: peer)
                bench.expect(frame == .pong(9), "PONG 9", got: "\(frame)")
                try bench.expectAlive(on: peer, "MESSAGEs without room are discarded")
            },
            Case("3.6", "3.6-1", "The ids of requests rise, and are not 0") { bench in
                let (peer, _, first) = try bench.openIdle()
                var last = first
                for index in 0..<10 { try bench.ask("line \(index)") }
                for _ in 0..<10 {
                    let request = try bench.takeRequest(on: peer)
                    bench.expect(request.id > last, "an id above \(last)", got: "\(request.id)")
                    last = request.id
                    try bench.send(.response(request.id, request.payload), on: peer)
                }
            },
            Case("3.6", "3.6-4", "A RESPONSE for a request whose last chunk is not sent is a PROTOCOL_ERROR") { bench in
                let (peer, id) = try bench.openStuck()
                try bench.send(.response(id, [1]), on: peer)
                try bench.expectDrop(ofStuck: peer, .protocolError)
            },
            Case("3.6", "3.6-5", "A RESPONSE with an id that was never sent is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.response(1000, []).bytes)
            },
            Case("3.6", "3.6-5", "A FAILURE with an id that was never sent is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.failure(1000, .handlerFailed).bytes)
            },
            Case("3.6", "3.6-5", "A second RESPONSE to a request is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [1]), .response(id, [1]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.6", "3.6-5", "A FAILURE behind the RESPONSE is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [1]), .failure(id, .handlerFailed), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.6", "3.6-5", "A RESPONSE behind the FAILURE is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.failure(id, .handlerFailed), .response(id, [1]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("3.6", "3.6-8", "No more requests are unanswered than max_in_flight", level: .should) { bench in
                let (peer, _, _) = try bench.openIdle(welcome: .welcome(maxInFlight: 2))
                for index in 0..<6 { try bench.ask("line \(index)") }
                var ids: [UInt32] = []
                for _ in 0..<6 {
                    while let frame = try peer.nextFrame(within: ids.isEmpty ? .seconds(5) : .milliseconds(100)) {
                        if frame.type == .ping { try peer.send(.pong(to: frame)) }
                        if frame.type == .request { ids.append(frame.id) }
                        bench.expect(ids.count <= 2, "at most 2 unanswered requests", got: "\(ids.count)")
                    }
                    guard !ids.isEmpty else { return bench.fail("expected a request, got none") }
                    try bench.send(.response(ids.removeFirst(), [1]), on: peer)
                }
            },
            Case("3.6", "3.6-8", "A request that is refused ends nothing but itself") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.failure(id, .refused, "full"), on: peer)
                try bench.ask("alive")
                let request = try bench.takeRequest(on: peer)
                bench.expect(request.id > id, "another request", got: "\(request)")
            },
            Case("3.6", "3.6-11", "After FAILURE for a request that is not whole, CANCEL or the rest of it comes") {
                bench in
                let ending = try bench.endingOfFailed().ending
                bench.expect(ending.type == .cancel || !ending.hasMore, "CANCEL or the last chunk", got: "\(ending)")
            },
            Case(
                "3.6", "3.6-12", "After FAILURE for a request that is not whole, CANCEL comes and not the rest of it",
                level: .should
            ) { bench in
                let ending = try bench.endingOfFailed().ending
                bench.expect(ending.type == .cancel, "CANCEL", got: "\(ending)")
            },
        ]
        + [256, 512, 1024].map { count in
            Case("3.5", "3.5-1", "A request of \(count) bytes in chunks of 256 has none that is empty and not the last")
            {
                bench in
                let (peer, _, _) = try bench.openIdle(welcome: .welcome(maxFrame: 256))
                try bench.ask(String(repeating: "x", count: count))
                let chunks = try bench.takeChunks(on: peer)
                bench.expect(!chunks.dropLast().contains(0), "no empty chunk", got: "\(chunks)")
                bench.expect(chunks.reduce(0, +) == count, "\(count) bytes in all", got: "\(chunks)")
            }
        }
}

extension ClientBench {
    /// Nothing of `line` is sent; a request that fits, or the end of the connection, comes after it.
    fileprivate func expectNothing(of line: String, maxMessage: UInt32) throws {
        try start(.long)
        let peer = try accept()
        _ = try greet(peer, .welcome(maxMessage: maxMessage))
        // A PONG shows that WELCOME has been read: from now on the client knows the limit.
        try send(.ping(1), on: peer)
        while try next(on: peer).type != .pong {}
        try ask(line)
        try ask("")
        while let frame = try peer.nextFrame(within: .milliseconds(300)) {
            if frame.type == .ping { try peer.send(.pong(to: frame)) }
            guard frame.type == .request else { continue }
            expect(!frame.hasMore && frame.payload.isEmpty, "nothing of '\(line)'", got: "\(frame)")
        }
    }

    /// Chunks that fill the client's max_message up to the last byte; all have MORE.
    fileprivate func fill(_ hello: HelloFields, _ frame: ([UInt8]) -> RawFrame) throws -> [UInt8] {
        guard hello.maxMessage <= 64 << 20 else {
            throw Skip("the client accepts messages of \(hello.maxMessage) bytes")
        }
        var bytes: [UInt8] = []
        var rest = Int(hello.maxMessage)
        while rest > 0 {
            let count = min(rest, Int(min(hello.maxFrame, 16384)))
            bytes += frame([UInt8](repeating: 0x61, count: count)).bytes
            rest -= count
        }
        return bytes
    }

    /// A message up to max_message, and the header of a last chunk that would take it over.
    fileprivate func expectTooLong(_ frame: (UInt32, [UInt8], Bool) -> RawFrame) throws {
        let (peer, hello, id) = try openBusy()
        let bytes = try fill(hello) { frame(id, $0, true) }
        // Not cut: a megabyte, each byte alone, takes longer than the case is worth.
        try peer.send(bytes + frame(id, [], false).with { $0.claimedLength = 1 }.bytes)
        try expectDrop(of: peer, .messageTooLarge)
    }

    /// What follows FAILURE for a request of which the client has not sent all: CANCEL, or the last chunk.
    func endingOfFailed() throws -> (peer: RawPeer, id: UInt32, ending: RawFrame) {
        let (peer, id) = try openStuck()
        try send(.failure(id, .handlerFailed), .ping(99), on: peer)
        while true {
            let frame = try next(on: peer)
            if frame.type == .cancel || (frame.type == .request && frame.id == id && !frame.hasMore) {
                return (peer, id, frame)
            }
        }
    }
}
