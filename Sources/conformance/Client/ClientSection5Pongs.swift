import RawWire

extension Case<ClientBench> {
    /// Sections 5.4 and 5.10: PONGs, and floods.
    static let section5Pongs: [Case] =
        [
            Case("5.4", "5.4-1", "A PING is answered at once, with its nonce and no load") { bench in
                let deadAfter: UInt32 = 1000
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(deadAfter: deadAfter))
                try bench.expectPong(on: peer, nonces: [7, 0, .max, 1 << 63], deadAfter: deadAfter)
            },
            Case("5.4", "5.4-1", "A nonce that was used before is answered too") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(deadAfter: 1000))
                try bench.expectPong(on: peer, nonces: [7, 7, 7], deadAfter: 1000)
            },
            Case("5.4", "5.4-2", "A PING is answered at once while a request is unanswered") { bench in
                let (peer, _, _) = try bench.openBusy(welcome: bench.welcome(deadAfter: 1000))
                try bench.expectPong(on: peer, nonces: [1, 2, 3], deadAfter: 1000)
            },
            Case("5.4", "5.4-2", "A PING between the chunks of a response is answered at once") { bench in
                let (peer, _, id) = try bench.openBusy(welcome: bench.welcome(deadAfter: 1000))
                try bench.send(.response(id, [1], more: true), on: peer)
                try bench.expectPong(on: peer, nonces: [1, 2, 3], deadAfter: 1000)
            },
            Case("5.4", "5.4-1", "A PING on a short connection is answered") { bench in
                let (peer, _, _) = try bench.openBusy(.short, welcome: bench.welcome(deadAfter: 1000))
                try bench.expectPong(on: peer, nonces: [1, 2], deadAfter: 1000)
            },
            Case("5.4", "5.4-3", "A PONG overtakes a long request: at most 32780 bytes come before it") { bench in
                // A client that read the PING late makes a sample too great, never too small.
                var samples: [Int] = []
                repeat {
                    samples.append(try bench.bytesOvertaken(by: 99, on: try bench.openStuck().peer))
                } while samples.last! > 32_780 && samples.count < 3
                bench.expect(samples.last! <= 32_780, "at most 32780 bytes", got: "\(samples)")
            },
            Case("5.4", "5.4-4", "Of PINGs that come together the last is answered, and none twice") { bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send((1...15).flatMap { RawFrame.ping($0).bytes }, on: peer)
                var last: UInt64 = 0
                while last < 15 {
                    let frame = try bench.next(on: peer)
                    let nonce = frame.pong?.nonce ?? 0
                    bench.expect(nonce > last, "a PONG with a nonce above \(last)", got: "\(frame)")
                    guard nonce > last else { return }
                    last = nonce
                }
                bench.expect(last == 15, "PONG 15", got: "PONG \(last)")
                while let frame = try peer.nextFrame(within: .milliseconds(100)) {
                    bench.expect(frame.type == .ping, "no more PONGs", got: "\(frame)")
                }
            },
            Case("5.4", "5.4-4", "PONGs stuck behind other bytes are not sent one for each PING") { bench in
                // A client that reads them late answers more of them, never fewer than it owes.
                var samples: [[UInt64]] = []
                repeat {
                    samples.append(try bench.pongs(ofStuck: 18))
                } while samples.last!.count > 2 && samples.count < 3
                bench.expect(samples.last!.count <= 2, "PONG 18, and one of 5 to 17 at most", got: "\(samples)")
            },
            Case("5.4", "5.4-5", "A PONG with a nonce that no PING had is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.pong(0xFEED_BEEF_DEAD_CAFE).bytes)
            },
            Case("5.4", "5.4-5", "A second PONG for the same PING is a PROTOCOL_ERROR") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: 100, deadAfter: 10_000))
                let ping = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                try bench.send(.pong(to: ping), .pong(to: ping), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("5.4", "5.4-5", "A PONG for a PING older than one that is answered is a PROTOCOL_ERROR") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: 100, deadAfter: 10_000))
                let first = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                let second = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                try bench.send(.pong(to: second), .pong(to: first), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("5.4", "5.4-4", "A PONG answers all older PINGs too") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: 100, deadAfter: 10_000))
                _ = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                _ = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                let ping = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                try bench.send(.pong(to: ping), on: peer)
                try bench.expectAlive(on: peer, "a PONG may leave out older PINGs")
            },
            Case("5.4", "5.4-5", "A receiver judges only the nonce of a PONG: any load is taken") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: 100, deadAfter: 10_000))
                let ping = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                try bench.send(.pong(ping.nonce ?? 0, queued: .max, inFlight: .max, longest: .max), on: peer)
                try bench.expectAlive(on: peer, "any load is valid")
            },
            Case("5.4", "5.4-6", "A PONG is not answered") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: 100, deadAfter: 10_000))
                for _ in 0..<3 {
                    let ping = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                    try bench.send(.pong(to: ping), on: peer)
                    let next = try peer.nextFrame(within: .milliseconds(50))
                    bench.expect(next == nil, "nothing behind the PONG", got: "\(next.map { "\($0)" } ?? "")")
                }
            },
            Case("5.4", "5.4-3", "Each of three PINGs, between which some is read, overtakes the request that waits") {
                bench in
                let (peer, _) = try bench.openStuck()
                let samples = try (1...3).map { try bench.bytesOvertaken(by: UInt64($0), on: peer) }
                bench.expect(samples.min()! <= 32_780, "at most 32780 bytes", got: "\(samples)")
            },
            Case("5.4", "5.4-5", "The latest PING is the one that came last, not the one with the highest nonce") {
                bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.expectLatestIsAnswered(on: peer) { try bench.next(on: peer) }
            },
            Case("5.4", "5.4-5", "No PONG comes where no PING was sent, whatever else was") { bench in
                let (peer, _, _) = try bench.openIdle()
                for _ in 0..<5 {
                    try bench.send(.message([1]), .unknown(0xEE, flags: RawFrame.ignorable), on: peer)
                    try bench.ask("x")
                    // A PONG would come in its place.
                    let request = try bench.takeRequest(on: peer)
                    try bench.send(.response(request.id, [1]), on: peer)
                    let frame = try peer.nextFrame(within: .milliseconds(30))
                    bench.expect(frame == nil || frame?.type == .ping, "nothing", got: "\(frame as Any)")
                }
            },
        ] + buckets

    private static let buckets: [Case] =
        ["PINGs", "empty MESSAGEs", "PINGs and empty MESSAGEs"].flatMap { kind in
            [
                Case("5.10", "5.10-1", "20 \(kind) at once are taken") { bench in
                    let peer = try bench.drained(by: kind)
                    try bench.expectAlive(on: peer, "the bucket holds 20")
                },
                Case("5.10", "5.10-1", "The 21st of \(kind) at once is TOO_MANY_PINGS") { bench in
                    let peer = try bench.drained(by: kind)
                    try bench.expectAlive(on: peer, "the bucket holds 20")
                    try bench.send(kind == "PINGs" ? .ping(21) : .message([]), on: peer)
                    // PONGs for the first 20 may still be on their way.
                    try bench.expectClose(of: peer, .tooManyPings) { frame in
                        frame.type == .ping || frame.type == .pong ? nil : "expected CLOSE, got \(frame)"
                    }
                },
            ]
        } + [
            Case(
                "5.10", "5.10-1", "MESSAGEs that are not empty, last chunks without a byte and skipped frames are free"
            ) {
                bench in
                let peer = try bench.drained(by: "PINGs")
                let skipped = RawFrame.unknown(0xEE, flags: RawFrame.ignorable)
                let free: [RawFrame] = [.message([1]), .message([1], more: true), .message([]), skipped]
                try bench.send((0..<40).flatMap { _ in free.flatMap(\.bytes) }, on: peer)
                try bench.expectAlive(on: peer, "these frames cost nothing")
            },
            Case("5.10", "5.10-1", "The bucket gains one each ping_every / 2, and is not emptied before") { bench in
                let every = max(200, bench.times.deadAfter / 2)
                let peer = try bench.drained(by: "empty MESSAGEs", pingEvery: every)
                for _ in 0..<4 {
                    try bench.idle(on: peer, for: bench.part(0.5, of: every) + .milliseconds(5))
                    try bench.send(.message([]), on: peer)
                }
                try bench.expectAlive(on: peer, "the bucket gained one each \(every / 2) ms")
            },
            Case("5.10", "5.10-1", "The bucket gains no more than one each ping_every / 2") { bench in
                let every: UInt32 = 2000
                let peer = try bench.drained(by: "empty MESSAGEs", pingEvery: every)
                // Within ping_every / 2 there can't be two more.
                try bench.send(.message([]), .message([]), on: peer)
                try bench.expectDrop(of: peer, .tooManyPings)
            },
            Case("5.10", "5.10-1", "The bucket never holds more than 20") { bench in
                let every: UInt32 = 100
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: every, deadAfter: 10_000))
                try bench.idle(on: peer, for: .milliseconds(400))
                // 20, and what it gains while they are read and sent byte by byte.
                try bench.send((0..<60).flatMap { _ in RawFrame.message([]).bytes }, on: peer)
                try bench.expectDrop(of: peer, .tooManyPings)
            },
            Case("5.10", "5.10-2", "Of 15 requests that end in their midst a client cancels 12 at most", level: .should)
            {
                bench in
                let (cancels, rest) = try bench.endings(ofFailed: 15)
                guard cancels > 0 else { throw Skip("the client sends the rest of each request (3.6-11)") }
                bench.expect(cancels <= 12, "at most 12 CANCELs", got: "\(cancels)")
                bench.expect(cancels + rest == 15, "CANCEL or the rest for each", got: "\(cancels) and \(rest)")
            },
        ]
}

