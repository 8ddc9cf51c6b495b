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
                try bench.expectBetween("WELCOME", .zero, bench.known.wholeHandshakeTimeout / 10 + Times.machine) {
                    let peer = try bench.connect()
                    let start = try bench.sendTimed(RawFrame.preface + RawFrame.hello().bytes, on: peer)
                    _ = try bench.takeWelcome(on: peer)
                    return start.age
                }
            }
        ],
        ([0, 1, 2, 255] as [UInt8]).map { minor in
            let lower = min(minor, 1)
            return .of("4.2-2", "HELLO with the version 1.\(minor) is answered with 1.\(lower)") { bench in
                let welcome = try bench.open(.hello(minor: minor)).welcome
                bench.expect(
                    welcome.major == 1 && welcome.minor == lower, "1.\(lower)",
                    got: "\(welcome.major).\(welcome.minor)")
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
