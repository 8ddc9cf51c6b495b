import RawWire

/// Sections 3.5 and 3.6: messages in chunks, and the ids of requests.
extension Case<ServerBench> {
    private static func open(_ id: UInt32 = 1) -> [UInt8] { RawFrame.request(id, "a", more: true).bytes }

    static let messages = numbered(
        "3.5",
        [["hello"], ["hel", "lo"], ["h", "e", "l", "l", "o"], ["hello", ""], ["h", "ello", ""]].map { pieces in
            .of("3.5-1", "A request cut like \(pieces) is 'hello'") { bench in
                let (peer, _) = try bench.open()
                let frames = pieces.enumerated().map { RawFrame.request(1, $1, more: $0 + 1 < pieces.count) }
                try bench.send(frames.flatMap(\.bytes), on: peer)
                let frame = try bench.ending(of: 1, on: peer)
                bench.expect(frame.type == .response && frame.text == "hello", "'hello'", got: "\(frame)")
            }
        },
        [
            .of("3.5-1", "An empty request has an empty response, in one frame without MORE") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, ""), on: peer)
                let frame = try bench.next(on: peer)
                bench.expect(frame == .response(1, []), "RESPONSE 1 without a byte", got: "\(frame)")
            },
            .drop("3.5-1", "An empty REQUEST with MORE", RawFrame.request(1, "", more: true).bytes),
            .drop("3.5-1", "An empty MESSAGE with MORE", RawFrame.message([], more: true).bytes),
            .drop(
                "3.5-1", "An empty chunk with MORE in an open request",
                open() + RawFrame.request(1, "", more: true).bytes),
            .drop("3.5-2", "A chunk with a higher id", open() + RawFrame.request(2).bytes),
            .drop("3.5-2", "A chunk with a lower id", open(5) + RawFrame.request(4).bytes),
            .drop("3.5-2", "A chunk of another type", open() + RawFrame.message([1]).bytes),
            .drop(
                "3.5-3", "A request while a MESSAGE is open",
                RawFrame.message([1], more: true).bytes + RawFrame.request(1).bytes),
            .drop("3.5-3", "The first chunk of another request while one is open", open() + open(2)),
            .drop("3.5-3", "An empty MESSAGE while a request is open", open() + RawFrame.message([]).bytes),
            .of("3.5-3", "PING, CANCEL of an older request and a frame to be skipped may come between chunks") {
                bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(1, on: peer)
                try bench.send(.request(2, "hel", more: true), .ping(5), .cancel(1), .skipped(3), on: peer)
                try bench.takePong(5, on: peer)
                try bench.send(.request(2, "lo"), on: peer)
                bench.expect(try bench.ending(of: 2, on: peer).text == "hello", "'hello'", got: "another")
            },
            .of("3.5-3", "PING between the chunks of a MESSAGE is answered") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.message([1], more: true), .ping(5), .message([2]), on: peer)
                try bench.takePong(5, on: peer)
                try bench.expectServed(1, on: peer)
            },
            .of("3.5-3", "CLOSE between the chunks of a request is answered with CLOSE(NORMAL)") { bench in
                let (peer, _) = try bench.open()
                try bench.send(open() + RawFrame.close().bytes, on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .of("3.5-3", "The chunks of one response come without those of another between them") { bench in
                let (peer, welcome) = try bench.open(.hello(maxFrame: 256))
                for id in 1...8 { try bench.ask(UInt32(id), count: 2000, welcome, on: peer) }
                var open: UInt32?
                var endings = 0
                while endings < 8 {
                    let frame = try bench.next(on: peer)
                    bench.expect(
                        frame.type == .failure || open == nil || frame.id == open, "a chunk of \(open ?? 0)",
                        got: "\(frame)")
                    open = frame.hasMore ? frame.id : nil
                    if !frame.hasMore { endings += 1 }
                }
            },
            .of("3.5-4", "A request of exactly max_message bytes is answered") { bench in
                let (peer, welcome) = try bench.open(.hello(maxMessage: .max))
                guard welcome.maxMessage <= 4 << 20 else { throw Skip("max_message is over 4 MiB") }
                let message = try bench.ask(1, count: .max, welcome, on: peer)
                let frame = try bench.ending(of: 1, on: peer)
                bench.expect(frame.payload == message, "\(message.count) bytes", got: "\(frame)")
                try bench.expectServed(2, on: peer)
            },
            .of("3.5-4", "Where the client's max_message is 0 an empty response comes, and nothing longer") { bench in
                let (peer, _) = try bench.open(.hello(maxMessage: 0))
                try bench.send(.request(1, ""), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).type == .response, "RESPONSE", got: "FAILURE")
                try bench.send(.request(2, "x"), on: peer)
                let code = try bench.ending(of: 2, on: peer).notice?.code
                bench.expect(code == .messageTooLarge, "FAILURE(MESSAGE_TOO_LARGE)", got: "\(code as Any)")
            },
        ],
        [RawFrame.Kind.request, .message].flatMap { type -> [Case] in
            let id: UInt32 = type == .request ? 1 : 0
            return [
                .of("3.5-5", "\(type) in chunks, one byte over max_message, is judged at the last header") { bench in
                    let (peer, welcome) = try bench.open()
                    guard welcome.maxMessage <= 4 << 20 else { throw Skip("max_message is over 4 MiB") }
                    try welcome.need(message: 1)
                    let full = [UInt8](repeating: 7, count: Int(welcome.maxMessage))
                    let most = min(16384, Int(welcome.maxFrame))
                    for start in stride(from: 0, to: full.count, by: most) {
                        let chunk = Array(full[start..<min(full.count, start + most)])
                        try peer.send(RawFrame(type: type, flags: RawFrame.more, id: id, payload: chunk))
                    }
                    try bench.send(RawFrame.header(type, length: 1, id: id), on: peer)
                    try bench.expectDrop(of: peer, .messageTooLarge)
                },
                .of("3.5-5", "\(type) over max_message in one frame is judged at its header") { bench in
                    let (peer, welcome) = try bench.open()
                    guard welcome.maxMessage < welcome.maxFrame else {
                        throw Skip("max_message is not under max_frame")
                    }
                    try bench.send(RawFrame.header(type, length: welcome.maxMessage + 1, id: id), on: peer)
                    try bench.expectDrop(of: peer, .messageTooLarge)
                },
            ]
        },
        [
            .of(
                "3.5-6",
                "A response over the client's max_message is FAILURE(MESSAGE_TOO_LARGE), and the next is served"
            ) {
                bench in
                let (peer, _) = try bench.open(.hello(maxMessage: 4))
                try bench.send(.request(1, "hello"), on: peer)
                let failure = try bench.ending(of: 1, on: peer)
                bench.expect(
                    failure.notice?.code == .messageTooLarge && failure.type == .failure,
                    "FAILURE(MESSAGE_TOO_LARGE)", got: "\(failure)")
                try bench.send(.request(2, "four"), on: peer)
                bench.expect(try bench.ending(of: 2, on: peer).text == "four", "'four'", got: "another")
            },
            .of("3.5-7", "MESSAGEs are not answered") { bench in
                let (peer, welcome) = try bench.open()
                try welcome.need(message: 2)
                try bench.send(
                    .message([1]), .message([2], more: true), .message([3]), .message([]), .ping(1), on: peer)
                try bench.takePong(1, on: peer)
            },
            .of("3.5-8", "Ten thousand MESSAGEs neither end the connection nor hold up a PONG") { bench in
                let (peer, welcome) = try bench.open()
                try welcome.need(message: 100)
                let flood = RawFrame.message([UInt8](repeating: 1, count: 100)).bytes
                try peer.send((0..<10_000).flatMap { _ in flood })
                try bench.send(.ping(1), on: peer)
                try bench.takePong(1, on: peer)
                try bench.expectServed(1, on: peer)
            },
        ],
        [256, 512, 1024].map { count in
            .of("3.5-1", "A response of \(count) bytes in chunks of 256 has none that is empty and not the last") {
                bench in
                let (peer, welcome) = try bench.open(.hello(maxFrame: 256))
                try welcome.need(message: count)
                let message = try bench.ask(1, count: count, welcome, on: peer)
                var got: [UInt8] = []
                var frame: RawFrame
                repeat {
                    frame = try bench.next(on: peer)
                    bench.expect(!frame.hasMore || !frame.payload.isEmpty, "no empty chunk", got: "\(frame)")
                    got += frame.payload
                } while frame.hasMore
                bench.expect(got == message, "the bytes of the request", got: "\(got.count) others")
            }
        })

    static let ids = numbered(
        "3.6",
        [
            .of("3.6-1", "Ids may begin anywhere and leave gaps, up to 4294967295") { bench in
                let (peer, _) = try bench.open()
                for id: UInt32 in [3, 4, 70, 1 << 31, .max] { try bench.expectServed(id, on: peer) }
            },
            .drop("3.6-1", "An id that was used before", RawFrame.request(5).bytes, after: [.request(5)]),
            .drop("3.6-1", "An id one below the last", RawFrame.request(4).bytes, after: [.request(5)]),
            .drop("3.6-1", "The id 1 behind a high one", open(), after: [.request(.max)]),
            .of("3.6-1", "Where an id does not rise, last_id is that of the last request that was served") { bench in
                for id: UInt32 in [5, 4, 1] {
                    let (peer, _) = try bench.open()
                    try bench.expectServed(5, on: peer)
                    try bench.send(.request(id), on: peer)
                    let close = try bench.expectDrop(of: peer, .protocolError)
                    bench.expect(close?.lastID == 5, "last_id 5 behind the id \(id)", got: "\(close as Any)")
                }
            },
            .drop(
                "3.6-1", "The id of a request that was cancelled, for a new one,", RawFrame.request(1).bytes,
                after: [.request(1, "a", more: true), .cancel(1)]),
            .drop("3.6-2", "A request behind the id 4294967295", RawFrame.request(.max).bytes, after: [.request(.max)]),
            .of("3.6-3", "A hundred requests at once have exactly one ending each") { bench in
                let (peer, _) = try bench.open()
                try bench.send((1...100).flatMap { RawFrame.request($0, "\($0)").bytes }, on: peer)
                try bench.expectEndings(of: 1...100, on: peer) { "\($0)" }
                try bench.expectServed(101, on: peer)
            },
            .of("3.6-4", "Nothing of a response comes before the last chunk of its request") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "hel", more: true), .ping(1), on: peer)
                try bench.takePong(1, on: peer)
                let early = try peer.nextFrame(within: .milliseconds(100))
                bench.expect(early == nil || early?.type == .ping, "nothing", got: "\(early as Any)")
                if let early, early.type == .ping { try bench.send(.pong(to: early), on: peer) }
                try bench.send(.request(1, "lo"), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).text == "hello", "'hello'", got: "another")
            },
            .of("3.6-5", "No ending comes for an id that was left out") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(5), .cancel(3), .request(9), on: peer)
                _ = try bench.ending(of: 5, on: peer)
                _ = try bench.ending(of: 9, on: peer)
                try bench.send(.ping(1), on: peer)
                try bench.takePong(1, on: peer)
            },
            .of("3.6-7", "A request counts as in flight from its first chunk, and its bytes as queued") { bench in
                let (peer, welcome) = try bench.open()
                try welcome.need(message: 200)
                try bench.send(.request(1, [UInt8](repeating: 1, count: 150), more: true), .ping(1), on: peer)
                let pong = try bench.takePong(1, on: peer)
                bench.expect(pong.inFlight == 1 && pong.queued == 150, "1 in flight, 150 bytes", got: "\(pong)")
            },
            .of("3.6-7", "A request that was answered or cancelled counts no more") { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(1, on: peer)
                try bench.send(.request(2, "a", more: true), .cancel(2), on: peer)
                _ = try bench.ending(of: 2, on: peer)
                try bench.send(.ping(1), on: peer)
                let pong = try bench.takePong(1, on: peer)
                bench.expect(pong.inFlight == 0 && pong.queued == 0, "nothing in flight", got: "\(pong)")
            },
        ], refusals)
}

extension ServerBench {
    /// One ending for each of `ids`, in any order, and no other: its own bytes, or FAILURE(REFUSED).
    func expectEndings(
        of ids: ClosedRange<UInt32>, on peer: RawPeer, text: (UInt32) -> String
    ) throws {
        var waiting = Set(ids)
        while !waiting.isEmpty {
            var frame = try next(on: peer)
            while frame.type == .response, frame.hasMore {
                let chunk = try next(on: peer)
                guard chunk.type == .response, chunk.id == frame.id else { throw Unexpected("unexpected \(chunk)") }
                frame.payload += chunk.payload
                frame.flags = chunk.flags
            }
            expect(waiting.remove(frame.id) != nil, "one ending for each request", got: "\(frame)")
            let isRefused = frame.type == .failure && frame.notice?.code == .refused
            expect(
                isRefused || frame.type == .response && frame.text == text(frame.id), "'\(text(frame.id))'",
                got: "\(frame)")
        }
    }
}