extension ClientBench {
    /// PONG to each of `nonces` within one slack.
    fileprivate func expectPong(on peer: RawPeer, nonces: [UInt64], deadAfter: UInt32) throws {
        var rest = nonces[...]
        try expectBetween("a PONG", .zero, times.latest(.zero, of: deadAfter), samples: nonces.count) {
            let nonce = rest.removeFirst()
            try send(.ping(nonce), on: peer)
            let sentAt = SuspendingClock.now
            let frame = try next(on: peer)
            expect(frame == .pong(nonce), "PONG \(nonce) without load", got: "\(frame)")
            return max(.zero, sentAt.duration(to: peer.heardAt))
        }
    }

    /// How many bytes come before the PONG to `nonce`, a PING that is sent now, beyond those that were on their way.
    fileprivate func bytesOvertaken(by nonce: UInt64, on peer: RawPeer) throws -> Int {
        try send(.ping(nonce), on: peer)
        // While nobody reads, the client reads the PING; what the kernel still took before that counts, too.
        try pause(.milliseconds(300))
        let held = (peer.bytesInKernel ?? peer.unreadInKernel) + peer.unread.count
        var before = 0
        while case let frame = try peer.takeFrame(), frame.type != .pong {
            before += RawFrame.headerLength + frame.payload.count
        }
        return before - held
    }

