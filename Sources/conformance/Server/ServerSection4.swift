import RawWire

/// Section 4: what each frame carries.
extension Case<ServerBench> {
    static let section4: [Case] = hellos + welcomes + heartbeatFrames + cancels + notices + options

    private static func hello(_ frame: RawFrame) -> [UInt8] { RawFrame.preface + frame.bytes }

    /// A HELLO that the server has to take.
    static func greets(_ requirement: String, _ sentence: String, _ hello: RawFrame) -> Case {
        .of(requirement, "HELLO with \(sentence) gets WELCOME") { bench in
            let (peer, _) = try bench.open(hello)
            try bench.send(.close(), on: peer)
            try bench.expectClose(of: peer, .normal)
        }
    }

    private static let hellos = numbered(
        "4.1",
        [
            .refuse(
                "4.1-1", "A wrong major before wrong flags, max_frame and options",
                hello(.hello(major: 9, flags: 0xFFFF, maxFrame: 0, options: [1])), .unsupportedVersion),
            .refuse(
                "4.1-1", "Wrong flags before an option that is not known",
                hello(.hello(flags: 2, options: RawFrame.option(0x8000, [])))),
            .refuse(
                "4.1-1", "A wrong max_frame before an option that is not known",
                hello(.hello(maxFrame: 1, options: RawFrame.option(0x8000, [])))),
        ],
        ([0, 2, 255] as [UInt8]).map {
            .refuse("4.1-2", "major \($0)", hello(.hello(major: $0)), .unsupportedVersion)
        },
        (1..<16).map { bit in
            .refuse("4.1-3", "Bit \(bit) of HELLO's flags", hello(.hello(flags: 1 << UInt16(bit))))
        },
        ([0, 1, 255] as [UInt32]).map {
            .refuse("4.1-4", "HELLO with max_frame \($0)", hello(.hello(maxFrame: $0)))
        },
        [
            greets("4.1-4", "max_frame 256", .hello(maxFrame: 256)),
            greets("4.1-4", "max_frame and max_message 4294967295", .hello(maxFrame: .max, maxMessage: .max)),
            greets("4.1-4", "max_message 0", .hello(maxMessage: 0)),
        ])

    private static let welcomes = numbered(
        "4.2",
        [
            .of("4.2-1", "WELCOME comes at once, without a request") { bench in
                try bench.expectBetween("WELCOME", .zero, bench.known.handshakeTimeout / 10 + Times.machine) {
                    let peer = try bench.connect()
                    let start = try bench.sendTimed(RawFrame.preface + RawFrame.hello().bytes, on: peer)
                    _ = try bench.takeWelcome(on: peer)
                    return start.age
                }
            }
        ],
        ([0, 1, 255] as [UInt8]).map { minor in
            .of("4.2-2", "HELLO with the version 1.\(minor) is answered with 1.0") { bench in
                let welcome = try bench.open(.hello(minor: minor)).welcome
                bench.expect(
                    welcome.major == 1 && welcome.minor == 0, "1.0", got: "\(welcome.major).\(welcome.minor)")
            }
        },
        [
            .of("4.2-4", "WELCOME's flags are 0, in a short connection too") { bench in
                for hello in [RawFrame.hello(), .short] {
                    let flags = try bench.open(hello).welcome.flags
                    bench.expect(flags == 0, "0", got: "\(flags)")
                }
            },
            .of("4.2-5", "WELCOME allows one request in flight at least") { bench in
                let most = try bench.limits().maxInFlight
                bench.expect(most >= 1, "max_in_flight of 1 or more", got: "\(most)")
            },
            .of("4.2-6", "WELCOME's max_queued is not under its max_message") { bench in
                let limits = try bench.limits()
                bench.expect(limits.maxQueued >= limits.maxMessage, "\(limits.maxMessage)", got: "\(limits.maxQueued)")
            },
            .of("4.1-4", "WELCOME's max_frame is 256 or more") { bench in
                let most = try bench.limits().maxFrame
                bench.expect(most >= 256, "256 or more", got: "\(most)")
            },
            .of("4.12-1", "WELCOME's options fill it exactly, and AGENT is UTF-8 and stands once at most") { bench in
                var rest = try bench.limits().options[...]
                var agents = 0
                while !rest.isEmpty {
                    guard rest.count >= 4 else { throw Unexpected("\(rest.count) bytes are left over") }
                    let tag = UInt16(bigEndian: rest)
                    let length = Int(UInt16(bigEndian: rest.dropFirst(2)))
                    guard rest.count >= 4 + length else { throw Unexpected("option \(tag) is cut off") }
                    bench.expect(tag < 0x8000, "no option that must be understood", got: "\(tag)")
                    let value = rest.dropFirst(4).prefix(length)
                    if tag == 3 {
                        agents += 1
                        bench.expect(String(validating: value, as: UTF8.self) != nil, "UTF-8", got: hex(value))
                    }
                    rest = rest.dropFirst(4 + length)
                }
                bench.expect(agents <= 1, "AGENT once", got: "\(agents) times")
            },
        ])

