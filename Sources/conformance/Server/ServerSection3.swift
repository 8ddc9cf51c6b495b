import RawWire

/// Section 3.1 to 3.4: integers, preface, header, flags.
extension Case<ServerBench> {
    static let section3: [Case] = integers + prefaces + headers + flags + messages + ids + serverRequests + credits

    /// Byte strings that are not UTF-8, and why.
    static let malformed: [(String, [UInt8])] = [
        ("a continuation alone", [0x61, 0x80]), ("the byte ff", [0xFF]), ("an overlong slash", [0xC0, 0xAF]),
        ("an overlong form of three bytes", [0xE0, 0x80, 0xAF]), ("half a surrogate pair", [0xED, 0xA0, 0x80]),
        ("a number above 10ffff", [0xF4, 0x90, 0x80, 0x80]), ("a letter that is cut off", [0x61, 0xE2, 0x82]),
    ]

    private static let integers = numbered(
        "3.1",
        [
            .of("3.1-1", "Integers come most significant byte first: WELCOME's length, and the id of a response") {
                bench in
                let peer = try bench.connect()
                try bench.send(RawFrame.preface + RawFrame.hello().bytes, on: peer)
                try peer.takePreface()
                let length = UInt32(bigEndian: try peer.take(12)[...])
                bench.expect((36...1024).contains(length), "a WELCOME of 36 to 1024 bytes", got: "\(length)")
                _ = try peer.take(Int(length))
                try bench.send(.request(0x0102_0304, "x"), on: peer)
                let header = try bench.next(on: peer)
                bench.expect(
                    header.bytes == [0, 0, 0, 1, 6, 0, 0, 0, 1, 2, 3, 4, 0x78], "RESPONSE 01020304 'x'",
                    got: hex(header.bytes))
            },
            .of("3.1-2", "A third of 1000 ms, and half of 101 ms, are rounded down") { bench in
                guard bench.known.heartbeat >= 333 else { throw Skip("the server's own interval is shorter") }
                let third = try bench.open(.hello(deadAfter: 1000)).welcome
                if third.deadAfter == 1000 { bench.expect(third.pingEvery == 333, "333", got: "\(third.pingEvery)") }
                let half = try bench.open(.hello(pingEvery: 1000, deadAfter: 101)).welcome
                if half.deadAfter == 101 { bench.expect(half.pingEvery == 50, "50", got: "\(half.pingEvery)") }
            },
        ],
        malformed.flatMap { what, bytes in
            [
                .refuse("3.1-3", "NAME with \(what)", greeting(RawFrame.option(2, bytes))),
                .refuse("3.1-3", "AGENT with \(what)", greeting(RawFrame.option(3, bytes))),
                .drop("3.1-3", "The text of CLOSE with \(what)", RawFrame.close().with { $0.payload += bytes }.bytes),
                .drop("3.1-3", "The text of GOAWAY with \(what)", RawFrame.goAway().with { $0.payload += bytes }.bytes),
            ]
        },
        [
            .of("3.1-3", "A text with a zero byte, a control character and letters of four bytes is well-formed") {
                bench in
                let (peer, _) = try bench.open(.hello(options: RawFrame.name("a\u{0}\u{1B}\u{10FFFF}é")))
                try bench.send(.close(.normal, "a\u{0}\u{1B}\u{10FFFF}é"), on: peer)
                try bench.expectClose(of: peer, .normal)
            }
        ],
        malformed.map { what, bytes in
            .of("3.1-3", "The text of the server's CLOSE is UTF-8, where it speaks of a preface with \(what) too") {
                bench in
                let peer = try bench.connect()
                try bench.send(bytes + Array("GET".utf8) + bytes, on: peer)
                try peer.takePreface()
                let text = try bench.expectDrop(of: peer, .badPreface)?.text ?? [0xFF]
                bench.expect(String(validating: text, as: UTF8.self) != nil, "UTF-8", got: hex(text))
            }
        })

