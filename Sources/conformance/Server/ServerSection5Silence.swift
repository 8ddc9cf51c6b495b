import RawWire

/// Sections 5.1, 5.3, 5.5: who is heard and who is not.
extension Case<ServerBench> {
    static let section5: [Case] =
        alive + serverPings + pongs + silence + frameDeadlines + handshakes + readers + buckets + windows

    private static let alive = numbered(
        "5.1",
        [
            keeps("A byte of a frame that is not whole, at each 0.8 of dead_after, keeps a client alive") {
                bench, peer, _ in
                // The frame ends before its own deadline: dead_after, and a millisecond for each byte.
                let bytes = RawFrame.skipped(250).bytes
                return { count in
                    let at = count % 2
                    try bench.send(at == 0 ? Array(bytes.prefix(20)) : Array(bytes.dropFirst(20)), on: peer)
                }
            },
            keeps("Frames to be skipped, and nothing else, keep a client alive") { bench, peer, _ in
                { _ in try bench.send(.skipped(), on: peer) }
            },
            keeps("MESSAGEs, and nothing else, keep a client alive") { bench, peer, welcome in
                try welcome.need(message: 1)
                return { _ in try bench.send(.message([1]), on: peer) }
            },
            keeps("Empty MESSAGEs, and nothing else, keep a client alive") { bench, peer, _ in
                { _ in try bench.send(.message([]), on: peer) }
            },
            keeps("The chunks of one request, and nothing else, keep a client alive") { bench, peer, welcome in
                try welcome.need(message: 100)
                return { _ in try bench.send(.request(1, "a", more: true), on: peer) }
            },
            keeps("PINGs, and nothing else, keep a client alive") { bench, peer, _ in
                { count in try bench.send(.ping(UInt64(count) + 1), on: peer) }
            },
            keeps("CANCELs of what was answered, and nothing else, keep a client alive") { bench, peer, _ in
                try bench.expectServed(1, on: peer)
                return { _ in try bench.send(.cancel(1), on: peer) }
            },
            .of("5.1-1", "Silence counts from WELCOME where nothing comes behind HELLO, and HELLO is not waited for") {
                bench in
                try bench.expectSilent(deadAfter: bench.times.deadAfter, since: "WELCOME") { _, _ in [] }
            },
        ])

    /// A client that says little, and no PONG, but enough: it lives for four times dead_after.
    private static func keeps(
        _ sentence: String,
        _ beat: @escaping @Sendable (ServerBench, RawPeer, WelcomeFields) throws -> ((Int) throws -> Void)
    ) -> Case {
        .of("5.1-1", sentence) { bench in
            let (peer, welcome) = try bench.open(bench.hello())
            let send = try beat(bench, peer, welcome)
            try bench.keep(peer, for: welcome.deadline * 4, every: welcome.deadline * 0.8, sentence, send: send)
        }
    }

