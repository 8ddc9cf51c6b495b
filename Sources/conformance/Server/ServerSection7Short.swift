import RawWire

/// Section 7.3: short connections.
extension Case<ServerBench> {
    static let shorts = numbered(
        "7.3",
        [
            shortBreach("MESSAGE", [.message([1])]), shortBreach("GOAWAY", [.goAway()]),
            shortBreach("A MESSAGE between the chunks of the request", [.request(1, "a", more: true), .message([1])]),
            shortBreach("GOAWAY between the chunks of the request", [.request(1, "a", more: true), .goAway()]),
            shortBreach(
                "A second request between the chunks of the first", [.request(1, "a", more: true), .request(2)]),
        ],
        [RawFrame.ping(3), .skipped(4)].map { frame in
            .of("7.3-1", "In a short connection \(frame.type) may come between the chunks") { bench in
                let (peer, _) = try bench.open(.short)
                try bench.send(.request(1, "hel", more: true), frame, on: peer)
                if frame.type == .ping { try bench.takePong(3, on: peer) }
                try bench.send(.request(1, "lo"), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).text == "hello", "'hello'", got: "another")
                try bench.expectClose(of: peer, .normal)
            }
        },
        [
            .of("7.3-1", "In a short connection a PONG is taken") { bench in
                let (peer, welcome) = try bench.open(bench.hello(flags: 1))
                try bench.send(.pong(to: try peer.take(.ping, within: welcome.deadline * 2)), .request(1), on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectClose(of: peer, .normal)
            }
        ],
        ([1, 77, .max] as [UInt32]).map { id in
            .of("7.3-3", "A short connection ends right behind its answer, with CLOSE(NORMAL) and last_id \(id)") {
                bench in
                let (peer, _) = try bench.open(.short)
                try bench.send(.request(id), on: peer)
                let ending = try bench.ending(of: id, on: peer)
                bench.expect(ending.text == "hello", "'hello'", got: "\(ending)")
                let close = try bench.expectClose(of: peer, .normal) { "expected CLOSE, got \($0)" }
                bench.expect(close?.lastID == id, "last_id \(id)", got: "\(close as Any)")
            }
        },
        [
            .of("7.3-3", "A short connection whose request is cancelled ends with FAILURE(CANCELLED) and CLOSE(NORMAL)")
            { bench in
                let (peer, _) = try bench.open(.short)
                try bench.send(.request(1, "hel", more: true), .cancel(1), on: peer)
                let ending = try bench.ending(of: 1, on: peer)
                bench.expect(ending.notice?.code == .cancelled, "FAILURE(CANCELLED)", got: "\(ending)")
                try bench.expectClose(of: peer, .normal)
            },
            .of(
                "7.3-3",
                "A short connection whose response is too long ends with FAILURE, and CLOSE(NORMAL) all the same"
            ) { bench in
                let (peer, _) = try bench.open(.hello(flags: 1, maxMessage: 2))
                try bench.send(.request(1), on: peer)
                let code = try bench.ending(of: 1, on: peer).notice?.code
                bench.expect(code == .messageTooLarge, "MESSAGE_TOO_LARGE", got: "\(code as Any)")
                try bench.expectClose(of: peer, .normal)
            },
            .of("7.3-3", "Preface, HELLO and request in one write, and the end of stream: answer and CLOSE(NORMAL)") {
                bench in
                let peer = try bench.connect()
                try bench.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes, on: peer)
                peer.shutdownWriting()
                _ = try bench.takeWelcome(on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .of("7.3-3", "A short connection of many chunks ends right behind the last") { bench in
                let (peer, welcome) = try bench.open(.short)
                let message = try bench.ask(9, count: 100_000, welcome, on: peer)
                bench.expect(try bench.ending(of: 9, on: peer).payload == message, "the same bytes", got: "others")
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect(close?.lastID == 9, "last_id 9", got: "\(close as Any)")
            },
            .of("7.3-4", "The answer and CLOSE of a short connection come in one write", level: .should) { bench in
                if bench.chop != nil { throw Skip("the last byte of a request alone shows nothing") }
                let peer = try bench.connect()
                try bench.send(RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes, on: peer)
                _ = try bench.takeWelcome(on: peer)
                _ = try peer.take(1)
                bench.expect(
                    peer.unread.count == 16 + 24 || peer.unread.count > 40, "RESPONSE and CLOSE",
                    got: "\(peer.unread.count) bytes")
            },
            .of("7.2-3", "A short connection that ends before its request gets CLOSE(NORMAL)") { bench in
                let (peer, _) = try bench.open(.short)
                peer.shutdownWriting()
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect(close?.lastID == 0, "last_id 0", got: "\(close as Any)")
            },
            .of("7.2-4", "A short connection that ends between the chunks of its request gets CLOSE(PROTOCOL_ERROR)") {
                bench in
                let (peer, _) = try bench.open(.short)
                try bench.send(.request(1, "a", more: true), on: peer)
                peer.shutdownWriting()
                try bench.expectClose(of: peer, .protocolError)
            },
            .of(
                "7.2-4",
                "Where the end of stream cuts a frame behind the request, PROTOCOL_ERROR takes the place of NORMAL"
            ) { bench in
                let peer = try bench.connect()
                let cut = RawFrame.preface + RawFrame.short.bytes + RawFrame.request(1).bytes + [0, 0, 0]
                try bench.send(cut, on: peer)
                peer.shutdownWriting()
                _ = try bench.takeWelcome(on: peer)
                _ = try bench.ending(of: 1, on: peer)
                // The answer may have been sent before the rest was read.
                let close = try peer.takeClose()
                bench.expect(
                    [.normal, .protocolError].contains(close.code), "PROTOCOL_ERROR, or NORMAL", got: "\(close)")
            },
            .of("7.1-6", "CLOSE before the request of a short connection is answered with CLOSE(NORMAL)") { bench in
                let (peer, _) = try bench.open(.short)
                try bench.send(.request(1, "a", more: true), .close(), on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .of("7.3-2", "In a short connection no MESSAGE comes, neither before the request nor behind it") { bench in
                let (peer, _) = try bench.open(.short)
                let early = try peer.nextFrame(within: .milliseconds(100))
                bench.expect(early == nil || early?.type == .ping, "nothing", got: "\(early as Any)")
                try bench.send(.request(1), on: peer)
                for frame in try peer.frames(upTo: .close) {
                    bench.expect(frame.type != .message, "no MESSAGE", got: "\(frame)")
                }
            },
        ])

    private static func shortBreach(_ sentence: String, _ frames: [RawFrame]) -> Case {
        .drop("7.3-1", "\(sentence) in a short connection", frames.flatMap(\.bytes), .protocolError, .short)
    }

}