    static func greeting(_ options: [UInt8]) -> [UInt8] { RawFrame.preface + RawFrame.hello(options: options).bytes }

    private static let prefaces = numbered(
        "3.2",
        [
            .of("3.2-2", "The preface comes before WELCOME") { bench in
                let peer = try bench.connect()
                _ = try bench.greet(peer)
            },
            .of("3.2-2", "The preface comes before CLOSE, where the client's first byte is wrong") { bench in
                let peer = try bench.connect()
                try bench.send([0], on: peer)
                try peer.takePreface()
                try bench.expectDrop(of: peer, .badPreface)
            },
        ],
        (0..<8).map { count in
            .of(
                "3.2-3",
                "A wrong byte behind \(count) right ones of the preface is answered with CLOSE(BAD_PREFACE) at once"
            ) { bench in
                // Nothing follows: a server that waits for the whole preface would wait for ever.
                try bench.expectRefusal(of: RawFrame.preface.prefix(count) + [0x4D], .badPreface)
            }
        },
        [
            ("An HTTP request", Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), "http"),
            ("A preface of HTTP/2", Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), "http"),
            ("A TLS hello", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03], "tls"),
            ("An SSH greeting", Array("SSH-2.0-OpenSSH_9.6\r\n".utf8), "ssh"),
            ("Another protocol", [0xDE, 0xAD, 0xBE, 0xEF, 0xDE, 0xAD, 0xBE, 0xEF], "de"),
        ].flatMap { (what: String, bytes: [UInt8], name: String) -> [Case] in
            [
                .refuse("3.2-3", what, bytes, .badPreface),
                .of("3.2-5", "\(what) is named in the text of CLOSE ('\(name)')", level: .should) { bench in
                    if bench.chop != nil { throw Skip("the server sees only the first byte before it closes") }
                    let peer = try bench.connect()
                    try bench.send(bytes, on: peer)
                    try peer.takePreface()
                    let text = String(decoding: try peer.takeClose().text, as: UTF8.self).lowercased()
                    bench.expect(text.contains(name), "'\(name)' in the text", got: "'\(text)'")
                },
            ]
        },
        [
            .refuse(
                "3.2-4", "HELLO behind 7 bytes of the preface", RawFrame.preface.dropLast() + RawFrame.hello().bytes,
                .badPreface),
            .refuse("3.2-4", "HELLO without a preface", RawFrame.hello().bytes, .badPreface),
        ])

    private static let flags = numbered(
        "3.4",
        (1...6).flatMap { bit -> [Case] in
            let flag: UInt8 = 1 << bit
            let name = "flag 0x" + String(flag, radix: 16)
            return [
                .drop("3.4-1", "PING with the \(name)", RawFrame.ping(1).with { $0.flags = flag }.bytes),
                .drop("3.4-1", "REQUEST with the \(name)", RawFrame.request(1).with { $0.flags = flag }.bytes),
            ]
        },
        [
            .refuse(
                "3.4-1", "HELLO with the flag 0x2",
                RawFrame.preface + RawFrame.hello().with { $0.flags = 2 }.bytes),
            .drop("3.4-1", "A frame to be skipped with the flag 0x40", RawFrame.unknown(0x77, flags: 0xC0).bytes),
            .refuse(
                "3.4-2", "HELLO with MORE", RawFrame.preface + RawFrame.hello().with { $0.flags = RawFrame.more }.bytes),
        ],
        [RawFrame.ping(1), .pong(1), .cancel(1), .goAway(), .close(), .unknown(0x77, flags: 0x80)].map { frame in
            .drop("3.4-2", "\(frame.type) with MORE", frame.with { $0.flags |= RawFrame.more }.bytes)
        },
        ([0x00, 0x0C, 0x7F, 0x80, 0xFF] as [UInt8]).flatMap { type -> [Case] in
            let name = "type 0x" + String(type, radix: 16)
            return [
                .drop("3.4-3", "A frame of \(name) without IGNORABLE", RawFrame.unknown(type, flags: 0).bytes),
                .accept(
                    "3.4-4", "A frame of \(name) with IGNORABLE and an id",
                    RawFrame.unknown(type, flags: 0x80, id: .max, [1, 2, 3]).bytes),
                .refuse(
                    "3.4-5", "A frame of \(name) with IGNORABLE before HELLO",
                    RawFrame.preface + RawFrame.unknown(type, flags: 0x80).bytes + RawFrame.hello().bytes),
            ]
        },
        [
            .accept("3.4-4", "A frame to be skipped without a byte", RawFrame.skipped().bytes),
            .of("3.4-4", "A thousand frames to be skipped cost nothing") { bench in
                let (peer, _) = try bench.open()
                try bench.send((0..<1000).flatMap { RawFrame.unknown(0x60, flags: 0x80, id: $0).bytes }, on: peer)
                try bench.expectServed(1, on: peer)
            },
            .of("3.4-4", "A skipped frame that holds the bytes of a CLOSE is not looked into") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.unknown(0x77, flags: 0x80, RawFrame.close().bytes), on: peer)
                try bench.expectServed(1, on: peer)
            },
            .of("3.4-6", "HELLO, REQUEST, PING, MESSAGE and CANCEL mean the same with IGNORABLE") { bench in
                func marked(_ frame: RawFrame) -> RawFrame { frame.with { $0.flags |= RawFrame.ignorable } }
                let (peer, _) = try bench.open(marked(.hello()))
                try bench.send(marked(.request(1, "hel", more: true)), marked(.ping(9)), on: peer)
                try bench.takePong(9, on: peer)
                try bench.send(marked(.request(1, "lo")), on: peer)
                bench.expect(try bench.ending(of: 1, on: peer).text == "hello", "'hello'", got: "another")
                try bench.send(marked(.message([1])), marked(.cancel(1)), on: peer)
                try bench.expectServed(2, on: peer)
            },
            .of("3.4-6", "CLOSE means the same with IGNORABLE") { bench in
                let (peer, _) = try bench.open()
                try bench.send(RawFrame.close().with { $0.flags = RawFrame.ignorable }, on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .of("3.4-6", "GOAWAY means the same with IGNORABLE") { bench in
                let (peer, _) = try bench.open()
                try bench.send(RawFrame.goAway().with { $0.flags = RawFrame.ignorable }, on: peer)
                try bench.expectClose(of: peer, .normal)
            },
            .drop(
                "3.4-6", "CANCEL with IGNORABLE of a request that was never sent",
                RawFrame.cancel(1).with { $0.flags = RawFrame.ignorable }.bytes),
            .of("3.4-1", "No frame of the server has a flag but MORE and IGNORABLE, from WELCOME to CLOSE") { bench in
                let (peer, welcome) = try bench.open(.hello(deadAfter: 300, maxFrame: 256, maxMessage: 2000))
                try welcome.need(message: 2001)
                try bench.ask(1, count: 2000, welcome, on: peer)
                try bench.ask(2, count: 2001, welcome, on: peer)
                try bench.send(.request(3, "a", more: true), .ping(1), .cancel(3), on: peer)
                // Its own PING is one of them.
                var kinds: Set<RawFrame.Kind> = []
                func look(_ frame: RawFrame) {
                    kinds.insert(frame.type)
                    bench.expect(frame.flags & 0x7E == 0, "no other flag", got: "\(frame)")
                }
                while !kinds.contains(.ping) { look(try peer.takeFrame()) }
                try bench.send(.close(), on: peer)
                try peer.frames(upTo: .close).forEach(look)
                bench.expect(
                    kinds == [.response, .failure, .pong, .ping, .close], "frames of five types", got: "\(kinds)")
            },
        ])
}
