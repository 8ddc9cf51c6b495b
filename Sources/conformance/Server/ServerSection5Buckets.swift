import RawWire

/// Section 5.10: what a client pays for.
extension Case<ServerBench> {
    static let buckets = numbered(
        "5.10",
        Cost.allCases.map { cost in
            .of("5.10-1", "20 \(cost.rawValue) at once are paid for, and the connection goes on") { bench in
                let (peer, _) = try bench.emptied(cost, 20)
                try bench.expectServed(1001, on: peer)
            }
        },
        Cost.allCases.map { cost in
            .of("5.10-1", "The 21st of \(cost.rawValue) at once is answered with CLOSE(TOO_MANY_PINGS)") { bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: .max))
                try bench.need(interval: 100, welcome)
                try bench.expectServed(1, on: peer)
                try bench.send((1...21).flatMap { cost.frame($0).bytes }, on: peer)
                try bench.expectClose(of: peer, .tooManyPings)
            }
        },
        [
            .of("5.10-1", "CANCELs without effect are paid for as any") { bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: .max))
                try bench.need(interval: 100, welcome)
                try bench.expectServed(9, on: peer)
                try bench.send((1...21).flatMap { _ in RawFrame.cancel(3).bytes }, on: peer)
                try bench.expectClose(of: peer, .tooManyPings)
            },
            .of("5.10-1", "The bucket gains one each half of ping_every: so many PINGs more, and not sooner dropped") {
                bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: 200, deadAfter: 1000))
                let gain = Duration.milliseconds(welcome.pingEvery) / 2
                let start = SuspendingClock.now
                try bench.send((1...20).flatMap { RawFrame.ping($0).bytes }, on: peer)
                for count in 1...8 {
                    // The server's bucket was full when WELCOME was sent, and began to fill when the first was taken.
                    bench.pause(SuspendingClock.now.duration(to: start + gain * count + .milliseconds(30)))
                    try bench.send(.ping(UInt64(20 + count)), on: peer)
                }
                try bench.takePong(28, on: peer)
                try bench.expectServed(1, on: peer)
            },
            .of("5.10-1", "The bucket gains no more than one each half of ping_every") { bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: 1000, deadAfter: 2000))
                let gain = Duration.milliseconds(welcome.pingEvery) / 2
                try bench.need(interval: 400, welcome)
                try bench.send((1...20).flatMap { RawFrame.ping($0).bytes }, on: peer)
                bench.pause(gain + .milliseconds(20))
                // One has come, perhaps two by now; never three.
                try bench.send((21...23).flatMap { RawFrame.ping($0).bytes }, on: peer)
                try bench.expectClose(of: peer, .tooManyPings)
            },
            .of("5.10-1", "The bucket holds no more than 20, however long nothing was taken out") { bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: 400, deadAfter: 1000))
                try bench.need(interval: 400, welcome)
                try bench.keep(peer, for: .milliseconds(700), every: .milliseconds(200), "an idle client") { _ in
                    try bench.send(.skipped(), on: peer)
                }
                try bench.send((1...21).flatMap { RawFrame.ping($0).bytes }, on: peer)
                try bench.expectClose(of: peer, .tooManyPings)
            },
            .of("5.10-1", "A client that sends a PING each ping_every of 20 ms is never dropped for it") { bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: 1, deadAfter: 1000))
                for nonce: UInt64 in 1...60 {
                    try bench.send(.ping(nonce), on: peer)
                    try bench.takePong(nonce, on: peer)
                    bench.pause(.milliseconds(welcome.pingEvery))
                }
            },
            .of("5.10-1", "The empty last chunk of a longer MESSAGE is free") { bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: .max))
                try welcome.need(message: 1)
                try bench.send(
                    (0..<40).flatMap { _ in RawFrame.message([1], more: true).bytes + RawFrame.message([]).bytes },
                    on: peer)
                try bench.expectServed(1, on: peer)
            },
            .of("5.10-1", "Empty requests, MESSAGEs with a byte and skipped frames take nothing from the bucket") {
                bench in
                let (peer, welcome) = try bench.emptied(.pings, 20)
                try welcome.need(message: 1)
                for id: UInt32 in 2000..<2030 {
                    try bench.send(.request(id, ""), .message([1]), .skipped(), on: peer)
                    _ = try bench.ending(of: id, on: peer)
                }
            },
            .of("5.10-1", "In a short connection the bucket counts too") { bench in
                let (peer, welcome) = try bench.open(.hello(flags: 1, pingEvery: .max))
                try bench.need(interval: 100, welcome)
                try bench.send((1...21).flatMap { RawFrame.ping($0).bytes }, on: peer)
                try bench.expectClose(of: peer, .tooManyPings)
            },
            .of("5.10-1", "A flood of PINGs ends its own connection, and costs another nothing") { bench in
                let (other, _) = try bench.open()
                let (peer, _) = try bench.open()
                // What cannot be sent any more, because the server has gone, is no matter.
                try? peer.send((0..<20_000).flatMap { RawFrame.ping($0).bytes }, within: .seconds(2))
                try bench.expectServed(1, on: other)
            },
            .of("5.10-2", "The server holds back its empty MESSAGEs: at most 12 come at once", level: .should) {
                bench in
                let (peer, welcome) = try bench.open(.hello(pingEvery: .max))
                try bench.need(interval: 1000, welcome)
                try bench.send(.request(1), on: peer)
                var empty = 0
                let end = SuspendingClock.now + .milliseconds(300)
                while let frame = try peer.nextFrame(within: max(.zero, SuspendingClock.now.duration(to: end))) {
                    if frame.type == .message, frame.payload.isEmpty, !frame.hasMore { empty += 1 }
                }
                bench.expect(empty <= 12, "at most 12", got: "\(empty)")
            },
        ], boundedBuckets)
}

/// What is paid for from the bucket.
private enum Cost: String, CaseIterable, Sendable {
    case pings = "PINGs"
    case cancels = "CANCELs"
    case messages = "empty MESSAGEs"
    case mixed = "PINGs, CANCELs and empty MESSAGEs"

    func frame(_ number: Int) -> RawFrame {
        switch self {
        case .pings: .ping(UInt64(number))
        case .cancels: .cancel(1)
        case .messages: .message([])
        case .mixed: [Cost.pings, .cancels, .messages][number % 3].frame(number)
        }
    }
}

extension ServerBench {
    /// A connection that has served the request 1, and has taken `count` out of its bucket.
    fileprivate func emptied(_ cost: Cost, _ count: Int) throws -> (peer: RawPeer, welcome: WelcomeFields) {
        let (peer, welcome) = try open(.hello(pingEvery: .max))
        try expectServed(1, on: peer)
        try send((1...count).flatMap { cost.frame($0).bytes } + RawFrame.request(1000).bytes, on: peer)
        var isAnswered = false
        // The last PING is answered, before or behind the response.
        var lastPing = (1...count).last { cost.frame($0).type == .ping }.map(UInt64.init)
        while !isAnswered || lastPing != nil {
            let frame = try next(on: peer)
            if frame.pong?.nonce == lastPing { lastPing = nil }
            if frame.type == .response { isAnswered = true }
            guard frame.type == .pong || frame.type == .response else {
                throw Unexpected("expected PONG or RESPONSE, got \(frame)")
            }
        }
        return (peer, welcome)
    }

    /// Skips the case where the bucket fills too fast to be seen empty.
    func need(interval: UInt32, _ welcome: WelcomeFields) throws {
        guard welcome.pingEvery >= interval else {
            throw Skip("the server's ping_every is only \(welcome.pingEvery) ms")
        }
    }
}
