import RawWire

/// Section 5.12: how much a server has on its way that no PONG has proved.
extension Case<ServerBench> {
    private static let longest = 100_000

    static let windows = numbered(
        "5.12",
        [2000, 8000, 30_000].map { (deadAfter: UInt32) in
            .of(
                deadAfter == 2000 ? "5.12-1" : "5.12-3",
                "With a dead_after of \(deadAfter) ms a response keeps to the first window, and PINGs open it"
            ) { bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: deadAfter)
                let message = try bench.ask(1, count: longest, welcome, on: peer)
                let frames = try bench.held(on: peer)
                bench.expectFirstWindow(frames, deadAfter: welcome.deadAfter)
                bench.expect(try bench.rest(of: frames, on: peer) == message, "the same bytes", got: "others")
                try bench.expectServed(2, on: peer)
            }
        },
        [
            .of("5.12-1", "Many responses keep to the first window together, and each comes whole") { bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: 8000)
                try welcome.need(message: 500)
                let message = [UInt8](repeating: 0x61, count: 500)
                for id: UInt32 in 1...100 { try peer.send(.request(id, message)) }
                let frames = try bench.held(on: peer)
                bench.expectFirstWindow(frames, deadAfter: welcome.deadAfter)
                let answered = frames.filter { $0.type == .response }.map(\.id)
                if let ping = frames.last(where: { $0.type == .ping }) { try bench.send(.pong(to: ping), on: peer) }
                var waiting = Set(UInt32(1)...100).subtracting(answered)
                while !waiting.isEmpty {
                    let frame = try bench.next(on: peer)
                    bench.expect(waiting.remove(frame.id) != nil, "one response for each request", got: "\(frame)")
                    guard frame.type == .response || frame.type == .failure else { return }
                }
            },
            .of("5.12-1", "A short connection has a send window too, and ends behind its response") { bench in
                let (peer, welcome) = try bench.openBounded(flags: 1, deadAfter: 8000)
                let message = try bench.ask(9, count: longest, welcome, on: peer)
                let frames = try bench.held(on: peer)
                bench.expectFirstWindow(frames, deadAfter: welcome.deadAfter)
                bench.expect(try bench.rest(of: frames, on: peer) == message, "the same bytes", got: "others")
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect(close?.lastID == 9, "last_id 9", got: "\(close as Any)")
            },
            .of("5.12-1", "A client of 1.0 gets all, whatever it answers") { bench in
                let (peer, welcome) = try bench.open()
                let message = try bench.ask(1, count: longest, welcome, on: peer)
                let bytes = try bench.rest(of: [], on: peer, answering: false)
                bench.expect(bytes == message, "the same bytes", got: "\(bytes.count) others")
            },
            .of("5.12-2", "The PONG to the first PING of a response opens the window: more of it comes") { bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: 8000)
                try bench.ask(1, count: longest, welcome, on: peer)
                let frames = try bench.held(on: peer)
                guard let begins = frames.firstIndex(where: \.isMessage),
                    let ping = frames[begins...].first(where: { $0.type == .ping })
                else { throw Unexpected("expected a PING behind messages, got \(frames)") }
                try bench.send(.pong(to: ping), on: peer)
                var frame = try peer.takeFrame()
                while frame.type == .ping { frame = try peer.takeFrame() }
                bench.expect(frame.type == .response, "more of the response", got: "\(frame)")
            },
            .of("5.12-2", "A response that is read and proved at once comes whole, and its PINGs cost nothing") {
                bench in
                // In short chunks, so that too many PINGs among them are not paid for.
                let (peer, welcome) = try bench.openBounded(pingEvery: .max, deadAfter: 30_000, maxFrame: 256)
                let message = try bench.ask(1, count: 1 << 18, welcome, on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).payload == message, "the same bytes", got: "others")
            },
            .of("5.12-4", "On a slow path no PING waits for a quarter of dead_after", level: .should) { bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: 2000)
                try bench.ask(1, count: 80_000, welcome, on: peer)
                try bench.expectShortQueue(on: peer, deadAfter: welcome.deadAfter)
            },
            .of("5.12-5", "After the end of stream a response comes whole, whatever is answered") { bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: 8000)
                let message = try bench.ask(1, count: longest, welcome, on: peer)
                peer.shutdownWriting()
                let bytes = try bench.rest(of: [], on: peer, answering: false)
                bench.expect(bytes == message, "the same bytes", got: "\(bytes.count) others")
                try bench.expectClose(of: peer, .normal)
            },
            .of("5.12-5", "The end of stream releases a response that is held back") { bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: 8000)
                let message = try bench.ask(1, count: longest, welcome, on: peer)
                let frames = try bench.held(on: peer)
                peer.shutdownWriting()
                let bytes = try bench.rest(of: frames, on: peer, answering: false)
                bench.expect(bytes == message, "the same bytes", got: "\(bytes.count) others")
                try bench.expectClose(of: peer, .normal)
            },
            .of("5.12-5", "CLOSE and the end of stream release a response that has begun: it comes whole, then CLOSE") {
                bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: 8000)
                let message = try bench.ask(1, count: longest, welcome, on: peer)
                let frames = try bench.held(on: peer)
                try bench.send(.close(), on: peer)
                peer.shutdownWriting()
                let bytes = try bench.rest(of: frames, on: peer, answering: false)
                bench.expect(bytes == message, "the same bytes", got: "\(bytes.count) others")
                try bench.expectClose(of: peer, .normal)
            },
            .of("5.4-1", "A PING is answered at once while a response is held back") { bench in
                let (peer, welcome) = try bench.openBounded(deadAfter: 8000)
                try bench.ask(1, count: longest, welcome, on: peer)
                _ = try bench.held(on: peer)
                var nonce: UInt64 = 0
                try bench.expectBetween("PONG", .zero, bench.times.latest(.zero, of: welcome.deadAfter)) {
                    nonce += 1
                    let start = try bench.sendTimed(RawFrame.ping(nonce).bytes, on: peer)
                    let pong = try peer.take(.pong)
                    bench.expect(pong.nonce == nonce, "PONG \(nonce)", got: "\(pong)")
                    return start.age
                }
            },
        ])

    /// Section 5.3 in 1.1.
    static let boundedPings: [Case] = [
        .of(
            "5.3-2",
            "A client of 1.1 that is heard all the time gets a PING between dead_after / 2 and a slack more after the last byte"
        ) { bench in
            let (peer, welcome) = try bench.openBounded(deadAfter: bench.times.deadAfter)
            let half = welcome.deadline / 2
            var nonce: UInt64 = 0
            try bench.expectBetween("PING", half, bench.times.latest(half, of: welcome.deadAfter)) {
                nonce += 1
                let start = try bench.sendTimed(RawFrame.ping(nonce).bytes, on: peer)
                try bench.takePong(nonce, on: peer)
                var ping: RawFrame?
                while ping == nil, start.age < welcome.deadline * 3 {
                    try bench.send(.skipped(), on: peer)
                    ping = try peer.nextFrame(within: welcome.deadline / 10)
                }
                bench.expect(ping?.type == .ping, "a PING", got: "\(ping as Any)")
                if let ping { try bench.send(.pong(to: ping), on: peer) }
                return start.duration(to: peer.heardAt)
            }
        },
        .of("5.3-2", "A client of 1.1 that sends a long request gets PINGs meanwhile") { bench in
            let (peer, welcome) = try bench.openBounded(deadAfter: bench.times.deadAfter)
            try welcome.need(message: 100)
            var pings = 0
            try bench.keep(
                peer, for: welcome.deadline * 3, every: welcome.deadline / 8, "a long request",
                take: { frame in
                    bench.expect(frame.type == .ping, "nothing but PINGs", got: "\(frame)")
                    try bench.send(.pong(to: frame), on: peer)
                    pings += 1
                },
                send: { _ in try bench.send(.request(1, "x", more: true), on: peer) })
            bench.expect((3...6).contains(pings), "a PING each half of dead_after or so", got: "\(pings)")
        },
        .of("5.3-1", "A client of 1.0 that is heard all the time gets no PING") { bench in
            let (peer, welcome) = try bench.open(bench.hello())
            // A machine that is late makes a server send one; not each time.
            var counts: [Int] = []
            repeat {
                var pings = 0
                try bench.keep(
                    peer, for: welcome.deadline * 2, every: welcome.deadline / 8, "a client that is heard",
                    take: { _ in pings += 1 }, send: { _ in try bench.send(.skipped(), on: peer) })
                counts.append(pings)
            } while counts.last != 0 && counts.count < 3
            bench.expect(counts.last == 0, "no PING", got: "\(counts)")
        },
    ]

    /// Section 5.9 in 1.1.
    static let boundedReaders: [Case] = [
        .of("5.9-3", "A client that reads, and is heard, but answers no PING is dropped with SLOW_READER in time") {
            bench in
            try bench.expectHeldDrop { _, _ in {} }
        },
        .of("5.9-3", "The time counts from the last PONG that proved bytes") { bench in
            let deadAfter = try bench.openBounded(deadAfter: bench.times.deadAfter).welcome.deadAfter
            let dead = bench.milliseconds(deadAfter)
            try bench.expectBetween("SLOW_READER", dead, bench.times.latest(dead, of: deadAfter), samples: 2) {
                let (peer, welcome) = try bench.openBounded(deadAfter: deadAfter)
                try bench.ask(1, count: longest, welcome, on: peer)
                var ping: RawFrame?
                try bench.listen(to: peer, for: dead * 0.6) { frame in
                    if frame.type == .ping { ping = ping ?? frame }
                }
                guard let ping else { throw Unexpected("expected a PING, got none") }
                let start = try bench.sendTimed(RawFrame.pong(to: ping).bytes, on: peer)
                return try bench.timeToDrop(of: peer, since: start, dead)
            }
        },
        .of("5.9-3", "A PONG that proves no byte puts nothing off") { bench in
            try bench.expectHeldDrop { peer, dead in
                // Nothing but WELCOME was sent before this PING.
                let ping = try peer.take(.ping)
                return {
                    try bench.listen(to: peer, for: dead * 0.6) { _ in }
                    try bench.send(.pong(to: ping), on: peer)
                }
            }
        },
        .of("5.9-3", "A client that answers each PING after 0.7 of dead_after is kept, and gets all") { bench in
            let (peer, welcome) = try bench.openBounded(deadAfter: bench.times.deadAfter)
            let message = try bench.ask(1, count: 6000, welcome, on: peer)
            var pings: [(ping: RawFrame, came: Moment)] = []
            var bytes: [UInt8] = []
            while bytes.count < message.count {
                try bench.send(.skipped(), on: peer)
                while let frame = try peer.nextFrame(within: welcome.deadline / 20) {
                    guard frame.type != .close else { throw Unexpected("expected to be kept, got \(frame)") }
                    if frame.type == .ping { pings.append((frame, peer.heardAt)) }
                    if frame.type == .response { bytes += frame.payload }
                }
                while let first = pings.first, first.came.age >= welcome.deadline * 0.7 {
                    pings.removeFirst()
                    try bench.send(.pong(to: first.ping), on: peer)
                }
                if let ending = peer.ending { throw Unexpected("expected to be kept, got \(ending)") }
            }
            bench.expect(bytes == message, "the same bytes", got: "others")
        },
    ]
}

