import Glibc
import RawWire

extension Case<ClientBench> {
    /// Sections 5.1, 5.5 to 5.9 and 5.11: when a client stops believing in its server.
    static let section5Deadlines: [Case] = [
        Case("5.5", "5.5-1", "A server that says nothing behind WELCOME is dropped with SILENT in time") { bench in
            let deadAfter = bench.times.deadAfter
            try bench.expectBetween(
                "SILENT", bench.milliseconds(deadAfter),
                bench.times.latest(bench.milliseconds(deadAfter), of: deadAfter)
            ) {
                // Its first PING is not before WELCOME, so NO_ROUND_TRIP is not earlier.
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                let sentAt = SuspendingClock.now
                _ = try bench.greet(peer, bench.welcome())
                return try bench.timeOfClose(
                    .silent, on: peer, since: sentAt, within: bench.milliseconds(deadAfter * 2))
            }
        },
        Case("5.5", "5.5-1", "Silence counts from the last byte") { bench in
            let deadAfter = bench.times.deadAfter
            try bench.expectBetween(
                "SILENT after the last byte", bench.milliseconds(deadAfter),
                bench.times.latest(bench.milliseconds(deadAfter), of: deadAfter), samples: 2
            ) {
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome())
                try bench.idle(on: peer, for: bench.part(0.6, of: deadAfter))
                let sentAt = SuspendingClock.now
                try bench.send(.message([1]), on: peer)
                return try bench.timeOfClose(
                    .silent, on: peer, since: sentAt, within: bench.milliseconds(deadAfter * 2))
            }
        },
        Case("5.5", "5.5-1", "A server is dropped with SILENT on a short connection too") { bench in
            let deadAfter = bench.times.deadAfter
            let (peer, _, _) = try bench.openBusy(.short, welcome: bench.welcome())
            try bench.idle(on: peer, for: bench.part(0.6, of: deadAfter))
            let sentAt = SuspendingClock.now
            try bench.send(.ping(1), on: peer)
            try bench.expectBetween(
                "SILENT after the last byte", bench.milliseconds(deadAfter),
                bench.times.latest(bench.milliseconds(deadAfter), of: deadAfter), samples: 1
            ) {
                try bench.timeOfClose(.silent, on: peer, since: sentAt, within: bench.milliseconds(deadAfter * 2))
            }
        },
        Case("5.5", "5.2-3", "A client asks with PINGs before it drops a silent server") { bench in
            let (peer, _, _) = try bench.openIdle(welcome: bench.welcome())
            let frames = try peer.frames(upTo: .close, within: bench.milliseconds(bench.times.deadAfter * 2))
            let pings = frames.count { $0.type == .ping }
            bench.expect(pings >= 2, "two PINGs at least", got: "\(pings)")
        },
        Case("5.1", "5.1-1", "Any byte says that the server is alive, also one of a frame that is not whole") { bench in
            // The round trip is proved at the start, and again when the frame is whole, before it is missed.
            let deadAfter = bench.times.deadAfter
            let peer = try bench.proved(welcome: bench.welcome(pingEvery: deadAfter / 2))
            let skipped = RawFrame.unknown(0xEE, flags: RawFrame.ignorable, [UInt8](repeating: 1, count: 2000)).bytes
            try bench.send(Array(skipped[..<100]), on: peer)
            for index in 0..<6 {
                try bench.pause(bench.part(0.2, of: deadAfter))
                try bench.send([skipped[100 + index]], on: peer)
            }
            try bench.send(Array(skipped[106...]), on: peer)
            try bench.idle(on: peer, for: bench.part(0.5, of: deadAfter))
            try bench.expectAlive(on: peer, "bytes came all the time")
        },
        Case("5.6", "5.6-1", "Without proof the round trip is given up in time, whatever bytes come") { bench in
            try bench.expectNoRoundTrip { peer in { try? peer.send(.message([1])) } }
        },
        Case("5.6", "5.6-1", "PINGs of the server, and the PONGs to them, are no proof") { bench in
            var turn: UInt64 = 0
            try bench.expectNoRoundTrip { peer in
                {
                    turn += 1
                    // The bucket pays for one in ping_every / 2.
                    try? turn % 50 == 0 ? peer.send(.ping(turn)) : peer.send(.message([1]))
                }
            }
        },
        Case("5.6", "5.6-1", "Later chunks of a response are no proof") { bench in
            try bench.expectNoRoundTrip(begin: true) { peer in { try? peer.send(.response(1, [1], more: true)) } }
        },
        Case("5.6", "5.6-1", "A PONG that comes late, but in time, keeps the connection") { bench in
            let deadAfter = max(300, bench.times.deadAfter)
            let (peer, _, _) = try bench.openIdle(
                welcome: bench.welcome(pingEvery: deadAfter / 2, deadAfter: deadAfter))
            for _ in 0..<2 {
                let ping = try bench.wait(for: .ping, on: peer, within: .seconds(3))
                let heardAt = peer.heardAt
                while heardAt.age < bench.part(0.8, of: deadAfter) {
                    try bench.send(.message([1]), on: peer)
                    try bench.pause(bench.part(0.1, of: deadAfter))
                }
                try bench.send(.pong(to: ping), on: peer)
            }
            try bench.expectAlive(on: peer, "each PONG came before dead_after")
        },
        Case("5.6", "5.6-1", "A PONG to the oldest PING is proof, though later ones are unanswered") { bench in
            let deadAfter = max(300, bench.times.deadAfter)
            let (peer, _, _) = try bench.openIdle(
                welcome: bench.welcome(pingEvery: deadAfter / 4, deadAfter: deadAfter))
            var waiting: [RawFrame] = []
            let startedAt = SuspendingClock.now
            // Each PONG is two PINGs late.
            while startedAt.age < bench.milliseconds(deadAfter * 2) {
                waiting.append(try bench.wait(for: .ping, on: peer, within: .seconds(3)))
                if waiting.count > 1 { try bench.send(.pong(to: waiting.removeFirst()), on: peer) }
            }
            try bench.expectAlive(on: peer, "each PING was answered before dead_after")
        },
        Case("5.7", "5.7-1", "A header that trickles is given dead_after, and no more") { bench in
            try bench.expectFrameTimeout(.response(1, [1]), atOnce: 1, extra: 0)
        },
        Case("5.7", "5.7-1", "A payload that trickles is given dead_after and 1 ms for each byte") { bench in
            try bench.expectFrameTimeout(.message([UInt8](repeating: 1, count: 100)), atOnce: 12, extra: 100)
        },
        Case("5.7", "5.7-1", "A skipped frame that trickles is given no more time than another") { bench in
            let bytes = [UInt8](repeating: 1, count: 100)
            try bench.expectFrameTimeout(.unknown(0xEE, flags: RawFrame.ignorable, bytes), atOnce: 12, extra: 100)
        },
        Case("5.7", "5.7-1", "A frame that is slow, but whole in time, is taken") { bench in
            let deadAfter = bench.times.deadAfter
            let peer = try bench.proved(welcome: bench.welcome(pingEvery: deadAfter / 2))
            let bytes = RawFrame.message([UInt8](repeating: 1, count: Int(deadAfter) / 2)).bytes
            try bench.send(Array(bytes[..<12]), on: peer)
            // L is 1.5 x dead_after; the round trip is missed after 1.4.
            for index in 0..<6 {
                try bench.pause(bench.part(0.2, of: deadAfter))
                try bench.send([bytes[12 + index]], on: peer)
            }
            try bench.send(Array(bytes[18...]), on: peer)
            try bench.idle(on: peer, for: bench.part(0.5, of: deadAfter))
            try bench.expectAlive(on: peer, "the frame was whole in time")
        },
        Case("5.7", "5.7-2", "A WELCOME that trickles for longer than its dead_after is taken") { bench in
            let deadAfter = bench.times.deadAfter
            try bench.start(.long, "hello")
            let peer = try bench.accept()
            try peer.takePreface()
            _ = try peer.take(.hello)
            let bytes = RawFrame.preface + bench.welcome().bytes
            for byte in bytes {
                try peer.send([byte])
                try bench.pause(bench.part(0.03, of: deadAfter))
            }
            let request = try bench.takeRequest(on: peer)
            try bench.send(.response(request.id, [1]), on: peer)
            try bench.expectAlive(on: peer, "before WELCOME only the handshake timeout counts")
        },
        Case("5.8", "5.8-2", "A server that does not greet is dropped with HANDSHAKE_TIMEOUT") { bench in
            _ = try bench.timeOfHandshake(trickling: [false])
        },
        Case("5.8", "5.8-3", "Bytes that trickle put off no HANDSHAKE_TIMEOUT") { bench in
            let taken = try bench.timeOfHandshake(trickling: [false, true])
            bench.expect(
                taken[1] <= taken[0] * 1.1 + .seconds(1), "HANDSHAKE_TIMEOUT after \(taken[0]) at most a tenth more",
                got: "\(taken[1])")
        },
        Case("5.9", "5.9-1", "A server that reads nothing is dropped with SLOW_READER") { bench in
            let deadAfter = max(2000, bench.times.deadAfter)
            let peer = try bench.stuckUntil(1.35, deadAfter: deadAfter)
            try bench.expectDrop(ofStuck: peer, .slowReader)
        },
        Case("5.9", "5.9-1", "A server that begins to read in time is not dropped") { bench in
            let deadAfter = max(2000, bench.times.deadAfter)
            let peer = try bench.stuckUntil(0.85, deadAfter: deadAfter)
            var frame: RawFrame
            repeat { frame = try bench.next(on: peer) } while frame.type == .pong || frame.hasMore
            bench.expect(frame.type == .request, "the last chunk of the request", got: "\(frame)")
        },
        Case("5.11", "5.11-3", "A client that was stopped sends a PING at once") { bench in
            let deadAfter = max(400, bench.times.deadAfter)
            let peer = try bench.stopped(for: bench.part(1.5, of: deadAfter), deadAfter: deadAfter)
            try bench.expectBetween(
                "a PING after SIGCONT", .zero, bench.times.latest(.milliseconds(50), of: deadAfter), samples: 1
            ) {
                let resumedAt = SuspendingClock.now
                bench.resume()
                _ = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                return max(.zero, resumedAt.duration(to: peer.heardAt))
            }
        },
        Case("5.11", "5.11-2", "A client that was stopped blames itself, and drops nobody for another dead_after") {
            bench in
            let deadAfter = max(400, bench.times.deadAfter)
            let peer = try bench.stopped(for: bench.part(1.5, of: deadAfter), deadAfter: deadAfter)
            bench.resume()
            try bench.idle(on: peer, for: bench.part(0.9, of: deadAfter), answering: false)
        },
        Case("5.11", "5.1-2", "A client that was stopped reads what has come before it judges") { bench in
            let deadAfter = max(400, bench.times.deadAfter)
            let peer = try bench.stopped(for: bench.part(1.5, of: deadAfter), deadAfter: deadAfter)
            try bench.send(.message([1]), on: peer)
            bench.resume()
            try bench.idle(on: peer, for: bench.part(0.5, of: deadAfter))
            try bench.expectAlive(on: peer, "nobody was silent but the client")
        },
    ]
}
