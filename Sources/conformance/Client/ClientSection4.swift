import RawWire

extension Case<ClientBench> {
    /// Section 4: what stands in the payloads.
    static let section4: [Case] = section4Hello + section4Welcome + section4Notices

    private static let section4Hello: [Case] = [
        Case("4.1", "4.1-2", "HELLO asks for version 1.1") { bench in
            let (_, hello) = try bench.open()
            bench.expect(hello.major == 1 && hello.minor == 1, "version 1.1", got: "\(hello.major).\(hello.minor)")
        },
        Case("4.1", "4.1-3", "A long connection has no flag in HELLO") { bench in
            let (_, hello) = try bench.open()
            bench.expect(hello.flags == 0, "no flag", got: "\(hello.flags)")
        },
        Case("4.1", "4.1-3", "A short connection has the flag SHORT in HELLO, and no other") { bench in
            let (_, hello) = try bench.open(.short, "hello")
            bench.expect(hello.flags == 1, "SHORT", got: "\(hello.flags)")
        },
        Case("4.1", "4.1-4", "max_frame in HELLO is at least 256") { bench in
            let (_, hello) = try bench.open()
            bench.expect(hello.maxFrame >= 256, "at least 256", got: "\(hello.maxFrame)")
        },
        Case("4.12", "4.12-1", "The options of HELLO fill it exactly") { bench in
            let (_, hello) = try bench.open()
            _ = bench.options(of: hello)
        },
        Case("4.12", "4.12-2", "TOKEN, NAME and AGENT stand at most once in HELLO") { bench in
            let (_, hello) = try bench.open()
            let tags = bench.options(of: hello).map(\.tag).filter { (1...3).contains($0) }
            bench.expect(Set(tags).count == tags.count, "each once", got: "\(tags)")
        },
        Case("4.12", "4.12-3", "TOKEN has at most 256 bytes") { bench in
            let (_, hello) = try bench.open()
            for option in bench.options(of: hello) where option.tag == 1 {
                bench.expect(option.value.count <= 256, "at most 256 bytes", got: "\(option.value.count)")
            }
        },
        Case("4.12", "4.12-4", "NAME has at most 64 bytes") { bench in
            let (_, hello) = try bench.open()
            for option in bench.options(of: hello) where option.tag == 2 {
                bench.expect(option.value.count <= 64, "at most 64 bytes", got: "\(option.value.count)")
            }
        },
    ]

    /// A WELCOME that is to be refused, with the code, and one that is to be taken, without.
    private struct Greeting: Sendable {
        let section: String
        let requirement: String
        let sentence: String
        let welcome: RawFrame
        let code: RawCode?

        init(_ requirement: String, _ sentence: String, _ welcome: RawFrame, _ code: RawCode? = .protocolError) {
            section = String(requirement.prefix { $0 != "-" })
            self.requirement = requirement
            self.sentence = sentence
            self.welcome = welcome
            self.code = code
        }
    }

    private static let agent = RawFrame.option(3, Array("agent/1".utf8))
    private static let must = RawFrame.option(0x8000, [])