/// Section 5.10 in 1.1.
extension Case<ServerBench> {
    static let boundedBuckets: [Case] =
        [
            free("40 PINGs, each behind a MESSAGE of 1024 bytes with its header,") { number in
                [.message([UInt8](repeating: 1, count: 1012)), .ping(number)]
            },
            free("40 PINGs, each behind 1024 bytes of a long request,", behind: [.request(7)]) { number in
                [.request(7, [UInt8](repeating: 1, count: 1012), more: true), .ping(number)]
            },
            free("60 empty MESSAGEs", count: 60) { _ in [.message([])] },
            flood("PINGs alone") { number in [.ping(number)] },
            flood("PINGs, each behind a MESSAGE of 1023 bytes with its header") { number in
                [.message([UInt8](repeating: 1, count: 1011)), .ping(number)]
            },
            flood("PINGs, each behind another that 2048 bytes of MESSAGEs make free") { number in
                [.message([UInt8](repeating: 1, count: 2036)), .ping(number * 2), .ping(number * 2 + 1)]
            },
            flood("PINGs, each behind a frame of 2000 bytes to be skipped") { number in [.skipped(2000), .ping(number)]
            },
            flood("CANCELs, each behind 2048 bytes of MESSAGEs", cancels: true) { _ in
                [.message([UInt8](repeating: 1, count: 2036)), .cancel(1)]
            },
            .of("5.10-1", "In 1.0 a PING behind 1024 bytes of messages costs one as any") { bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: .max))
                try bench.need(interval: 1000, welcome)
                try welcome.need(message: 1012)
                let bulk = RawFrame.message([UInt8](repeating: 1, count: 1012)).bytes
                try peer.send((1...21).flatMap { bulk + RawFrame.ping($0).bytes })
                try bench.expectClose(of: peer, .tooManyPings)
            },
        ]

    /// What costs nothing in 1.1.
    private static func free(
        _ sentence: String, count: UInt64 = 40, behind last: [RawFrame] = [],
        _ frames: @escaping @Sendable (UInt64) -> [RawFrame]
    ) -> Case {
        .of("5.10-1", "In 1.1 \(sentence) cost nothing") { bench in
            let (peer, welcome) = try bench.openBounded(pingEvery: .max, deadAfter: 30_000)
            try bench.need(interval: 1000, welcome)
            try welcome.need(message: 50_000)
            try bench.send(((1...count).flatMap(frames) + last).flatMap(\.bytes), on: peer)
            try bench.send(.request(1001), on: peer)
            var frame = try bench.next(on: peer)
            while frame.type == .pong || frame.id == 7 { frame = try bench.next(on: peer) }
            bench.expect(frame.type == .response && frame.id == 1001, "RESPONSE 1001", got: "\(frame)")
        }
    }

    /// What costs one each in 1.1.
    private static func flood(
        _ sentence: String, cancels: Bool = false, _ frames: @escaping @Sendable (UInt64) -> [RawFrame]
    ) -> Case {
        .of("5.10-1", "In 1.1 the 21st of \(sentence) is answered with CLOSE(TOO_MANY_PINGS)") { bench in
            let (peer, welcome) = try bench.openBounded(pingEvery: .max, deadAfter: 30_000)
            try bench.need(interval: 1000, welcome)
            try welcome.need(message: 2048)
            if cancels { try bench.expectServed(1, on: peer) }
            try bench.send((1...20).flatMap(frames).flatMap(\.bytes), on: peer)
            while let frame = try peer.nextFrame(within: .milliseconds(100)) {
                bench.expect(frame.type == .pong, "nothing but PONGs", got: "\(frame)")
            }
            try bench.send(frames(21).flatMap(\.bytes), on: peer)
            try bench.expectClose(of: peer, .tooManyPings)
        }
    }
}

