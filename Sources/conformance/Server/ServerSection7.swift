import RawWire

/// Sections 7.1 and 7.2: CLOSE, and the end of the stream.
extension Case<ServerBench> {
    static let section7: [Case] = closes + ends + shorts + goAways + drops + refusedConnections

    private static let closes = numbered(
        "7.1",
        [
            .of(
                "7.1-1", "CLOSE is the last frame of a connection that the client closes, and the end of stream follows"
            ) { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1), .close(), on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .of("7.1-2", "The end of stream comes right behind CLOSE, though the client sends nothing more") { bench in
                let (peer, _) = try bench.open()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }.bytes, on: peer)
                _ = try peer.frames(upTo: .close)
                let start = SuspendingClock.now
                try peer.takeEnd(within: .seconds(3))
                bench.expect(start.age < .milliseconds(500), "the end at once", got: "after \(start.age)")
            },
            readsOn(
                "7.1-3", "After a violation the server reads on for a second before it closes the socket", deadAfter: 0),
            readsOn("7.1-4", "No deadline ends that second sooner, nor is there a second CLOSE", deadAfter: 100),
            .of("7.1-3", "A megabyte behind a violation is discarded, and CLOSE can be read") { bench in
                let (peer, _) = try bench.open()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }.bytes, on: peer)
                try peer.send([UInt8](repeating: 0xEE, count: 1 << 20))
                try bench.expectDrop(of: peer, .protocolError)
            },
            .of("7.1-5", "What comes behind CLOSE is not taken for frames") { bench in
                if bench.chop != nil { throw Skip("the server may have closed before the rest is sent") }
                for junk in [RawFrame.request(1).bytes, RawFrame.ping(1).bytes, [UInt8](repeating: 0xFF, count: 100)] {
                    let (peer, _) = try bench.open()
                    try bench.send(RawFrame.close().bytes + junk, on: peer)
                    try bench.expectClose(of: peer, .normal) { $0.type == .ping ? nil : "expected CLOSE, got \($0)" }
                }
            },
            .of("7.1-6", "CLOSE is answered with CLOSE(NORMAL) at once") { bench in
                try bench.expectBetween("CLOSE", .zero, bench.times.latest(.zero, of: bench.times.deadAfter)) {
                    let (peer, _) = try bench.open(bench.hello())
                    let start = try bench.sendTimed(RawFrame.close().bytes, on: peer)
                    _ = try bench.readToClose(on: peer, .normal, within: .seconds(5))
                    return start.age
                }
            },
            .of("7.1-6", "CLOSE right behind HELLO is answered with WELCOME and CLOSE(NORMAL)") { bench in
                let peer = try bench.connect()
                try bench.send(RawFrame.preface + RawFrame.hello().bytes + RawFrame.close().bytes, on: peer)
                _ = try bench.takeWelcome(on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .of(
                "7.1-6", "CLOSE behind a request whose response has begun: the response comes whole, then CLOSE(NORMAL)"
            ) { bench in
                let (peer, welcome) = try bench.open()
                let message = try bench.ask(1, count: 300_000, welcome, on: peer)
                while peer.unread.isEmpty { guard try peer.read(until: .now + RawPeer.patience) else { break } }
                try bench.send(.close(), on: peer)
                let frame = try bench.ending(of: 1, on: peer)
                bench.expect(frame.payload == message, "the bytes of the request", got: "\(frame)")
                try bench.expectClose(of: peer, .normal)
            },
            .of("7.1-7", "CLOSE in an open request is answered at once, without its ending") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .close(), on: peer)
                try bench.expectClose(of: peer, .normal) {
                    $0.type == .ping || $0.type == .failure ? nil : "expected CLOSE, got \($0)"
                }
            },
            .of("7.1-8", "CLOSE behind a violation is not answered with a second CLOSE") { bench in
                let (peer, _) = try bench.open()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }.bytes + RawFrame.close().bytes, on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            .of("7.1-8", "A violation behind CLOSE is not answered") { bench in
                if bench.chop != nil { throw Skip("the server may have closed before the rest is sent") }
                let (peer, _) = try bench.open()
                try bench.send(RawFrame.close().bytes + RawFrame.ping(1).with { $0.reserved = 1 }.bytes, on: peer)
                try bench.expectDrop(of: peer, .normal)
            },
        ])

    /// The server that has dropped a client goes on reading: who writes on meets no reset for a second.
    private static func readsOn(_ requirement: String, _ sentence: String, deadAfter: UInt32) -> Case {
        .of(requirement, sentence) { bench in
            // What slack is depends on dead_after; a server may take that of the connection, or of the handshake.
            let welcome = try bench.open(.hello(deadAfter: deadAfter)).welcome
            let latest = Duration.seconds(1) + welcome.slack + Times.machine * 2
            try bench.expectBetween("the end of reading", .seconds(1), latest, samples: 2) {
                let (peer, _) = try bench.open(.hello(deadAfter: deadAfter))
                let start = try bench.sendTimed(RawFrame.ping(1).with { $0.reserved = 1 }.bytes, on: peer)
                let frames = try peer.frames(upTo: .close)
                bench.expect(frames.allSatisfy { $0.type != .pong }, "no PONG", got: "\(frames)")
                try peer.takeEnd()
                while start.age < latest * 3 {
                    // The first byte behind the end is answered with a reset, which the second one meets.
                    do { _ = try peer.push([0xAA]) } catch { break }
                    bench.pause(.milliseconds(5))
                }
                return start.age
            }
        }
    }

    private static let ends = numbered(
        "7.2",
        [
            .of("7.2-1", "The end of stream before the first byte is answered with the preface and CLOSE(NORMAL)") {
                bench in
                let peer = try bench.connect()
                peer.shutdownWriting()
                try peer.takePreface()
                let close = try bench.expectClose(of: peer, .normal) { "expected CLOSE, got \($0)" }
                bench.expect(close?.lastID == 0, "last_id 0", got: "\(close as Any)")
            }
        ],
        (1..<40).map { count in
            .of("7.2-2", "The end of stream behind \(count) of the 40 bytes of preface and HELLO is a PROTOCOL_ERROR") {
                bench in
                let peer = try bench.connect()
                try bench.send(Array((RawFrame.preface + RawFrame.hello().bytes).prefix(count)), on: peer)
                peer.shutdownWriting()
                try peer.takePreface()
                try bench.expectClose(of: peer, .protocolError) { "expected CLOSE, got \($0)" }
            }
        },
        [
            endOfStream("7.2-3", "behind HELLO", [], .normal, answers: []),
            endOfStream(
                "7.2-3", "behind three requests", (1...3).map { RawFrame.request($0) }, .normal, answers: [1, 2, 3]),
            endOfStream("7.2-3", "behind a MESSAGE", [.message([1])], .normal, answers: []),
            endOfStream(
                "7.2-3", "behind a request that was cancelled", [.request(1, "a", more: true), .cancel(1)], .normal,
                answers: [1]),
            endOfStream("7.2-3", "behind a request and GOAWAY", [.request(1), .goAway()], .normal, answers: [1]),
            endOfStream("7.2-3", "behind a frame to be skipped", [.skipped(5)], .normal, answers: []),
            endOfStream(
                "7.2-4", "between the chunks of a request", [.request(1), .request(2, "a", more: true)], .protocolError,
                answers: [1]),
            endOfStream(
                "7.2-4", "between the chunks of a MESSAGE", [.request(1), .message([1], more: true)], .protocolError,
                answers: [1]),
            endOfStream(
                "7.2-4", "inside a frame to be skipped", [.request(1), .skipped(20)], cut: 5, .protocolError,
                answers: [1]),
            endOfStream(
                "7.2-4", "inside the payload of a request", [.request(1), .request(2)], cut: 1, .protocolError,
                answers: [1]),
        ],
        (1...11).map { count in
            endOfStream(
                "7.2-4", "behind \(count) bytes of a header", [.request(1), .cancel(1)], cut: 12 - count,
                .protocolError, answers: [1])
        },
        [
            .of("7.2-3", "A response of many chunks comes whole after the end of stream, then CLOSE(NORMAL)") { bench in
                let (peer, welcome) = try bench.open()
                let message = try bench.ask(1, count: 1 << 20, welcome, on: peer)
                peer.shutdownWriting()
                bench.expect(try bench.ending(of: 1, on: peer).payload == message, "the same bytes", got: "others")
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect(close?.lastID == 1, "last_id 1", got: "\(close as Any)")
            },
            .of("7.2-3", "The end of stream behind CLOSE changes nothing") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.close(), on: peer)
                peer.shutdownWriting()
                try bench.expectClose(of: peer, .normal)
            },
        ],
        [
            ("before the first byte", []), ("in the preface", Array(RawFrame.preface.prefix(4))),
            ("in HELLO", Array((RawFrame.preface + RawFrame.hello().bytes).prefix(20))),
            ("behind HELLO", RawFrame.preface + RawFrame.hello().bytes),
            ("inside a frame", RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1).bytes.prefix(14)),
            ("between chunks", RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1, "a", more: true).bytes),
            ("behind a request", RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1).bytes),
            ("behind CLOSE", RawFrame.preface + RawFrame.hello().bytes + RawFrame.close().bytes),
            ("behind a violation", RawFrame.preface + RawFrame.hello().bytes + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ].map { (place: String, bytes: [UInt8]) in
            .of("7.2-6", "A reset \(place) ends that connection, and no other") { bench in
                let (other, _) = try bench.open()
                for _ in 0..<3 {
                    let peer = try bench.connect()
                    try bench.send(bytes, on: peer)
                    peer.reset()
                }
                try bench.expectServed(1, on: other)
            }
        })

    /// The end of stream behind `frames`, of which `cut` bytes are missing: `answers` and CLOSE with `code` come.
    private static func endOfStream(
        _ requirement: String, _ place: String, _ frames: [RawFrame], cut: Int = 0, _ code: RawCode, answers: [UInt32]
    ) -> Case {
        .of(requirement, "The end of stream \(place) is answered with the endings, then CLOSE(\(code))") { bench in
            let (peer, _) = try bench.open()
            try bench.send(frames.flatMap(\.bytes).dropLast(cut), on: peer)
            peer.shutdownWriting()
            var endings: Set<UInt32> = []
            let close = try bench.expectClose(of: peer, code) { frame in
                if frame.type == .response || frame.type == .failure { endings.insert(frame.id) }
                return [.response, .failure, .ping].contains(frame.type) ? nil : "unexpected \(frame)"
            }
            bench.expect(endings.isSuperset(of: answers), "the endings of \(answers)", got: "\(endings.sorted())")
            bench.expect(
                (close?.lastID ?? 0) <= frames.map(\.id).max() ?? 0, "a last_id that was sent", got: "\(close as Any)")
        }
    }
}
