import RawWire

/// Section 3.3: headers, and how long frames may be.
extension Case<ServerBench> {
    static let headers = numbered(
        "3.3",
        (0..<16).map { bit in
            .drop(
                "3.3-1", "Bit \(bit) of bytes 6 and 7 of a header",
                RawFrame.ping(1).with { $0.reserved = 1 << bit }.bytes)
        },
        [
            .refuse(
                "3.3-1", "HELLO whose bytes 6 and 7 are not 0",
                RawFrame.preface + RawFrame.hello().with { $0.reserved = 0x8000 }.bytes),
            .drop(
                "3.3-1", "A frame to be skipped whose bytes 6 and 7 are not 0",
                RawFrame.skipped().with { $0.reserved = 1 }.bytes),
            .refuse("3.3-2", "HELLO with an id", RawFrame.preface + RawFrame.hello().with { $0.id = 1 }.bytes),
            .drop("3.3-2", "REQUEST with the id 0", RawFrame.request(0).bytes),
            .drop("3.3-2", "CANCEL with the id 0", RawFrame.cancel(0).bytes),
        ],
        [RawFrame.ping(1), .pong(1), .message([1]), .goAway(), .close()].flatMap { frame in
            ([1, 0x8000_0000] as [UInt32]).map { id in
                .drop("3.3-2", "\(frame.type) with the id \(id)", frame.with { $0.id = id }.bytes)
            }
        },
        [
            (.ping, 8, 8, 0), (.pong, 20, 20, 0), (.cancel, 0, 0, 1), (.goAway, 12, 524, 0), (.close, 12, 524, 0),
        ].flatMap { (type: RawFrame.Kind, least: UInt32, most: UInt32, id: UInt32) -> [Case] in
            let low: [UInt32] = least == 0 ? [] : [0, least - 1]
            return low.map {
                .drop(
                    "3.3-3", "The header of \(type) with length \($0), under its least,",
                    RawFrame.header(type, length: $0, id: id))
            }
                + [most + 1, .max].map {
                    .drop(
                        "3.3-3", "The header of \(type) with length \($0), over its most,",
                        RawFrame.header(type, length: $0, id: id), .frameTooLarge)
                }
        },
        [0, 19].map { length in
            .refuse(
                "3.3-3", "The header of HELLO with length \(length), under its least,",
                RawFrame.preface + RawFrame.header(.hello, length: length))
        },
        [1025, UInt32.max].map { length in
            .refuse(
                "3.3-3", "The header of HELLO with length \(length), over its most,",
                RawFrame.preface + RawFrame.header(.hello, length: length), .frameTooLarge)
        },
        [
            .of("3.3-3", "GOAWAY and CLOSE with texts of 512 bytes are accepted") { bench in
                let (peer, _) = try bench.open()
                let text = String(repeating: "t", count: 512)
                try bench.send(.request(1, "a", more: true), .goAway(.normal, text), .request(1, "b"), on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectClose(of: peer, .normal)
                let (other, _) = try bench.open()
                try bench.send(.close(.internalError, text), on: other)
                try bench.expectClose(of: other, .normal)
            },
            .of("3.3-3", "All that the server sends in a conversation keeps to section 3.3 and 3.4") { bench in
                let (peer, _) = try bench.open(.hello(maxFrame: 256))
                try bench.send(.request(1, "x"), .ping(1), .request(2, "y", more: true), .cancel(2), .close(), on: peer)
                for frame in try peer.frames(upTo: .close) {
                    bench.expect(
                        frame.reserved == 0 && frame.flags == 0, "no flag and no reserved bit", got: "\(frame)")
                    let hasID = frame.type == .response || frame.type == .failure
                    bench.expect(hasID == (frame.id != 0), "an id where there is a request", got: "\(frame)")
                    let least = [RawFrame.Kind.pong: 20, .ping: 8, .failure: 8, .response: 0, .close: 12]
                    bench.expect(frame.payload.count >= least[frame.type] ?? .max, "known types", got: "\(frame)")
                    bench.expect(frame.notice?.zero ?? 0 == 0, "zero to be 0", got: "\(frame)")
                }
            },
            .of("3.3-4", "A REQUEST that is too long is judged by its header, before a byte of its payload") { bench in
                let (peer, welcome) = try bench.open()
                guard welcome.maxFrame < .max else { throw Skip("the server accepts frames of any length") }
                try bench.send(RawFrame.header(.request, length: welcome.maxFrame + 1, id: 1), on: peer)
                try bench.expectDrop(of: peer, .frameTooLarge)
            },
        ],
        [
            RawFrame.welcome(), .response(1, [1]), .failure(1, .cancelled),
        ].map { .drop("3.3-5", "\($0.type), which is the server's to send,", $0.bytes) },
        [
            RawFrame.ping(1), .pong(1), .request(1), .message([1]), .cancel(1), .goAway(), .close(), .welcome(),
            .response(1, []), .failure(1, .cancelled),
        ].map { .refuse("3.3-6", "\($0.type) in place of HELLO", RawFrame.preface + $0.bytes) },
        [
            .of("3.3-7", "WELCOME comes first, though a request and a PING came right behind HELLO") { bench in
                let peer = try bench.connect()
                let early = RawFrame.request(1).bytes + RawFrame.ping(7).bytes
                try bench.send(RawFrame.preface + RawFrame.hello().bytes + early, on: peer)
                _ = try bench.takeWelcome(on: peer)
                let kinds = [try bench.next(on: peer).type, try bench.next(on: peer).type]
                bench.expect(Set(kinds) == [.response, .pong], "RESPONSE and PONG", got: "\(kinds)")
            },
            .drop("3.3-8", "A second HELLO", RawFrame.hello().bytes),
            .drop(
                "3.3-8", "A second HELLO, right behind the first,", RawFrame.hello().bytes, .protocolError,
                .hello(minor: 1)),
        ],
        lengths)

    /// max_frame, of both sides.
    private static let lengths: [Case] =
        [RawFrame.Kind.request, .message, .init(number: 0x77)].flatMap { type -> [Case] in
            let id: UInt32 = type == .request ? 1 : 0
            let flags: UInt8 = type.number == 0x77 ? RawFrame.ignorable : 0
            return [
                .of("3.3-9", "\(type) of max_frame + 1 bytes is answered with CLOSE(FRAME_TOO_LARGE)") { bench in
                    let (peer, welcome) = try bench.open()
                    guard welcome.maxFrame < .max else { throw Skip("the server accepts frames of any length") }
                    let header = RawFrame.header(type, length: welcome.maxFrame + 1, flags: flags, id: id)
                    try bench.send(header, on: peer)
                    try bench.expectDrop(of: peer, .frameTooLarge)
                },
                .of("3.3-9", "\(type) of exactly max_frame bytes is accepted") { bench in
                    let (peer, welcome) = try bench.open()
                    guard welcome.maxFrame <= 1 << 20 else { throw Skip("max_frame is over 1 MiB") }
                    if type.number != 0x77 { try welcome.need(message: Int(welcome.maxFrame)) }
                    let payload = [UInt8](repeating: 0x41, count: Int(welcome.maxFrame))
                    try bench.send(RawFrame(type: type, flags: flags, id: id, payload: payload), on: peer)
                    if type == .request {
                        bench.expect(
                            try bench.ending(of: 1, on: peer).payload == payload, "the same bytes", got: "others")
                    }
                    try bench.expectServed(2, on: peer)
                },
            ]
        }
        + [UInt32(256), 257, 1000, 16384].map { limit in
            .of("3.3-9", "A response is cut to the client's max_frame of \(limit)") { bench in
                let (peer, welcome) = try bench.open(.hello(maxFrame: limit))
                let message = try bench.ask(1, count: Int(limit) * 3 + 1, welcome, on: peer)
                var got: [UInt8] = []
                var frame: RawFrame
                repeat {
                    frame = try bench.next(on: peer)
                    bench.expect(frame.type == .response && frame.id == 1, "RESPONSE 1", got: "\(frame)")
                    bench.expect(frame.payload.count <= limit, "at most \(limit) bytes", got: "\(frame)")
                    bench.expect(!frame.hasMore || !frame.payload.isEmpty, "no empty chunk with MORE", got: "\(frame)")
                    got += frame.payload
                } while frame.hasMore
                bench.expect(got == message, "the bytes of the request", got: "\(got.count) others")
            }
        }
        + [
            .of("3.3-10", "No frame has more than 16384 bytes, whatever the client accepts", level: .should) { bench in
                let (peer, welcome) = try bench.open(.hello(maxFrame: .max, maxMessage: .max))
                try welcome.need(message: 20000)
                _ = try bench.ask(1, count: min(100_000, Int(welcome.maxMessage)), welcome, on: peer)
                var frame: RawFrame
                repeat {
                    frame = try bench.next(on: peer)
                    bench.expect(frame.payload.count <= 16384, "at most 16384 bytes", got: "\(frame)")
                } while frame.hasMore
            }
        ]
}