    private static let greetings: [Greeting] = [
        Greeting("4.1-2", "A WELCOME with major 0 is an UNSUPPORTED_VERSION", .welcome(major: 0), .unsupportedVersion),
        Greeting("4.1-2", "A WELCOME with major 2 is an UNSUPPORTED_VERSION", .welcome(major: 2), .unsupportedVersion),
        Greeting(
            "4.1-2", "A WELCOME with major 255 is an UNSUPPORTED_VERSION", .welcome(major: 255), .unsupportedVersion),
        Greeting(
            "4.1-2", "Another major is an UNSUPPORTED_VERSION, whatever else is in that WELCOME",
            .welcome(
                major: 2, minor: 9, flags: 0xFFFF, pingEvery: 0, deadAfter: 0, maxFrame: 0, maxInFlight: 0, options: [1]
            ),
            .unsupportedVersion),
        Greeting("4.1-4", "A WELCOME with max_frame 255 is a PROTOCOL_ERROR", .welcome(maxFrame: 255)),
        Greeting("4.1-4", "A WELCOME with max_frame 0 is a PROTOCOL_ERROR", .welcome(maxFrame: 0)),
        Greeting("4.1-4", "A WELCOME with max_frame 256 is taken", .welcome(maxFrame: 256), nil),
        Greeting("4.1-4", "A WELCOME with the greatest max_frame is taken", .welcome(maxFrame: .max), nil),
        Greeting("4.2-3", "A WELCOME with a minor above HELLO's is a PROTOCOL_ERROR", .welcome(minor: 2)),
        Greeting("4.2-3", "A WELCOME with minor 255 is a PROTOCOL_ERROR", .welcome(minor: 255)),
        Greeting("4.2-3", "A WELCOME with the version 1.0 is taken", .welcome(minor: 0), nil),
        Greeting("4.2-5", "A WELCOME with max_in_flight 0 is a PROTOCOL_ERROR", .welcome(maxInFlight: 0)),
        Greeting("4.2-5", "A WELCOME with max_in_flight 1 is taken", .welcome(maxInFlight: 1), nil),
        Greeting("4.2-6", "A WELCOME with max_queued under max_message is taken", .welcome(maxQueued: 100), nil),
        Greeting("4.2-6", "A WELCOME with the connection number 0 is taken", .welcome(connection: 0), nil),
        Greeting("4.2-6", "A WELCOME with the greatest connection number is taken", .welcome(connection: .max), nil),
        Greeting(
            "4.12-1", "Three bytes behind the fields of WELCOME are a PROTOCOL_ERROR", .welcome(options: [0, 3, 0])),
        Greeting("4.12-1", "One byte behind an option is a PROTOCOL_ERROR", .welcome(options: agent + [0])),
        Greeting(
            "4.12-1", "An option that reaches beyond the end is a PROTOCOL_ERROR",
            .welcome(options: RawFrame.option(3, [0x61], length: 2))),
        Greeting(
            "4.12-1", "An unknown option that reaches beyond the end is a PROTOCOL_ERROR",
            .welcome(options: RawFrame.option(0x7000, [], length: .max))),
        Greeting("4.12-2", "AGENT twice in WELCOME is a PROTOCOL_ERROR", .welcome(options: agent + agent)),
        Greeting(
            "4.12-5", "The unknown option 0x8000 is an UNSUPPORTED_OPTION", .welcome(options: must), .unsupportedOption),
        Greeting(
            "4.12-5", "The unknown option 0xffff is an UNSUPPORTED_OPTION",
            .welcome(options: RawFrame.option(0xFFFF, [1, 2, 3])), .unsupportedOption),
        Greeting(
            "4.12-6", "Unknown options without bit 15 are skipped, also twice",
            .welcome(options: RawFrame.option(0x7FFF, [1]) + RawFrame.option(0x7FFF, []) + RawFrame.option(6, [2])), nil
        ),
        Greeting(
            "4.12-6", "An option with the tag 0 is skipped, also twice",
            .welcome(options: RawFrame.option(0, [1]) + RawFrame.option(0, [])), nil),
        Greeting(
            "4.12-7", "TOKEN in WELCOME is skipped, also twice and with 900 bytes",
            .welcome(options: RawFrame.option(1, [UInt8](repeating: 0xFF, count: 900)) + RawFrame.option(1, [])), nil),
        Greeting(
            "4.12-7", "NAME in WELCOME is skipped, also twice, too long and not UTF-8",
            .welcome(options: RawFrame.option(2, [UInt8](repeating: 0xC0, count: 65)) + RawFrame.option(2, [])), nil),
        Greeting(
            "4.12-1", "A WELCOME of 1024 bytes, all but the fields an AGENT, is taken",
            .welcome(options: RawFrame.option(3, [UInt8](repeating: 0x61, count: 984))), nil),
        Greeting("4.12-1", "An AGENT of no byte is taken", .welcome(options: RawFrame.option(3, [])), nil),
        Greeting("6-3", "A WELCOME with dead_after 99 is a PROTOCOL_ERROR", .welcome(pingEvery: 33, deadAfter: 99)),
        Greeting("6-3", "A WELCOME with dead_after 0 is a PROTOCOL_ERROR", .welcome(pingEvery: 0, deadAfter: 0)),
        Greeting("6-4", "A WELCOME with ping_every 19 is a PROTOCOL_ERROR", .welcome(pingEvery: 19)),
        Greeting("6-4", "A WELCOME with ping_every 0 is a PROTOCOL_ERROR", .welcome(pingEvery: 0)),
        Greeting(
            "6-4", "A WELCOME with ping_every above dead_after / 2 is a PROTOCOL_ERROR",
            .welcome(pingEvery: 15001, deadAfter: 30000)),
        Greeting(
            "6-4", "dead_after / 2 is rounded down: 51 is above half of 101",
            .welcome(pingEvery: 51, deadAfter: 101)),
        Greeting("6-4", "A ping_every of just dead_after / 2 is taken", .welcome(pingEvery: 15000), nil),
        Greeting("6-4", "A ping_every of 20 is taken", .welcome(pingEvery: 20), nil),
        Greeting("6-3", "The greatest times are taken", .welcome(pingEvery: .max / 2, deadAfter: .max), nil),
        Greeting("3.5-4", "A WELCOME with max_message 4294967295 is taken", .welcome(maxMessage: .max), nil),
    ]

