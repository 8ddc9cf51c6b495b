import RawWire

extension Case<ClientBench> {
    /// Section 5.12, and what 1.1 changes in 5.3, 5.9 and 5.10.
    static let section5Windows: [Case] =
        [2000, 8000, 30_000].map { (deadAfter: UInt32) in
            Case(
                "5.12", deadAfter == 2000 ? "5.12-1" : "5.12-3",
                "With a dead_after of \(deadAfter) ms a request keeps to the first window, and PINGs open it"
            ) { bench in
                let (peer, line) = try bench.openHeld(deadAfter: deadAfter)
                let frames = try bench.held(on: peer)
                bench.expectFirstWindow(frames, deadAfter: deadAfter)
                bench.expect(try bench.rest(of: frames, on: peer) == line, "the same bytes", got: "others")
                let id = frames.first(where: \.isMessage)?.id ?? 0
                try bench.send(.response(id, [1]), on: peer)
                try bench.expectAlive(on: peer, "the request was answered")
            }
        }
        + [
            Case("5.12", "5.12-1", "A short connection has a send window too") { bench in
                let (peer, line) = try bench.openHeld(.short, deadAfter: 8000)
                let frames = try bench.held(on: peer)
                bench.expectFirstWindow(frames, deadAfter: 8000)
                bench.expect(try bench.rest(of: frames, on: peer) == line, "the same bytes", got: "others")
            },
            Case("5.12", "5.12-1", "A server of 1.0 gets all, whatever it answers") { bench in
                let (peer, _, _) = try bench.openIdle()
                let line = String(repeating: "x", count: longest)
                try bench.ask(line)
                let bytes = try bench.rest(of: [], on: peer, answering: false)
                bench.expect(bytes == Array(line.utf8), "the same bytes", got: "\(bytes.count) others")
            },
            Case("5.12", "5.12-2", "The PONG to the first PING of a request opens the window: more of it comes") {
                bench in
                let (peer, _) = try bench.openHeld(deadAfter: 8000)
                let frames = try bench.held(on: peer)
                guard let begins = frames.firstIndex(where: \.isMessage),
                    let ping = frames[begins...].first(where: { $0.type == .ping })
                else { throw Unexpected("expected a PING behind messages, got \(frames)") }
                try bench.send(.pong(to: ping), on: peer)
                let frame = try bench.wait(for: .request, on: peer, within: RawPeer.patience)
                bench.expect(frame.type == .request, "more of the request", got: "\(frame)")
            },
            Case("5.12", "5.12-2", "A request that is read and proved at once comes whole, and its PINGs cost nothing")
            {
                bench in
                // In short chunks, so that too many PINGs among them are not paid for.
                let (peer, _, _) = try bench.openBounded(pingEvery: 15_000, deadAfter: 30_000, maxFrame: 256)
                let line = String(repeating: "x", count: 250_000)
                try bench.ask(line)
                let request = try bench.takeRequest(on: peer)
                bench.expect(request.text == line, "the same bytes", got: "others")
            },
            Case("5.12", "5.12-4", "On a slow path no PING waits for a quarter of dead_after", level: .should) {
                bench in
                let (peer, _) = try bench.openHeld(deadAfter: 2000, count: 80_000)
                try bench.expectShortQueue(on: peer, deadAfter: 2000)
            },
            Case("5.12", "5.4-1", "A PING is answered at once while a request is held back") { bench in
                let (peer, _) = try bench.openHeld(deadAfter: 8000)
                _ = try bench.held(on: peer)
                var nonce: UInt64 = 0
                try bench.expectBetween("PONG", .zero, bench.times.latest(.zero, of: 8000)) {
                    nonce += 1
                    let sentAt = SuspendingClock.now
                    try bench.send(.ping(nonce), on: peer)
                    let pong = try bench.wait(for: .pong, on: peer, within: RawPeer.patience)
                    bench.expect(pong.nonce == nonce, "PONG \(nonce)", got: "\(pong)")
                    return sentAt.duration(to: peer.heardAt)
                }
            },
            Case(
                "5.3", "5.3-2",
                "A client that has proof sends a PING between dead_after / 2 and a slack more after its last byte"
            ) { bench in
                let deadAfter = max(1000, bench.times.deadAfter)
                let half = bench.milliseconds(deadAfter / 2)
                try bench.expectBetween("a PING", half, bench.times.latest(half, of: deadAfter)) {
                    let (peer, _, id) = try bench.openBounded(
                        pingEvery: deadAfter / 2, deadAfter: deadAfter, busy: true)
                    let ping = try bench.wait(for: .ping, on: peer, within: .seconds(3))
                    // Its PONG to this is the last byte; the proof of the response puts off the PINGs of 5.2.
                    try bench.send(.pong(to: ping), on: peer)
                    try bench.pause(.milliseconds(10))
                    let start = SuspendingClock.now
                    try bench.send(.ping(1), on: peer)
                    _ = try bench.wait(for: .pong, on: peer, within: .seconds(2))
                    try bench.pause(max(.zero, half * 0.75 - start.age))
                    try bench.send(.response(id, [1]), on: peer)
                    _ = try bench.wait(for: .ping, on: peer, within: .seconds(3))
                    return start.duration(to: peer.heardAt)
                }
            },
            Case("5.9", "5.9-3", "A server that reads, and proves nothing, is dropped with SLOW_READER in time") {
                bench in
                let deadAfter = max(500, bench.times.deadAfter)
                let dead = bench.milliseconds(deadAfter)
                try bench.expectBetween("SLOW_READER", dead, bench.times.latest(dead, of: deadAfter), samples: 2) {
                    let (peer, _, _) = try bench.openBounded(pingEvery: deadAfter / 4, deadAfter: deadAfter)
                    // Its PONG comes late: it proves the round trip, so that NO_ROUND_TRIP is later, and no byte.
                    let first = try bench.wait(for: .ping, on: peer, within: .seconds(3))
                    try bench.send(.pong(to: first), on: peer)
                    let idle = try bench.wait(for: .ping, on: peer, within: .seconds(3))
                    let start = SuspendingClock.now
                    try bench.ask(String(repeating: "x", count: longest))
                    var hasPong = false
                    return try bench.timeOfClose(
                        .slowReader, on: peer, since: start, within: dead * 3, each: bench.part(0.1, of: deadAfter)
                    ) {
                        try? peer.send(.message([1]))
                        guard !hasPong, start.age > dead * 0.5 else { return }
                        hasPong = true
                        try? peer.send(.pong(to: idle))
                    }
                }
            },
            Case("5.9", "5.9-3", "A server that answers each PING after 0.7 of dead_after gets all") { bench in
                let deadAfter = max(500, bench.times.deadAfter)
                let (peer, line) = try bench.openHeld(deadAfter: deadAfter, count: 6000)
                var pings: [(ping: RawFrame, came: Moment)] = []
                var bytes: [UInt8] = []
                while bytes.count < line.count {
                    try bench.send(.message([1]), on: peer)
                    while let frame = try peer.nextFrame(within: bench.part(0.05, of: deadAfter)) {
                        guard frame.type != .close else { throw Unexpected("expected to be kept, got \(frame)") }
                        if frame.type == .ping { pings.append((frame, peer.heardAt)) }
                        if frame.type == .request { bytes += frame.payload }
                    }
                    while let first = pings.first, first.came.age >= bench.part(0.7, of: deadAfter) {
                        pings.removeFirst()
                        try bench.send(.pong(to: first.ping), on: peer)
                    }
                    if let ending = peer.ending { throw Unexpected("expected to be kept, got \(ending)") }
                }
                bench.expect(bytes == line, "the same bytes", got: "others")
            },
        ] + boundedBuckets