    private static let serverPings = numbered(
        "5.3",
        [
            .of("5.3-1", "The server sends a PING between dead_after / 2 and a slack more after it heard the client") {
                bench in
                let (peer, welcome) = try bench.open(bench.hello())
                let half = welcome.deadline / 2
                try bench.expectBetween("PING", half, bench.times.latest(half, of: welcome.deadAfter)) {
                    let start = try bench.sendTimed(RawFrame.skipped().bytes, on: peer)
                    _ = try peer.take(.ping, within: welcome.deadline * 3)
                    return start.duration(to: peer.heardAt)
                }
            },
            .of("5.3-1", "Half a frame ends a silence: PING counts from its last byte") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                let half = welcome.deadline / 2
                try bench.expectBetween("PING", half, bench.times.latest(half, of: welcome.deadAfter), samples: 2) {
                    bench.pause(half / 2)
                    let start = try bench.sendTimed(Array(RawFrame.skipped(200).bytes.prefix(30)), on: peer)
                    _ = try peer.take(.ping, within: welcome.deadline * 3)
                    let time = start.duration(to: peer.heardAt)
                    try bench.send(Array(RawFrame.skipped(200).bytes.dropFirst(30)), on: peer)
                    return time
                }
            },
            .of("5.3-1", "One PING for each silence: a client that answers nothing sees one before CLOSE(SILENT)") {
                bench in
                // A machine that is late makes a server send one more; not three times in a row.
                var counts: [Int] = []
                repeat {
                    let (peer, welcome) = try bench.open(bench.hello())
                    let frames = try bench.readToClose(on: peer, .silent, within: welcome.deadline * 3 + .seconds(1))
                        .frames
                    counts.append(frames.count { $0.type == .ping })
                } while counts.last != 1 && counts.count < 3
                bench.expect(counts.last == 1, "one PING", got: "\(counts)")
            },
            .of("5.3-1", "A client without a timer, that only answers PINGs, is kept for 20 times dead_after") {
                bench in
                let (peer, welcome) = try bench.open(bench.hello(deadAfter: max(300, bench.times.deadAfter / 4)))
                let start = SuspendingClock.now
                var pings = 0
                while start.age < welcome.deadline * 20 {
                    guard let frame = try peer.nextFrame(within: welcome.deadline) else {
                        throw Unexpected("no PING came")
                    }
                    guard frame.type == .ping else { throw Unexpected("expected PING, got \(frame)") }
                    pings += 1
                    try bench.send(.pong(to: frame), on: peer)
                }
                bench.expect((20...41).contains(pings), "a PING each half dead_after or so", got: "\(pings)")
                try bench.expectServed(1, on: peer)
            },
            .of("5.3-1", "The server's PING comes in a short connection that waits for its request") { bench in
                let (peer, welcome) = try bench.open(bench.hello(flags: 1))
                _ = try peer.take(.ping, within: welcome.deadline * 2)
            },
            .of("2.3-1", "A connection that drains has a heartbeat: PONG, and the server's PING") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                try bench.send(.request(1, "hel", more: true), .goAway(), .ping(5), on: peer)
                try bench.takePong(5, on: peer)
                let ping = try peer.take(.ping, within: welcome.deadline * 2)
                try bench.send(.pong(to: ping), .request(1, "lo"), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).text == "hello", "'hello'", got: "another")
                try bench.expectClose(of: peer, .normal)
            },
        ], boundedPings)

    private static let silence = numbered(
        "5.5",
        [
            .of("5.5-1", "A client that asked for a dead_after of 100 ms is dropped with SILENT after it") { bench in
                try bench.expectSilent(deadAfter: 100) { _, _ in [] }
            },
            .of("5.5-1", "A client that asked for nothing is dropped with SILENT after the server's T") { bench in
                let most = try bench.limits().deadAfter
                guard most <= 2 * bench.times.deadAfter else { throw Skip("the server's T is \(most) ms") }
                try bench.expectSilent(deadAfter: 0) { _, _ in [] }
            },
            .of("5.5-1", "A client that was served and falls silent is dropped with SILENT") { bench in
                try bench.expectSilent { bench, peer in
                    try bench.expectServed(1, on: peer)
                    return RawFrame.ping(1).bytes
                }
            },
            .of("5.5-1", "A client that falls silent inside a frame whose own deadline is far is dropped with SILENT") {
                bench in
                try bench.expectSilent { _, _ in
                    Array(RawFrame.skipped(256).bytes.prefix(13))
                }
            },
            .of("5.5-1", "A client that falls silent between the chunks of a request is dropped with SILENT") { bench in
                try bench.expectSilent { _, _ in RawFrame.request(1, "a", more: true).bytes }
            },
            .of("5.5-1", "A client that falls silent in a short connection is dropped with SILENT") { bench in
                try bench.expectSilent(flags: 1) { _, _ in [] }
            },
            .of("2.3-1", "A client that falls silent while it drains is dropped with SILENT") { bench in
                try bench.expectSilent { _, _ in RawFrame.request(1, "a", more: true).bytes + RawFrame.goAway().bytes }
            },
            .of(
                "5.5-1", "Who was heard just before dead_after has a whole one again: silence counts from the last byte"
            ) { bench in
                try bench.expectSilent { bench, peer in
                    bench.pause(.milliseconds(bench.times.deadAfter) * 0.8)
                    return RawFrame.skipped().bytes
                }
            },
            .of("5.5-1", "Twenty clients that fall silent at once are dropped in time, none too early") { bench in
                let dead = Duration.milliseconds(bench.times.deadAfter)
                // How exact one drop is, the cases above judge. Here none waits for the ends of the others.
                try bench.expectBetween("SILENT", dead, dead * 2) {
                    let open = try (0..<20).map { _ in
                        let peer = try bench.connect()
                        return (peer, try bench.sendTimed(RawFrame.preface + bench.hello().bytes, on: peer))
                    }
                    try readAll(open.map(\.0), within: dead * 3 + .seconds(2))
                    var times: [Duration] = []
                    for (peer, start) in open {
                        _ = try bench.takeWelcome(on: peer)
                        let at = peer.heardAt
                        _ = try bench.readToClose(on: peer, .silent, within: .zero)
                        times.append(start.duration(to: at))
                    }
                    if let early = times.min(), early < dead { return early }
                    return times.max()!
                }
            },
            .of("5.5-2", "After end of stream silence is not judged, and no PING comes, while answers wait") { bench in
                let stuck = try bench.stuck(bench.hello())
                let dead = stuck.welcome.deadline
                stuck.peer.shutdownWriting()
                let start = SuspendingClock.now
                var close: RawFrame?
                while start.age < dead * 2.5, close == nil {
                    for frame in try bench.readSome(128 << 10, on: stuck.peer) {
                        if frame.type == .close { close = frame }
                        let isAnswer = frame.type == .response || frame.type == .failure || frame.type == .close
                        // A PING of before the end of stream may still be on its way; it is not one for each silence.
                        bench.expect(isAnswer || frame.type == .ping, "answers", got: "\(frame)")
                    }
                    bench.pause(dead / 10)
                }
                close = try close ?? stuck.peer.frames(upTo: .close).last
                bench.expect(close?.notice?.code == .normal, "CLOSE(NORMAL)", got: "\(close as Any)")
            },
        ])
}

