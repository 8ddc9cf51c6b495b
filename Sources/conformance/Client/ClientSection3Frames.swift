import RawWire

extension Case<ClientBench> {
    /// The rest of 3.3 and 3.4: max_frame of both sides, what a client's own frames look like, what is skipped.
    static let section3Frames: [Case] =
        [
            Case("3.3", "3.3-9", "A RESPONSE longer than the client's max_frame is a FRAME_TOO_LARGE") { bench in
                try bench.expectTooLarge { .response($0, []) }
            },
            Case("3.3", "3.3-9", "A MESSAGE longer than the client's max_frame is a FRAME_TOO_LARGE") { bench in
                try bench.expectTooLarge { _ in .message([]) }
            },
            Case("3.3", "3.3-9", "A skipped frame longer than the client's max_frame is a FRAME_TOO_LARGE") {
                bench in
                try bench.expectTooLarge { _ in .unknown(0xEE, flags: RawFrame.ignorable) }
            },
            Case("3.3", "3.3-9", "Frames of exactly the client's max_frame are taken") { bench in
                let (peer, hello, id) = try bench.openBusy()
                guard hello.maxFrame <= 1 << 20, hello.maxMessage >= hello.maxFrame else {
                    throw Skip("the client's max_frame is \(hello.maxFrame), its max_message \(hello.maxMessage)")
                }
                let bytes = [UInt8](repeating: 0x61, count: Int(hello.maxFrame))
                // Not cut: a frame of so many bytes, each alone, takes longer than the case is worth.
                try peer.send(.message(bytes), .unknown(0xEE, flags: 0x80, bytes), .response(id, bytes))
                try bench.expectAlive(on: peer, "max_frame may be used")
            },
            Case(
                "3.3", "3.3-10", "No payload is longer than 16384 bytes, whatever the server accepts", level: .should
            ) {
                bench in
                let (peer, _, _) = try bench.openIdle(
                    welcome: .welcome(maxFrame: .max, maxMessage: .max, maxQueued: .max))
                try bench.ask(String(repeating: "x", count: 100_000))
                let chunks = try bench.takeChunks(on: peer)
                bench.expect(chunks.allSatisfy { $0 <= 16384 }, "at most 16384 bytes", got: "\(chunks.max() ?? 0)")
            },
            Case("3.3", "3.3-1", "Each frame of a whole connection is well-formed, from HELLO to CLOSE") { bench in
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try bench.send(RawFrame.preface + bench.welcome(pingEvery: 20, maxFrame: 300).bytes, on: peer)
                for line in ["x", String(repeating: "y", count: 5000), "z"] {
                    let request = try bench.takeRequest(on: peer)
                    try bench.send(.response(request.id, [1]), on: peer)
                    try bench.ask(line)
                }
                try bench.send(.ping(1), on: peer)
                try bench.idle(on: peer, for: bench.milliseconds(100))
                bench.closeInput()
                _ = try? peer.send(.response(4, [1]))
                _ = try bench.wait(for: .close, on: peer, within: .seconds(1), answering: true)
            },
            Case("3.4", "3.4-4", "Unknown types with IGNORABLE are skipped, with any id and length") { bench in
                let frames = [0x00, 0x0C, 0x80, 0xFF].flatMap { (number: UInt8) in
                    [0, 1, 77, UInt32.max].map { id in
                        RawFrame.unknown(
                            number, flags: RawFrame.ignorable, id: id, [UInt8](repeating: 1, count: Int(id % 256)))
                    }
                }
                try bench.expectTaken(frames, "frames of unknown types are skipped")
            },
            Case("3.4", "3.4-4", "Unknown types with IGNORABLE are skipped between the chunks of a response") {
                bench in
                let (peer, _, id) = try bench.openBusy()
                let skipped = RawFrame.unknown(0xEE, flags: RawFrame.ignorable, id: id, [1, 2, 3])
                try bench.send(.response(id, [1], more: true), skipped, .response(id, [2], more: true), on: peer)
                try bench.send(skipped, skipped, .response(id, [3]), on: peer)
                try bench.expectAlive(on: peer, "skipped frames may come between chunks")
            },
            Case("3.4", "3.4-6", "A WELCOME with IGNORABLE is a WELCOME") { bench in
                try bench.expectAccepted(RawFrame.welcome().with { $0.flags = RawFrame.ignorable }, "it was greeted")
            },
            Case("3.4", "3.4-6", "RESPONSE and PING with IGNORABLE are what they are") { bench in
                let (peer, _, id) = try bench.openBusy()
                let response = RawFrame.response(id, [1]).with { $0.flags = RawFrame.ignorable }
                try bench.send(RawFrame.ping(9).with { $0.flags = RawFrame.ignorable }, on: peer)
                let pong = try bench.next(on: peer)
                bench.expect(pong == .pong(9), "PONG 9", got: "\(pong)")
                try bench.send(response, on: peer)
                try bench.expectAlive(on: peer, "the request was answered")
            },
            Case("3.4", "3.4-6", "CLOSE with IGNORABLE is a CLOSE") { bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send(RawFrame.close().with { $0.flags = RawFrame.ignorable }, on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("3.4", "3.4-6", "GOAWAY with IGNORABLE is a GOAWAY") { bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send(RawFrame.goAway().with { $0.flags = RawFrame.ignorable }, on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
        ]
        + [256, 300, 1000, 16384].enumerated().map { index, maxFrame in
            Case("3.3", "3.3-9", "Chunks keep to a max_frame of \(maxFrame)") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: .welcome(maxFrame: UInt32(maxFrame)))
                try bench.ask(String(repeating: "x", count: 100_000))
                let chunks = try bench.takeChunks(on: peer)
                bench.expect(chunks.allSatisfy { $0 <= maxFrame }, "at most \(maxFrame)", got: "\(chunks.max() ?? 0)")
                bench.expect(chunks.reduce(0, +) == 100_000, "100000 bytes in all", got: "\(chunks.reduce(0, +))")
            }
        } + [
            Case("3.4", "3.4-1", "No frame of a client has a flag but MORE and IGNORABLE, from HELLO to CLOSE") {
                bench in
                try bench.start(.long, "hello", String(repeating: "x", count: 1000))
                let peer = try bench.accept()
                try peer.takePreface()
                var kinds: Set<RawFrame.Kind> = []
                func look(_ frame: RawFrame) throws {
                    kinds.insert(frame.type)
                    bench.expect(frame.flags & 0x7E == 0, "no other flag", got: "\(frame)")
                    guard frame.type == .request, !frame.hasMore else { return }
                    try bench.send(.response(frame.id, [1]), on: peer)
                }
                try look(try peer.take(.hello))
                let welcome = RawFrame.welcome(pingEvery: 50, maxFrame: 300)
                try bench.send(RawFrame.preface + welcome.bytes + RawFrame.ping(1).bytes, on: peer)
                let all: Set<RawFrame.Kind> = [.hello, .request, .ping, .pong]
                while !kinds.isSuperset(of: all) { try look(try peer.takeFrame()) }
                bench.closeInput()
                while !kinds.contains(.close) { try look(try peer.takeFrame()) }
            }
        ]
}

extension ClientBench {
    /// The header of a frame of one byte more than the client accepts.
    fileprivate func expectTooLarge(_ frame: (UInt32) -> RawFrame) throws {
        let (peer, hello, id) = try openBusy()
        guard hello.maxFrame < .max else { throw Skip("the client accepts frames of any length") }
        let header = frame(id).with { $0.claimedLength = hello.maxFrame + 1 }
        try send(header.bytes, on: peer)
        try expectDrop(of: peer, .frameTooLarge)
    }

    /// The lengths of the chunks of the next request.
    func takeChunks(on peer: RawPeer) throws -> [Int] {
        var chunks: [Int] = []
        while true {
            let frame = try next(on: peer)
            guard frame.type == .request else { throw Unexpected("expected REQUEST, got \(frame)") }
            chunks.append(frame.payload.count)
            if !frame.hasMore { return chunks }
        }
    }
}