    private static let longest = 100_000

    private static func bulk(_ count: Int) -> RawFrame {
        .message([UInt8](repeating: 1, count: count - RawFrame.headerLength))
    }

    private static let boundedBuckets: [Case] = [
        free("40 PINGs, each behind a MESSAGE of 1024 bytes with its header,") { [bulk(1024), .ping($0)] },
        free("60 empty MESSAGEs", count: 60) { _ in [.message([])] },
        flood("PINGs alone") { [.ping($0)] },
        flood("PINGs, each behind a MESSAGE of 1023 bytes with its header,") { [bulk(1023), .ping($0)] },
        flood("PINGs, each behind another that 2048 bytes of MESSAGEs make free,") {
            [bulk(2048), .ping($0 * 2), .ping($0 * 2 + 1)]
        },
        Case("5.10", "5.10-1", "In 1.0 a PING behind 1024 bytes of messages costs one as any") { bench in
            let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: 60_000, deadAfter: 120_000))
            try peer.send((1...21).flatMap { bulk(1024).bytes + RawFrame.ping($0).bytes })
            try bench.expectFlood(on: peer)
        },
    ]

    /// What costs nothing in 1.1.
    private static func free(
        _ sentence: String, count: UInt64 = 40, _ frames: @escaping @Sendable (UInt64) -> [RawFrame]
    ) -> Case {
        Case("5.10", "5.10-1", "In 1.1 \(sentence) cost nothing") { bench in
            let (peer, _, _) = try bench.openBounded(pingEvery: 60_000, deadAfter: 120_000)
            try bench.send((1...count).flatMap(frames).flatMap(\.bytes), on: peer)
            try bench.expectAlive(on: peer, "these frames cost nothing")
        }
    }

    /// What costs one each in 1.1.
    private static func flood(_ sentence: String, _ frames: @escaping @Sendable (UInt64) -> [RawFrame]) -> Case {
        Case("5.10", "5.10-1", "In 1.1 the 21st of \(sentence) is TOO_MANY_PINGS") { bench in
            let (peer, _, _) = try bench.openBounded(pingEvery: 60_000, deadAfter: 120_000, busy: true)
            try bench.send((1...20).flatMap(frames).flatMap(\.bytes), on: peer)
            while let frame = try peer.nextFrame(within: .milliseconds(100)) {
                bench.expect(frame.type == .pong || frame.type == .ping, "nothing but PONGs", got: "\(frame)")
            }
            try bench.send(frames(21).flatMap(\.bytes), on: peer)
            try bench.expectFlood(on: peer)
        }
    }
}

