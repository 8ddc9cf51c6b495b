import RawWire

extension Case<ClientBench> {
    /// Sections 8, 9 and 11: codes, what is checked first, texts of a stranger.
    static let section8: [Case] =
        section9 + [
            Case("8", "8-1", "A client sends no code above 20, whatever code it got") { bench in
                let (peer, _, id) = try bench.openIdle()
                try bench.send(.close(RawCode(number: 4711), lastID: id), on: peer)
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect((close?.code.number ?? 0) <= 20, "a code of at most 20", got: "\(close!)")
            },
            Case("8", "8-2", "The CLOSE of a drop has a text that says why", level: .should) { bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }, on: peer)
                let close = try bench.expectDrop(of: peer, .protocolError)
                bench.expect(close?.text.isEmpty == false, "a text", got: "none")
            },
            Case("8", "8-2", "The CLOSE of SILENT has a text that says why", level: .should) { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome())
                let close = try bench.expectDrop(of: peer, .silent)
                bench.expect(close?.text.isEmpty == false, "a text", got: "none")
            },
        ] + told + section11

    /// What a client drops its server for, in place of WELCOME or behind it.
    private static let told: [Case] = [
        (RawCode.badPreface, [0xFF], true), (.unsupportedVersion, RawFrame.welcome(major: 2).bytes, true),
        (.unsupportedOption, RawFrame.welcome(options: RawFrame.option(0x8000, [])).bytes, true),
        (.frameTooLarge, RawFrame.ping(1).with { $0.claimedLength = 9 }.bytes, false),
        (.tooManyPings, (1...30).flatMap { RawFrame.ping($0).bytes }, false),
    ].map { (code: RawCode, bytes: [UInt8], isGreeting: Bool) in
        Case("8", "8-2", "The CLOSE of \(code) has a text that says why", level: .should) { bench in
            let peer: RawPeer
            if isGreeting {
                try bench.start(.long, "hello")
                peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try bench.send((code == .badPreface ? [] : RawFrame.preface) + bytes, on: peer)
            } else {
                peer = try bench.openIdle().peer
                try bench.send(bytes, on: peer)
            }
            let close = try bench.expectClose(of: peer, code)
            bench.expect(close?.text.isEmpty == false, "a text", got: "none")
        }
    }

    /// Frames that break several rules: the first one of the table decides.
    private static let several: [(String, RawFrame, RawCode)] = [
        ("H1 before H10", RawFrame.ping(1).with { ($0.reserved, $0.claimedLength) = (1, .max) }, .protocolError),
        ("H2 before H10", RawFrame.message([]).with { ($0.flags, $0.claimedLength) = (0x40, .max) }, .protocolError),
        ("H3 before H10", RawFrame.unknown(0xEE, flags: 0).with { $0.claimedLength = .max }, .protocolError),
        ("H4 before H10", RawFrame.ping(1).with { ($0.flags, $0.claimedLength) = (1, .max) }, .protocolError),
        ("H5 before H10", RawFrame.request(1, "").with { $0.claimedLength = .max }, .protocolError),
        ("H8 before H10", RawFrame.welcome().with { $0.claimedLength = .max }, .protocolError),
        ("H9 before H10", RawFrame.message([]).with { ($0.id, $0.claimedLength) = (1, .max) }, .protocolError),
        ("H10 before H16", RawFrame.response(1000, []).with { $0.claimedLength = .max }, .frameTooLarge),
        (
            "H10 for a skipped type", RawFrame.unknown(0xEE, flags: 0x80).with { $0.claimedLength = .max },
            .frameTooLarge
        ),
    ]

    private static let section9: [Case] =
        several.map { order, frame, code in
            Case("9", "9-2", "The checks of a header have an order: \(order)") { bench in
                if frame.claimedLength == .max, code == .frameTooLarge {
                    let (peer, hello, _) = try bench.openBusy()
                    guard hello.maxFrame < .max else { throw Skip("the client accepts frames of any length") }
                    try bench.send(frame, on: peer)
                    try bench.expectDrop(of: peer, code)
                } else {
                    try bench.expectDrop(for: frame.bytes, code)
                }
            }
        } + [
            Case("9", "9-2", "The checks of a header have an order: H7 before H10") { bench in
                let frame = RawFrame.message([]).with { $0.claimedLength = .max }
                try bench.expectRefusal(of: RawFrame.preface + frame.bytes, .protocolError)
            },
            Case("9", "9-2", "The checks of a header have an order: H7 before H9 and H11, with the same code") {
                bench in
                let frame = RawFrame.ping(1).with { ($0.id, $0.claimedLength) = (1, 0) }
                try bench.expectRefusal(of: RawFrame.preface + frame.bytes, .protocolError)
            },
            Case("9", "9-2", "The checks of a header have an order: H10 before H13") { bench in
                let (peer, hello, id) = try bench.openBusy()
                guard hello.maxFrame < .max else { throw Skip("the client accepts frames of any length") }
                try bench.send(.response(id, [1], more: true), on: peer)
                try bench.send(.message([]).with { $0.claimedLength = .max }, on: peer)
                try bench.expectDrop(of: peer, .frameTooLarge)
            },
            Case("9", "9-1", "G1 before G16: another major hides an option that must be understood") { bench in
                let welcome = RawFrame.welcome(major: 3, options: RawFrame.option(0x8000, []))
                try bench.expectRefusal(of: RawFrame.preface + welcome.bytes, .unsupportedVersion)
            },
            Case("9", "9-1", "G4 before G16: a flag hides an option that must be understood") { bench in
                let welcome = RawFrame.welcome(flags: 1, options: RawFrame.option(0x8000, []))
                try bench.expectRefusal(of: RawFrame.preface + welcome.bytes, .protocolError)
            },
            Case("9", "9-1", "G8 before G16: dead_after hides an option that must be understood") { bench in
                let welcome = RawFrame.welcome(pingEvery: 20, deadAfter: 99, options: RawFrame.option(0x8000, []))
                try bench.expectRefusal(of: RawFrame.preface + welcome.bytes, .protocolError)
            },
            Case("9", "9-3", "Nothing behind a frame that breaks a rule is acted on") { bench in
                let (peer, _, _) = try bench.openBusy()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }, .ping(2), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("9", "9-3", "A PING that breaks a rule is not answered") { bench in
                try bench.expectDrop(for: RawFrame.ping(1).with { $0.flags = 0x40 }.bytes + RawFrame.close().bytes)
            },
            Case("9", "9-1", "Random bytes behind WELCOME end the connection with CLOSE") { bench in
                var random = SystemRandomNumberGenerator()
                for _ in 0..<5 {
                    let (peer, _, _) = try bench.openBusy()
                    // Bytes 6 and 7 of the first header are not 0.
                    let bytes = (0..<200).map { $0 == 6 ? 0xFF : UInt8.random(in: 0...255, using: &random) }
                    try bench.send(bytes, on: peer)
                    try bench.expectDrop(of: peer, .protocolError)
                }
            },
            Case("9", "9-1", "T4: a frame that is begun and not gone on with ends the connection") { bench in
                let deadAfter = bench.times.deadAfter
                let peer = try bench.proved(welcome: bench.welcome(pingEvery: deadAfter / 2))
                let sentAt = SuspendingClock.now
                try bench.send([0, 0], on: peer)
                let frames = try peer.frames(upTo: .close, within: bench.milliseconds(deadAfter * 2))
                let code = frames.last?.notice?.code
                // Both deadlines are the same instant here.
                bench.expect(
                    code == .silent || code == .frameTimeout, "SILENT or FRAME_TIMEOUT", got: "\(frames.last!)")
                let waited = sentAt.duration(to: peer.heardAt)
                bench.expect(waited >= bench.milliseconds(deadAfter), "not before \(deadAfter) ms", got: "\(waited)")
            },
        ]

    /// What reaches standard error, or standard output, must not move the cursor of a terminal.
    private static let section11: [Case] =
        [
            ("CLOSE", [RawFrame.close(.kicked, "\u{1B}[31mred\u{7}\r\n\u{9B}x")]),
            ("GOAWAY", [RawFrame.goAway(.kicked, "\u{1B}[31mred\u{7}\r\n\u{9B}x")]),
            ("FAILURE", [RawFrame.failure(0, .handlerFailed, "\u{1B}[31mred\u{7}\r\n\u{9B}x")]),
        ].map { name, frames in
            Case("11", "11-3", "Control characters in the text of \(name) are escaped on standard error") { bench in
                let client = try bench.start(.long, "hello", errors: .pipe)
                let peer = try bench.accept()
                _ = try bench.greet(peer, .welcome())
                let id = try bench.takeRequest(on: peer).id
                for frame in frames { try bench.send(frame.with { if $0.type == .failure { $0.id = id } }, on: peer) }
                try bench.send(.close(), on: peer)
                try bench.expectClose(of: peer, .normal)
                try bench.pause(.milliseconds(100))
                bench.expectNoControls(in: client)
            }
        } + [
            Case("11", "11-3", "Control characters in place of a preface are escaped on standard error") { bench in
                let client = try bench.start(.long, "hello", errors: .pipe)
                let peer = try bench.accept()
                try peer.takePreface()
                _ = try peer.take(.hello)
                try bench.send(Array("\u{1B}[31mred\u{7}\r\n\u{9B}x".utf8), on: peer)
                let close = try bench.expectClose(of: peer, .badPreface)
                try bench.pause(.milliseconds(100))
                bench.expectNoControls(in: client)
                bench.expect(
                    !(close?.text ?? []).contains { $0 < 0x20 }, "no control characters in the text of CLOSE",
                    got: hex(close?.text ?? []))
            }
        ]
}

extension ClientBench {
    fileprivate func expectNoControls(in client: Spawned) {
        let bad = client.errors.textSoFar.unicodeScalars.first { scalar in
            (scalar.value < 0x20 && scalar != "\n") || (0x7F...0x9F).contains(scalar.value)
        }
        expect(bad == nil, "no control characters on standard error", got: "U+\(String(bad?.value ?? 0, radix: 16))")
    }
}
