import RawWire

/// Sections 5.7 and 5.8: frames and handshakes that do not become whole.
extension Case<ServerBench> {
    static let frameDeadlines = numbered(
        "5.7",
        [
            frameTimeout("A header that is trickled", bytes: RawFrame.ping(1).bytes, sent: 11, payload: 0),
            frameTimeout(
                "A PING of which the last bytes are trickled", bytes: RawFrame.ping(1).bytes, sent: 19, payload: 8),
            frameTimeout(
                "A MESSAGE of 200 bytes that is trickled",
                bytes: RawFrame.message([UInt8](repeating: 1, count: 200)).bytes, sent: 100, payload: 200),
            frameTimeout(
                "A REQUEST of 200 bytes that is trickled",
                bytes: RawFrame.request(1, [UInt8](repeating: 1, count: 200)).bytes, sent: 100, payload: 200),
            frameTimeout(
                "A frame of 250 bytes to be skipped that is trickled", bytes: RawFrame.skipped(250).bytes, sent: 100,
                payload: 250),
            frameTimeout(
                "A chunk that is trickled while the connection drains",
                before: RawFrame.request(1, "a", more: true).bytes + RawFrame.goAway().bytes,
                bytes: RawFrame.request(1, [UInt8](repeating: 1, count: 200)).bytes, sent: 100, payload: 200),
            .of(
                "5.7-1",
                "A frame that is whole just before its deadline is taken: a millisecond for each byte is granted"
            ) { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                try welcome.need(message: 200)
                let bytes = RawFrame.request(1, [UInt8](repeating: 1, count: 200)).bytes
                // The last byte goes 100 ms before the deadline, which is 200 ms later than dead_after.
                let last = welcome.deadline + .milliseconds(100)
                try bench.trickle(Array(bytes.dropLast()), over: last, on: peer)
                try bench.send(Array(bytes.suffix(1)), on: peer)
                let frame = try bench.ending(of: 1, on: peer)
                bench.expect(frame.payload.count == 200, "200 bytes", got: "\(frame)")
            },
            .of("5.7-1", "Frame after frame may be trickled, each within its own deadline") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                for _ in 0..<4 {
                    try bench.trickle(RawFrame.skipped(100).bytes, over: welcome.deadline * 0.8, on: peer)
                }
                try bench.expectServed(1, on: peer)
            },
            .of("5.7-1", "The pause before a frame does not count: only its own first byte does") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                for _ in 0..<2 {
                    bench.pause(welcome.deadline * 0.7)
                    try bench.trickle(RawFrame.skipped(100).bytes, over: welcome.deadline * 0.7, on: peer)
                }
                try bench.expectServed(1, on: peer)
            },
            .of("5.7-2", "A HELLO that takes longer than the dead_after it asks for is taken") { bench in
                let peer = try bench.connect()
                let time = min(bench.known.wholeHandshakeTimeout * 0.6, .milliseconds(bench.times.deadAfter) * 1.5)
                try bench.trickle(RawFrame.preface + RawFrame.hello(deadAfter: 100).bytes, over: time, on: peer)
                _ = try bench.takeWelcome(on: peer)
            },
        ])

    /// The first `sent` of `bytes` come evenly, and CLOSE(FRAME_TIMEOUT) dead_after and `payload` ms behind the first.
    private static func frameTimeout(
        _ sentence: String, before: [UInt8] = [], bytes: [UInt8], sent: Int, payload: Int
    ) -> Case {
        .of("5.7-1", "\(sentence) is dropped with FRAME_TIMEOUT at its deadline, not before") { bench in
            let probed = try bench.limits()
            if bytes[4] != 0x77 { try probed.need(message: payload) }
            let deadAfter = try bench.open(bench.hello()).welcome.deadAfter
            let time = Duration.milliseconds(Int(deadAfter) + payload)
            let latest = bench.times.latest(time, of: deadAfter)
            try bench.expectBetween("FRAME_TIMEOUT", time, latest, samples: 2) {
                let (peer, _) = try bench.open(bench.hello())
                try bench.send(before, on: peer)
                let start = SuspendingClock.now
                // Until a little before the deadline: silence is no reason then.
                try bench.trickle(Array(bytes.prefix(sent)), over: time * 0.95, on: peer)
                let close = try bench.readToClose(on: peer, .frameTimeout, within: time * 2 + .seconds(1))
                return start.duration(to: close.at)
            }
        }
    }

    static let handshakes = numbered(
        "5.8",
        [
            handshakeTimeout("says nothing") { _, _ in },
            handshakeTimeout("says half of the preface") { bench, peer in
                try bench.send(Array(RawFrame.preface.prefix(4)), on: peer)
            },
            handshakeTimeout("says the preface and no HELLO") { bench, peer in
                try bench.send(RawFrame.preface, on: peer)
            },
            handshakeTimeout("says all of HELLO but its last byte") { bench, peer in
                try bench.send((RawFrame.preface + RawFrame.hello(deadAfter: 100).bytes).dropLast(), on: peer)
            },
            handshakeTimeout("trickles preface and HELLO", "5.8-3") { bench, peer in
                let bytes = RawFrame.preface + RawFrame.hello(options: [UInt8](repeating: 0, count: 40)).bytes
                try bench.trickle(Array(bytes.prefix(60)), over: bench.known.wholeHandshakeTimeout * 0.9, on: peer)
            },
            .of("5.8-1", "A HELLO that is whole at 0.8 of the handshake timeout is taken") { bench in
                try bench.needHandshakeTimeout()
                let peer = try bench.connect()
                let bytes = RawFrame.preface + RawFrame.hello().bytes
                try bench.trickle(bytes, over: bench.known.wholeHandshakeTimeout * 0.8, on: peer)
                _ = try bench.takeWelcome(on: peer)
                try bench.expectServed(1, on: peer)
            },
        ])

    private static func handshakeTimeout(
        _ sentence: String, _ requirement: String = "5.8-1",
        _ send: @escaping @Sendable (ServerBench, RawPeer) throws -> Void
    ) -> Case {
        .of(requirement, "A client that \(sentence) is dropped with HANDSHAKE_TIMEOUT in time, not before") { bench in
            try bench.needHandshakeTimeout()
            let time = bench.known.wholeHandshakeTimeout
            try bench.expectBetween("HANDSHAKE_TIMEOUT", time, time * 1.1 + Times.machine, samples: 1) {
                // The server counts from accept, which is not before this.
                let start = SuspendingClock.now
                let peer = try bench.connect()
                try send(bench, peer)
                try peer.takePreface(within: time * 1.2 + .seconds(1))
                return start.duration(
                    to: try bench.readToClose(on: peer, .handshakeTimeout, within: time + .seconds(1)).at)
            }
        }
    }
}

extension ServerBench {
    /// Sends `bytes` one by one, evenly, the last of them at the end of `time`.
    func trickle(_ bytes: [UInt8], over time: Duration, on peer: RawPeer) throws {
        let start = SuspendingClock.now
        // A segment for each would be many; at most 40 pieces.
        let piece = max(1, bytes.count / 40)
        let count = (bytes.count + piece - 1) / piece
        for index in 0..<count {
            try peer.send(Array(bytes[(index * piece)..<min(bytes.count, (index + 1) * piece)]))
            let next = start + time * (Double(index + 1) / Double(count))
            let left = SuspendingClock.now.duration(to: next)
            if index + 1 < count, left > .zero { pause(left) }
        }
    }

    /// Skips the case in a quick run against a server whose handshake timeout is long.
    func needHandshakeTimeout() throws {
        guard known.handshakeTimeout <= .seconds(12) * times.scale else {
            throw Skip(
                "a handshake timeout of \(known.handshakeTimeout) is too long for this run: start the server with a "
                    + "shorter one, and say it with --handshake-timeout")
        }
    }
}