extension ServerBench {
    /// A connection on which both sides speak 1.1.
    func openBounded(
        flags: UInt16 = 0, pingEvery: UInt32 = 0, deadAfter: UInt32, maxFrame: UInt32 = 16384
    ) throws -> (peer: RawPeer, welcome: WelcomeFields) {
        let hello = RawFrame.hello(
            minor: 1, flags: flags, pingEvery: pingEvery, deadAfter: deadAfter, maxFrame: maxFrame)
        let (peer, welcome) = try open(hello)
        guard welcome.minor >= 1 else { throw Skip("the server speaks 1.0") }
        return (peer, welcome)
    }

    /// Is heard, and reads, for a while.
    fileprivate func listen(to peer: RawPeer, for duration: Duration, take: (RawFrame) throws -> Void) throws {
        try keep(peer, for: duration, every: duration / 10, "a client that is heard", take: take) { _ in
            try send(.skipped(), on: peer)
        }
    }

    /// How long after `start` a client that is heard, and reads, is dropped with SLOW_READER.
    fileprivate func timeToDrop(of peer: RawPeer, since start: Moment, _ dead: Duration) throws -> Duration {
        while start.age < dead * 3 {
            _ = try? peer.push(RawFrame.skipped().bytes[...])
            guard let frame = try peer.nextFrame(within: dead / 10) else {
                if let ending = peer.ending { throw Unexpected("expected CLOSE(SLOW_READER), got \(ending)") }
                continue
            }
            guard frame.type == .close else { continue }
            expect(frame.notice?.code == .slowReader, "CLOSE(SLOW_READER)", got: "\(frame)")
            return start.duration(to: peer.heardAt)
        }
        throw Unexpected("expected CLOSE(SLOW_READER), got nothing")
    }

    /// SLOW_READER between dead_after and a slack more after a response has come to wait for a PONG. `prepare` gets the
    /// connection before that, and returns what is done meanwhile.
    fileprivate func expectHeldDrop(_ prepare: (RawPeer, Duration) throws -> (() throws -> Void)) throws {
        let deadAfter = try openBounded(deadAfter: times.deadAfter).welcome.deadAfter
        let dead = milliseconds(deadAfter)
        try expectBetween("SLOW_READER", dead, times.latest(dead, of: deadAfter), samples: 2) {
            let (peer, welcome) = try openBounded(deadAfter: deadAfter)
            let meanwhile = try prepare(peer, dead)
            let start = SuspendingClock.now
            try ask(1, count: 100_000, welcome, on: peer)
            try meanwhile()
            return try timeToDrop(of: peer, since: start, dead)
        }
    }
}
