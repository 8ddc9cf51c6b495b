import RawWire

/// Section 5.4: PONG.
extension Case<ServerBench> {
    static let pongs = numbered(
        "5.4",
        [
            pongAtOnce("on an idle connection") { _, _ in [] },
            pongAtOnce("between the chunks of a request", more: true) { _, _ in
                RawFrame.request(1, "a", more: true).bytes
            },
            pongAtOnce("in a short connection that waits for its request", flags: 1) { _, _ in [] },
            pongAtOnce("while the connection drains", more: true) { _, _ in
                RawFrame.request(1, "a", more: true).bytes + RawFrame.goAway().bytes
            },
            pongAtOnce("behind a long frame to be skipped", more: true) { _, welcome in
                RawFrame.skipped(min(16384, Int(welcome.maxFrame))).bytes
            },
            pongAtOnce("behind fifty requests", more: true) { _, _ in
                (1...50).flatMap { RawFrame.request($0, "").bytes }
            },
            .of("5.4-1", "A PING right behind HELLO is answered behind WELCOME") { bench in
                let peer = try bench.connect()
                try bench.send(RawFrame.preface + RawFrame.hello().bytes + RawFrame.ping(3).bytes, on: peer)
                _ = try bench.takeWelcome(on: peer)
                try bench.takePong(3, on: peer)
            },
            .of("5.4-1", "PINGs with the nonces 0 and 18446744073709551615, and one that was used before, are answered")
            { bench in
                let (peer, _) = try bench.open()
                for nonce: UInt64 in [7, 0, .max, 7, 7] {
                    try bench.send(.ping(nonce), on: peer)
                    let frame = try bench.next(on: peer)
                    bench.expect(frame.pong?.nonce == nonce, "PONG \(nonce)", got: "\(frame)")
                }
            },
            .of(
                "5.4-2",
                "A PING behind a request of max_message bytes is answered before its response is whole, or right behind"
            ) {
                bench in
                let (peer, welcome) = try bench.open()
                guard welcome.maxMessage <= 4 << 20 else { throw Skip("max_message is over 4 MiB") }
                try bench.ask(1, count: .max, welcome, on: peer)
                let start = try bench.sendTimed(RawFrame.ping(1).bytes, on: peer)
                try bench.takePong(1, on: peer, allowing: [.response])
                let most = welcome.slack + .milliseconds(500)
                bench.expect(start.age <= most, "PONG within \(most)", got: "\(start.age)")
            },
            .of("5.4-3", "A PONG waits for no more than 32780 bytes, though megabytes wait to be read") { bench in
                // A server that had not filled the kernel's buffers yet makes a sample too great, never too small.
                var samples: [Int] = []
                repeat {
                    samples.append(try bench.stuck().bytesOvertaken(by: 77, bench))
                } while samples.last! > 32780 && samples.count < 3
                bench.expect(samples.last! <= 32780, "at most 32780 bytes", got: "\(samples)")
            },
            .of("5.4-3", "Each of three PINGs, between which some is read, overtakes the responses that wait") {
                bench in
                let stuck = try bench.stuck()
                let samples = try (1...3).map { try stuck.bytesOvertaken(by: UInt64($0), bench) }
                bench.expect(samples.min()! <= 32780, "at most 32780 bytes", got: "\(samples)")
            },
            .of("5.4-4", "Of PINGs that come while a PONG waits to be sent only the latest is answered") { bench in
                let stuck = try bench.stuck()
                try stuck.settle()
                for nonce: UInt64 in 1...15 {
                    try bench.send(.ping(nonce), on: stuck.peer)
                    bench.pause(.milliseconds(3))
                }
                bench.pause(.milliseconds(100))
                var nonces: [UInt64] = []
                while nonces.last != 15 {
                    let frame = try stuck.peer.takeFrame()
                    if let pong = frame.pong { nonces.append(pong.nonce) }
                }
                bench.expect(nonces.count <= 2, "PONG 15, and one before it at most", got: "\(nonces)")
            },
            .of("5.4-4", "Of 20 PINGs at once the last is answered, and the nonces of PONGs rise") { bench in
                let (peer, _) = try bench.open()
                try bench.send((1...20).flatMap { RawFrame.ping($0).bytes }, on: peer)
                var last: UInt64 = 0
                while last < 20 {
                    let frame = try bench.next(on: peer)
                    let nonce = frame.pong?.nonce ?? 0
                    bench.expect(frame.type == .pong && nonce > last && nonce <= 20, "a later PONG", got: "\(frame)")
                    guard nonce > last else { return }
                    last = nonce
                }
            },
            .drop("5.4-5", "PONG where the server has sent no PING", RawFrame.pong(0x5555_5555_5555).bytes),
        ],
        (0..<3).map { which in
            let what = ["that was answered", "older than one that was answered", "that was never sent"][which]
            return .of("5.4-5", "PONG with a nonce \(what) is answered with CLOSE(PROTOCOL_ERROR)") { bench in
                let (peer, first, second) = try bench.twoPings()
                let unknown = (second.nonce ?? 0) &+ 0x5555_5555
                try bench.send(.pong(to: second), on: peer)
                try bench.send([RawFrame.pong(to: second), .pong(to: first), .pong(unknown)][which], on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            }
        },
        [
            .of("5.4-4", "PONG that leaves out an older PING answers both: the connection goes on") { bench in
                let (peer, _, second) = try bench.twoPings()
                try bench.send(.pong(to: second), on: peer)
                try bench.expectServed(1, on: peer)
            },
            .of("5.4-5", "What a client says of its load in PONG is not judged") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                let nonce = try peer.take(.ping, within: welcome.deadline * 2).nonce ?? 0
                try bench.send(.pong(nonce, queued: .max, inFlight: .max, longest: .max), on: peer)
                try bench.expectServed(1, on: peer)
            },
            .of("5.4-6", "A PONG is not answered") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                let ping = try peer.take(.ping, within: welcome.deadline * 2)
                try bench.send(.pong(to: ping), on: peer)
                let frame = try peer.nextFrame(within: welcome.deadline / 4)
                bench.expect(frame == nil || frame?.type == .ping, "nothing", got: "\(frame as Any)")
            },
            .of("5.4-5", "The latest PING is the one that came last, not the one with the highest nonce") { bench in
                let (peer, _) = try bench.open()
                try bench.expectLatestIsAnswered(on: peer) { try bench.next(on: peer) }
            },
            .of("5.4-5", "No PONG comes where no PING was sent, whatever else was") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                try welcome.need(message: 1)
                let start = SuspendingClock.now
                var id: UInt32 = 0
                while start.age < welcome.deadline {
                    id += 1
                    try bench.expectServed(id, on: peer)
                    try bench.send(.cancel(id), .message([1]), .skipped(), on: peer)
                    let end = SuspendingClock.now + .milliseconds(welcome.pingEvery)
                    while let frame = try peer.nextFrame(within: max(.zero, SuspendingClock.now.duration(to: end))) {
                        bench.expect(frame.type == .ping, "nothing but PINGs", got: "\(frame)")
                        try bench.send(.pong(to: frame), on: peer)
                    }
                }
            },
        ])

    /// PING `where` is answered within one slack.
    private static func pongAtOnce(
        _ place: String, more: Bool = false, flags: UInt16 = 0,
        before: @escaping @Sendable (ServerBench, WelcomeFields) throws -> [UInt8]
    ) -> Case {
        .of("5.4-1", "PING \(place) is answered at once") { bench in
            let (peer, welcome) = try bench.open(bench.hello(flags: flags))
            try bench.send(try before(bench, welcome), on: peer)
            var nonce: UInt64 = 0
            try bench.expectBetween("PONG", .zero, bench.times.latest(.zero, of: welcome.deadAfter), samples: 5) {
                nonce += 1
                let start = try bench.sendTimed(RawFrame.ping(nonce).bytes, on: peer)
                try bench.takePong(nonce, on: peer, allowing: [.response, .failure])
                return start.age
            }
        }
    }
}

extension ServerBench {
    /// Waits for two PINGs of the server, of which the first is not answered.
    func twoPings() throws -> (peer: RawPeer, first: RawFrame, second: RawFrame) {
        let (peer, welcome) = try open(hello())
        let first = try peer.take(.ping, within: welcome.deadline * 2)
        try send(.skipped(), on: peer)
        return (peer, first, try peer.take(.ping, within: welcome.deadline * 2))
    }
}