extension ClientBench {
    /// A connection on which both sides speak 1.1, and whose request "hello" is answered unless it stays `busy`. What the
    /// client has sent so far is proved.
    func openBounded(
        pingEvery: UInt32? = nil, deadAfter: UInt32, maxFrame: UInt32 = 16384, busy: Bool = false
    ) throws -> (peer: RawPeer, hello: HelloFields, id: UInt32) {
        try start(.long, "hello")
        let (peer, hello) = try greetBounded(pingEvery: pingEvery, deadAfter: deadAfter, maxFrame: maxFrame)
        let request = try takeRequest(on: peer)
        if !busy { try send(.response(request.id, request.payload), on: peer) }
        return (peer, hello, request.id)
    }

    private func greetBounded(
        pingEvery: UInt32? = nil, deadAfter: UInt32, maxFrame: UInt32 = 16384
    ) throws -> (peer: RawPeer, hello: HelloFields) {
        let peer = try accept()
        try peer.takePreface()
        let frame = try peer.take(.hello)
        guard let hello = frame.hello else { throw Unexpected("expected HELLO, got \(frame)") }
        guard hello.minor >= 1 else { throw Skip("the client speaks 1.0") }
        let welcome = welcome(minor: 1, pingEvery: pingEvery, deadAfter: deadAfter, maxFrame: maxFrame)
        try send(RawFrame.preface + welcome.bytes, on: peer)
        return (peer, hello)
    }

    /// A connection of 1.1 whose client has a line of so many bytes to send; and the line.
    fileprivate func openHeld(
        _ mode: Mode = .long, deadAfter: UInt32, count: Int = 100_000
    ) throws -> (peer: RawPeer, line: [UInt8]) {
        let line = [UInt8](repeating: 0x78, count: count)
        try start(mode, String(decoding: line, as: UTF8.self))
        return (try greetBounded(deadAfter: deadAfter).peer, line)
    }

    /// PONGs may come before CLOSE(TOO_MANY_PINGS).
    fileprivate func expectFlood(on peer: RawPeer) throws {
        try expectClose(of: peer, .tooManyPings) { frame in
            frame.type == .ping || frame.type == .pong ? nil : "expected CLOSE, got \(frame)"
        }
    }
}
