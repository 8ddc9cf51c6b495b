import RawWire

/// Section 6: what the client asks for, and what is in force then.
extension Case<ServerBench> {
    static let section6 = numbered(
        "6",
        [
            (0, 0), (5000, 0), (0, 6000), (0, 60000), (0, 50), (5, 1000), (20000, 0), (60, 101), (0, 1000),
            (.max, .max), (1, 1), (0, 30001), (15000, 30000), (400, 0), (0, 100), (0, 99), (19, 100), (21, 100),
            (51, 100),
            (499, 999), (0, 500),
        ].map { (pingEvery: UInt32, deadAfter: UInt32) in
            .of(
                "6-1",
                "A HELLO that asks for ping_every \(pingEvery) and dead_after \(deadAfter) gets what the formula says"
            ) {
                bench in
                try bench.expectTimes(pingEvery, deadAfter, most: try bench.limits().deadAfter)
            }
        },
        [
            .of("6-1", "In a short connection the times are the same") { bench in
                let most = try bench.limits().deadAfter
                try bench.expectTimes(60, 300, most: most, flags: 1)
            },
            .of("6-1", "Times around T itself are cut at T") { bench in
                let most = try bench.limits().deadAfter
                for asked in [most - 1, most, most &+ 1] where asked > 0 { try bench.expectTimes(0, asked, most: most) }
                for asked in [most / 2 - 1, most / 2, most / 2 + 1] { try bench.expectTimes(asked, 0, most: most) }
            },
            .of("6-2", "The server's T, which a HELLO that asks for nothing gets, is 100 ms at least") { bench in
                let most = try bench.limits().deadAfter
                bench.expect(most >= 100, "100 or more", got: "\(most)")
            },
            .of("6-3", "dead_after is never under 100") { bench in
                for asked: UInt32 in [1, 50, 99] {
                    let got = try bench.open(.hello(deadAfter: asked)).welcome.deadAfter
                    bench.expect(got >= 100, "100 or more", got: "\(got)")
                }
            },
            .of("6-4", "ping_every lies within 20 and dead_after / 2") { bench in
                for asked: UInt32 in [1, 19, 20, 5000, .max] {
                    let got = try bench.open(.hello(pingEvery: asked, deadAfter: 111)).welcome
                    bench.expect(got.pingEvery >= 20 && got.pingEvery <= got.deadAfter / 2, "20 to half", got: "\(got)")
                }
            },
            .of("6-5", "dead_after is never above what was asked for") { bench in
                for asked: UInt32 in [100, 101, 777, 12345] {
                    let got = try bench.open(.hello(deadAfter: asked)).welcome.deadAfter
                    bench.expect(got <= asked, "\(asked) at most", got: "\(got)")
                }
            },
            .of("6-6", "A request, a CANCEL and a CLOSE right behind HELLO are judged as if WELCOME had come before") {
                bench in
                let peer = try bench.connect()
                let early = [RawFrame.hello(), .request(1, "a", more: true), .cancel(1), .close()]
                try bench.send(RawFrame.preface + early.flatMap(\.bytes), on: peer)
                _ = try bench.takeWelcome(on: peer)
                let failure = try bench.ending(of: 1, on: peer)
                bench.expect(failure.notice?.code == .cancelled, "CANCELLED", got: "\(failure)")
                try bench.expectClose(of: peer, .normal)
            },
            .of("6-7", "An early request of 256 bytes is answered behind WELCOME") { bench in
                let peer = try bench.connect()
                let message = [UInt8](repeating: 7, count: 256)
                try bench.send(RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1, message).bytes, on: peer)
                try bench.takeWelcome(on: peer).need(message: 256)
                bench.expect(try bench.ending(of: 1, on: peer).payload == message, "256 bytes", got: "others")
            },
        ])
}

extension ServerBench {
    /// WELCOME's times are those of the formula in section 6, `most` being the server's T.
    func expectTimes(_ pingEvery: UInt32, _ deadAfter: UInt32, most: UInt32, flags: UInt16 = 0) throws {
        func clamp(_ value: UInt32, _ low: UInt32, _ high: UInt32) -> UInt32 { value < low ? low : min(value, high) }
        let dead = deadAfter == 0 ? most : clamp(deadAfter, 100, most)
        let every = min(clamp(pingEvery == 0 ? dead / 3 : pingEvery, 20, dead / 2), known.heartbeat)
        let welcome = try open(.hello(flags: flags, pingEvery: pingEvery, deadAfter: deadAfter)).welcome
        expect(
            welcome.deadAfter == dead && welcome.pingEvery == every,
            "ping_every \(every) and dead_after \(dead) where T is \(most) and H \(known.heartbeat)",
            got: "\(welcome.pingEvery) and \(welcome.deadAfter)")
    }
}