    private static let section4Welcome: [Case] =
        greetings.map { greeting in
            Case(greeting.section, greeting.requirement, greeting.sentence) { bench in
                if let code = greeting.code {
                    try bench.expectRefusal(of: RawFrame.preface + greeting.welcome.bytes, code)
                } else {
                    try bench.expectAccepted(greeting.welcome, "the WELCOME is within its bounds")
                }
            }
        }
        + (0..<16).map { bit in
            Case("4.2", "4.2-4", "A WELCOME with the flag 0x\(String(1 << bit, radix: 16)) is a PROTOCOL_ERROR") {
                bench in
                try bench.expectRefusal(of: RawFrame.preface + RawFrame.welcome(flags: 1 << bit).bytes, .protocolError)
            }
        } + [
            Case("4.12", "4.12-5", "The text of UNSUPPORTED_OPTION names the tag") { bench in
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try bench.send(
                    RawFrame.preface + RawFrame.welcome(options: RawFrame.option(0xBEEF, [])).bytes, on: peer)
                let close = try bench.expectClose(of: peer, .unsupportedOption)
                let text = String(decoding: close?.text ?? [], as: UTF8.self)
                bench.expect(
                    text.lowercased().contains("beef") || text.contains("48879"), "the tag 0xbeef in the text",
                    got: text)
            },
            Case("4.12", "4.12-5", "Options are judged as they stand: UNSUPPORTED_OPTION for the first of two faults") {
                bench in
                let welcome = RawFrame.welcome(options: must + agent + agent)
                try bench.expectRefusal(of: RawFrame.preface + welcome.bytes, .unsupportedOption)
            },
            Case("4.12", "4.12-2", "Options are judged as they stand: PROTOCOL_ERROR where AGENT is twice before") {
                bench in
                let welcome = RawFrame.welcome(options: agent + agent + must)
                try bench.expectRefusal(of: RawFrame.preface + welcome.bytes, .protocolError)
            },
            Case("6", "6-5", "A WELCOME with dead_after above what HELLO asked for is a PROTOCOL_ERROR") { bench in
                try bench.start(.long, "hello")
                let peer = try bench.accept()
                try peer.takePreface()
                guard let hello = try peer.take(.hello).hello, hello.deadAfter > 0, hello.deadAfter < .max else {
                    throw Skip("the client leaves dead_after to the server")
                }
                let deadAfter = max(100, hello.deadAfter) + 1
                try bench.send(RawFrame.preface + bench.welcome(deadAfter: deadAfter).bytes, on: peer)
                try bench.expectClose(of: peer, .protocolError)
            },
        ]
}