    /// Sends PINGs up to `last` to a client whose kernel takes no bytes, and reads then: which PONGs from 5 on come.
    fileprivate func pongs(ofStuck last: UInt64) throws -> [UInt64] {
        let (peer, _) = try openStuck()
        for nonce in 1...last {
            try send(.ping(nonce), on: peer)
            // The first of them take what room the kernel has left.
            try pause(.milliseconds(nonce < 5 ? 50 : 10))
        }
        try pause(.milliseconds(100))
        var nonces: [UInt64] = []
        while nonces.last != last {
            let frame = try next(on: peer)
            guard frame.type != .close else { throw Unexpected("expected PONG \(last), got \(frame)") }
            if let pong = frame.pong, pong.nonce > 4 { nonces.append(pong.nonce) }
        }
        return nonces
    }

    /// Ends `count` long requests with FAILURE when their first chunk is there: how many of them the client cancels, and of
    /// how many it sends the rest. A token comes each 30 s.
    fileprivate func endings(ofFailed count: Int) throws -> (cancels: Int, rest: Int) {
        let listener = try NarrowListener(tls)
        try start(.long, port: listener.port)
        let peer = trace(try listener.accept())
        let welcome = RawFrame.welcome(pingEvery: 60_000, deadAfter: 120_000, maxMessage: 4 << 20)
        _ = try greet(peer, welcome)
        var (cancels, rest) = (0, 0)
        for _ in 0..<count {
            try ask(String(repeating: "x", count: 3_000_000))
            let first = try next(on: peer)
            guard first.type == .request, first.hasMore else { throw Unexpected("expected a chunk, got \(first)") }
            try send(.failure(first.id, .handlerFailed), on: peer)
            var frame: RawFrame
            repeat { frame = try next(on: peer) } while frame.type == .request && frame.hasMore
            guard frame.id == first.id else { throw Unexpected("expected CANCEL or the rest, got \(frame)") }
            if frame.type == .cancel { cancels += 1 } else { rest += 1 }
        }
        return (cancels, rest)
    }

    /// A connection whose bucket at the client is empty, 20 frames having been taken out.
    fileprivate func drained(by kind: String, pingEvery: UInt32 = 60_000) throws -> RawPeer {
        let (peer, _, _) = try openIdle(welcome: welcome(pingEvery: pingEvery, deadAfter: max(30_000, pingEvery * 2)))
        let costly = (1...20).flatMap { number in
            let isPing = kind == "PINGs" || (kind != "empty MESSAGEs" && number % 2 == 0)
            return (isPing ? RawFrame.ping(UInt64(number)) : .message([])).bytes
        }
        try send(costly, on: peer)
        return peer
    }
}