    private static let heartbeatFrames = numbered(
        "4.4",
        [
            .of("4.3-1", "The server uses no nonce twice") { bench in
                let (peer, welcome) = try bench.open(.hello(deadAfter: 100))
                var nonces: [UInt64] = []
                for _ in 0..<5 {
                    let ping = try peer.take(.ping, within: welcome.deadline + .seconds(2))
                    nonces.append(ping.nonce ?? 0)
                    try bench.send(.pong(to: ping), on: peer)
                }
                bench.expect(Set(nonces).count == 5, "5 nonces", got: "\(nonces)")
            },
            .of("4.4-1", "PONG on an idle connection says that nothing is in flight") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.ping(.max), on: peer)
                let pong = try bench.takePong(.max, on: peer)
                bench.expect(
                    pong.queued == 0 && pong.inFlight == 0 && pong.longest == 0, "no load", got: "\(pong)")
            },
            .of("4.4-1", "PONG counts the bytes of a request as they come") { bench in
                let (peer, welcome) = try bench.open()
                try welcome.need(message: 30)
                for count: UInt32 in 1...3 {
                    try bench.send(.request(1, "0123456789", more: true), .ping(UInt64(count)), on: peer)
                    let pong = try bench.takePong(UInt64(count), on: peer)
                    bench.expect(pong.queued == count * 10, "\(count * 10) bytes", got: "\(pong.queued)")
                    bench.expect(pong.inFlight == 1, "1 in flight", got: "\(pong.inFlight)")
                }
            },
            .of("4.4-1", "PONG tells the load of its own connection, not of another") { bench in
                let (other, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .ping(1), on: other)
                try bench.takePong(1, on: other)
                let (peer, _) = try bench.open()
                try bench.send(.ping(1), on: peer)
                let pong = try bench.takePong(1, on: peer)
                bench.expect(pong.inFlight == 0 && pong.queued == 0, "no load", got: "\(pong)")
            },
        ])

    private static let cancels = numbered(
        "4.8",
        [
            .drop("4.8-1", "CANCEL where no request was sent", RawFrame.cancel(1).bytes),
            .drop("4.8-1", "CANCEL one above the highest id", RawFrame.cancel(6).bytes, after: [.request(5)]),
            .drop("4.8-1", "CANCEL of 4294967295 where none was sent", RawFrame.cancel(.max).bytes),
            .of("4.8-2", "CANCEL of an open request is answered with FAILURE(CANCELLED)") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .cancel(1), on: peer)
                let failure = try bench.ending(of: 1, on: peer)
                bench.expect(failure.notice?.code == .cancelled, "FAILURE(CANCELLED)", got: "\(failure)")
                try bench.expectServed(2, on: peer)
            },
            .of("4.8-2", "FAILURE(CANCELLED) comes at once") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                var id: UInt32 = 0
                try bench.expectBetween("FAILURE", .zero, bench.times.latest(.zero, of: welcome.deadAfter)) {
                    id += 1
                    try bench.send(.request(id, "a", more: true), on: peer)
                    let start = try bench.sendTimed(RawFrame.cancel(id).bytes, on: peer)
                    let failure = try bench.ending(of: id, on: peer)
                    bench.expect(failure.notice?.code == .cancelled, "FAILURE(CANCELLED)", got: "\(failure)")
                    return start.age
                }
            },
            .of("4.8-2", "CANCEL right behind a whole request: one ending comes, its response or CANCELLED") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1), .cancel(1), on: peer)
                let ending = try bench.ending(of: 1, on: peer)
                bench.expect(
                    ending.text == "hello" || ending.notice?.code == .cancelled, "RESPONSE or CANCELLED",
                    got: "\(ending)")
                try bench.expectServed(2, on: peer, "one ending has come")
            },
            .accept(
                "4.8-3", "CANCEL of an id that was left out",
                RawFrame.request(5, "a", more: true).bytes
                    + RawFrame.cancel(3).bytes + RawFrame.request(5, "b").bytes, answering: 5),
            .of("4.8-3", "CANCEL of a request that was answered has no effect") { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(1, on: peer)
                try bench.send(.cancel(1), .cancel(1), on: peer)
                try bench.expectServed(2, on: peer)
            },
            .of("4.8-3", "A second CANCEL of the same request has no effect") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .cancel(1), .cancel(1), on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectServed(2, on: peer)
            },
            .drop(
                "4.8-4", "Another chunk of a request that was cancelled", RawFrame.request(1, "b", more: true).bytes,
                after: [.request(1, "a", more: true), .cancel(1)]),
            .drop(
                "4.8-4", "The last chunk of a request that was cancelled", RawFrame.request(1, "").bytes,
                after: [.request(1, "a", more: true), .cancel(1)]),
            .of("4.8-4", "After CANCEL of an open request a MESSAGE may follow: the request is over") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .cancel(1), .message([1]), on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectServed(2, on: peer)
            },
        ])

    private static let notices = numbered(
        "4.11",
        ([0, 1, 20, 21, 0xFFFF] as [UInt16]).flatMap { code -> [Case] in
            [
                .of("4.9-4", "CLOSE with the code \(code) is answered with CLOSE(NORMAL)") { bench in
                    let (peer, _) = try bench.open()
                    try bench.send(.close(Code(number: code)), on: peer)
                    try bench.expectClose(of: peer, .normal)
                },
                .of("4.9-4", "GOAWAY with the code \(code) is answered with CLOSE(NORMAL)") { bench in
                    let (peer, _) = try bench.open()
                    try bench.send(.goAway(Code(number: code), retryAfter: 5, spread: .max), on: peer)
                    try bench.expectClose(of: peer, .normal)
                },
            ]
        },
        [
            .drop("4.9-1", "GOAWAY whose zero is not 0", RawFrame.goAway().with { $0.payload[3] = 1 }.bytes),
            .drop("4.9-1", "CLOSE whose zero is not 0", RawFrame.close().with { $0.payload[6] = 0x80 }.bytes),
            .of("4.9-3", "FAILURE says why: its code is never NORMAL, nor above 20") { bench in
                let (peer, _) = try bench.open(.hello(maxMessage: 1))
                try bench.send(.request(1, "too long"), .request(2, "a", more: true), .cancel(2), on: peer)
                for _ in 0..<2 {
                    let frame = try bench.next(on: peer)
                    let number = frame.notice?.code.number ?? 0
                    bench.expect(frame.type == .failure && (1...20).contains(number), "a reason", got: "\(frame)")
                    bench.expect(frame.payload.count <= 520, "at most 520 bytes", got: "\(frame.payload.count)")
                }
            },
            .of("4.11-1", "last_id is not below a request that was answered, nor above all that were sent") { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(3, on: peer)
                try bench.expectServed(7, on: peer)
                try bench.send(.request(9, "a", more: true), .close(), on: peer)
                let id = try bench.expectClose(of: peer, .normal)?.lastID ?? 0
                bench.expect((7...9).contains(id), "7 to 9", got: "\(id)")
            },
            .of("4.11-2", "last_id is exactly the highest id that was answered", level: .should) { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(3, on: peer)
                try bench.expectServed(7, on: peer)
                try bench.send(.request(9, "a", more: true), .close(), on: peer)
                let id = try bench.expectClose(of: peer, .normal)?.lastID
                bench.expect(id == 7, "7", got: "\(id as Any)")
            },
            .of("4.11-3", "last_id is 0 where no request was sent") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.close(), on: peer)
                let id = try bench.expectClose(of: peer, .normal)?.lastID
                bench.expect(id == 0, "0", got: "\(id as Any)")
            },
            .drop("4.11-4", "CLOSE with last_id 1", RawFrame.close(lastID: 1).bytes),
            .drop("4.11-4", "CLOSE with last_id 4294967295", RawFrame.close(lastID: .max).bytes, after: [.request(1)]),
            .drop(
                "4.11-4", "CLOSE with a last_id in a short connection", RawFrame.close(lastID: 1).bytes, .protocolError,
                .short),
        ])
}

extension Case<ServerBench> {
    /// As the other `accept`, where the bytes hold a request that is answered.
    static func accept(_ requirement: String, _ sentence: String, _ bytes: [UInt8], answering id: UInt32) -> Case {
        .of(requirement, "\(sentence) is accepted, and the request answered") { bench in
            let (peer, _) = try bench.open()
            try bench.send(bytes, on: peer)
            let frame = try bench.ending(of: id, on: peer)
            bench.expect(frame.type == .response, "a response", got: "\(frame)")
            try bench.expectServed(id + 1, on: peer)
        }
    }
}