extension ServerBench {
    /// Reads `count` bytes or so; the frames that are whole.
    func readSome(_ count: Int, on peer: RawPeer) throws -> [RawFrame] {
        let most = peer.received + count
        var frames: [RawFrame] = []
        while peer.received < most, try peer.read(until: .now + .milliseconds(20)), peer.ending == nil {}
        while RawFrame(parsing: peer.unread) != nil, let next = try peer.nextFrame(within: .zero) {
            frames.append(next)
        }
        return frames
    }

    /// Opens a connection, does what `before` does and sends what it returns, and then says nothing: CLOSE(SILENT) comes
    /// between dead_after and a slack more.
    func expectSilent(
        deadAfter: UInt32? = nil, flags: UInt16 = 0, since: String = "the last byte",
        before: (ServerBench, RawPeer) throws -> [UInt8]
    ) throws {
        let probed = try open(hello(flags: flags, deadAfter: deadAfter))
        probed.peer.close()
        let dead = probed.welcome.deadline
        let latest = times.latest(dead, of: probed.welcome.deadAfter)
        try expectBetween("SILENT after \(since)", dead, latest, samples: 2) {
            let peer = try connect()
            var start = try sendTimed(RawFrame.preface + hello(flags: flags, deadAfter: deadAfter).bytes, on: peer)
            _ = try takeWelcome(on: peer)
            let last = try before(self, peer)
            if !last.isEmpty { start = try sendTimed(last, on: peer) }
            let close = try readToClose(on: peer, .silent, within: dead * 3 + .seconds(1))
            return start.duration(to: close.at)
        }
    }
}
