import RawWire

extension Case<ClientBench> {
    /// Section 6: what comes before WELCOME.
    static let section6: [Case] = [
        Case("6", "6-6", "Before WELCOME only HELLO, REQUEST, CANCEL and CLOSE are sent") { bench in
            try bench.start(.long, "hello")
            let peer = try bench.accept()
            for frame in try bench.early(on: peer, for: bench.part(0.7, of: bench.times.deadAfter)) {
                let isAllowed = [RawFrame.Kind.request, .cancel, .close].contains(frame.type)
                bench.expect(isAllowed, "nothing else before WELCOME", got: "\(frame)")
            }
        },
        Case("6", "6-7", "An early REQUEST has a payload of at most 256 bytes") { bench in
            try bench.start(.long, String(repeating: "x", count: 5000))
            let peer = try bench.accept()
            for frame in try bench.early(on: peer) {
                bench.expect(frame.payload.count <= 256, "at most 256 bytes", got: "\(frame)")
            }
        },
        Case("6", "6-7", "An early REQUEST of a short connection has a payload of at most 256 bytes") { bench in
            try bench.start(.short, String(repeating: "x", count: 5000))
            let peer = try bench.accept()
            for frame in try bench.early(on: peer) {
                bench.expect(frame.payload.count <= 256, "at most 256 bytes", got: "\(frame)")
            }
        },
        Case("6", "6-7", "What was held back before WELCOME comes behind it, and the request is whole") { bench in
            let line = String((0..<5000).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
            try bench.start(.long, line)
            let peer = try bench.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
            var text = ""
            var isWhole = false
            while !isWhole, let frame = try peer.nextFrame(within: .milliseconds(100)), frame.type == .request {
                (text, isWhole) = (text + frame.text, !frame.hasMore)
            }
            try bench.send(RawFrame.preface + RawFrame.welcome().bytes, on: peer)
            if !isWhole { text += try bench.takeRequest(on: peer).text }
            bench.expect(text == line, "the request of 5000 bytes", got: "\(text.count) bytes")
        },
        Case("6", "6-8", "Before WELCOME there is at most one request", level: .should) { bench in
            try bench.start(.long, "one", "two", "three")
            let peer = try bench.accept()
            let ids = Set(try bench.early(on: peer).filter { $0.type == .request }.map(\.id))
            bench.expect(ids.count <= 1, "one request", got: "\(ids.count)")
        },
        Case("6", "6-8", "Before WELCOME there are at most 16384 bytes of a request", level: .should) { bench in
            try bench.start(.long, String(repeating: "x", count: 100_000))
            let peer = try bench.accept()
            let count = try bench.early(on: peer).map(\.payload.count).reduce(0, +)
            bench.expect(count <= 16384, "at most 16384 bytes", got: "\(count)")
        },
        Case("6", "6-6", "An early request that is refused by a limit is an ending like any other") { bench in
            let (peer, _, id) = try bench.openBusy(welcome: .welcome(maxMessage: 5))
            try bench.send(.failure(id, .refused, "full"), .ping(1), on: peer)
            var frame = try bench.next(on: peer)
            while frame.type == .request { frame = try bench.next(on: peer) }
            bench.expect(frame == .pong(1), "PONG 1", got: "\(frame)")
        },
    ]
}

extension ClientBench {
    /// All frames behind HELLO that come before WELCOME, which is not sent.
    fileprivate func early(on peer: RawPeer, for duration: Duration = .milliseconds(200)) throws -> [RawFrame] {
        try peer.takePreface()
        _ = try peer.take(.hello)
        var frames: [RawFrame] = []
        let deadline = SuspendingClock.now + duration
        while let frame = try peer.nextFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline))) {
            frames.append(frame)
        }
        return frames
    }
}
