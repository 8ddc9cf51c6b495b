import RawWire

extension Case<ClientBench> {
    /// Sections 5.2 and 2.3: the client's own PINGs.
    static let section5Pings: [Case] = [
        Case("5.2", "5.2-1", "The first PING comes between WELCOME and ping_every + slack after it") { bench in
            let (every, deadAfter) = (bench.times.deadAfter / 2, bench.times.deadAfter)
            try bench.expectBetween(
                "the first PING", .zero, bench.times.latest(bench.milliseconds(every), of: deadAfter)
            ) {
                try bench.timeOfFirstPing(bench.welcome(pingEvery: every, deadAfter: deadAfter), answering: false)
            }
        },
        Case("5.2", "5.2-1", "The first PING is not put off by proof") { bench in
            let (every, deadAfter) = (bench.times.deadAfter / 2, bench.times.deadAfter)
            try bench.expectBetween(
                "the first PING", .zero, bench.times.latest(bench.milliseconds(every), of: deadAfter)
            ) {
                try bench.timeOfFirstPing(bench.welcome(pingEvery: every, deadAfter: deadAfter), answering: true)
            }
        },
        Case("5.2", "5.2-1", "The first PINGs of eight clients are spread over ping_every") { bench in
            let every = max(200, bench.times.deadAfter / 2)
            let taken = try bench.timesOfFirstPings(
                of: 8, bench.welcome(pingEvery: every, deadAfter: every * 2), within: bench.milliseconds(every * 2))
            bench.expect(
                taken.max()! - taken.min()! >= bench.part(0.1, of: every),
                "first PINGs over a tenth of \(every) ms at least",
                got: "\(taken)")
            bench.expect(
                taken.min()! <= bench.part(0.9, of: every), "first PINGs not only at the end of \(every) ms",
                got: "\(taken)")
        },
        Case("5.2", "5.2-2", "A PING comes between 0.8 and 1.0 x ping_every after the last proof") { bench in
            try bench.expectBeat { peer, id in { _ = (peer, id) } }
        },
        Case("5.2", "5.2-2", "The time to the next PING is drawn anew for each") { bench in
            let deadAfter = max(500, bench.times.deadAfter)
            let every = deadAfter / 2
            let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: every, deadAfter: deadAfter))
            var taken: [Duration] = []
            var provenAt: Moment?
            for _ in 0..<7 {
                let ping = try bench.wait(
                    for: .ping, on: peer, within: bench.milliseconds(deadAfter), each: .seconds(1))
                if let provenAt { taken.append(provenAt.duration(to: peer.heardAt)) }
                provenAt = .now
                try bench.send(.pong(to: ping), on: peer)
            }
            let spread = taken.max()! - taken.min()!
            bench.expect(
                spread >= bench.part(0.02, of: every), "times that differ by 0.02 x ping_every", got: "\(taken)")
        },
        Case("5.2", "5.2-2", "The first frame of a RESPONSE is proof: PINGs wait for 0.8 x ping_every after it") {
            bench in
            let (every, deadAfter) = (bench.times.deadAfter / 2, bench.times.deadAfter)
            let (peer, _, id) = try bench.openBusy(welcome: bench.welcome(pingEvery: every, deadAfter: deadAfter))
            let ping = try bench.wait(for: .ping, on: peer, within: bench.milliseconds(every * 2))
            // The PONG comes early: the response alone puts off the next PING.
            try bench.send(.pong(to: ping), on: peer)
            try bench.pause(bench.part(0.4, of: every))
            let provenAt = SuspendingClock.now
            try bench.send(.response(id, [1]), on: peer)
            try bench.expectBetween(
                "a PING after the response", bench.part(0.8, of: every),
                bench.times.latest(bench.milliseconds(every), of: deadAfter), samples: 1
            ) {
                _ = try bench.wait(for: .ping, on: peer, within: bench.milliseconds(deadAfter), each: .seconds(1))
                return provenAt.duration(to: peer.heardAt)
            }
        },
        Case("5.2", "5.2-2", "While answers come there are no PINGs but the first") { bench in
            let (every, deadAfter) = (bench.times.deadAfter / 2, bench.times.deadAfter)
            let (peer, _, first) = try bench.openBusy(welcome: bench.welcome(pingEvery: every, deadAfter: deadAfter))
            let ping = try bench.wait(for: .ping, on: peer, within: bench.milliseconds(every * 2))
            try bench.send(.pong(to: ping), .response(first, [1]), on: peer)
            var provenAt = SuspendingClock.now
            for _ in 0..<10 {
                try bench.ask("line")
                let frame = try bench.wait(for: .request, on: peer, within: .seconds(2), each: .milliseconds(2)) {}
                try bench.pause(bench.part(0.2, of: every))
                // Nothing but this could have come while there was proof all the time.
                while let other = try peer.nextFrame(within: .zero) {
                    let isEarly = provenAt.duration(to: peer.heardAt) < bench.part(0.8, of: every)
                    bench.expect(other.type != .ping || !isEarly, "no PING this soon after proof", got: "\(other)")
                }
                provenAt = .now
                try bench.send(.response(frame.id, [1]), on: peer)
            }
        },
        Case("5.2", "5.2-3", "MESSAGEs of the server put off no PING") { bench in
            try bench.expectBeat { peer, _ in { try bench.send(.message([1, 2, 3]), on: peer) } }
        },
        Case("5.2", "5.2-3", "Long MESSAGEs, one behind the other, put off no PING") { bench in
            let message = RawFrame.message([UInt8](repeating: 0x61, count: 16000)).bytes
            try bench.expectBeat { peer, _ in { try peer.send(message) } }
        },
        Case("5.2", "5.2-3", "Later chunks of a response are no proof and put off no PING") { bench in
            try bench.expectBeat(begin: true) { peer, id in { try bench.send(.response(id, [1], more: true), on: peer) }
            }
        },
        Case("5.2", "5.2-3", "Skipped frames put off no PING") { bench in
            let skipped = RawFrame.unknown(0xEE, flags: RawFrame.ignorable, [1, 2, 3])
            try bench.expectBeat { peer, _ in { try bench.send(skipped, on: peer) } }
        },
        Case("5.2", "5.2-3", "PINGs of the server put off no PING") { bench in
            var turn: UInt64 = 0
            try bench.expectBeat { peer, _ in
                {
                    // The bucket pays for one in ping_every / 2.
                    turn += 1
                    if turn % 100 == 0 { try bench.send(.ping(turn), on: peer) }
                }
            }
        },
        Case("5.2", "5.2-3", "FAILURE is no proof and puts off no PING") { bench in
            let (every, deadAfter) = (bench.times.deadAfter / 2, bench.times.deadAfter)
            let (peer, _, id) = try bench.openBusy(welcome: bench.welcome(pingEvery: every, deadAfter: deadAfter))
            let ping = try bench.wait(for: .ping, on: peer, within: bench.milliseconds(every * 2))
            let provenAt = SuspendingClock.now
            try bench.send(.pong(to: ping), on: peer)
            try bench.pause(bench.part(0.6, of: every))
            try bench.send(.failure(id, .handlerFailed, "no"), on: peer)
            try bench.expectBetween(
                "a PING after the last proof", bench.part(0.8, of: every),
                bench.times.latest(bench.milliseconds(every), of: deadAfter), samples: 1
            ) {
                _ = try bench.wait(for: .ping, on: peer, within: bench.milliseconds(deadAfter), each: .seconds(1))
                return provenAt.duration(to: peer.heardAt)
            }
        },
        Case("5.2", "5.2-3", "A PING that is unanswered holds back no PING") { bench in
            // dead_after is long: the round trip is not judged.
            let every = bench.times.deadAfter / 2
            let deadAfter = every * 12
            let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: every, deadAfter: deadAfter))
            let limit = bench.milliseconds(deadAfter)
            _ = try bench.wait(for: .ping, on: peer, within: limit, each: .seconds(1))
            var last = peer.heardAt
            // A PING is sent between the instants at which it and the last one are read, or a little before.
            try bench.expectBetween(
                "a PING after the last one", bench.part(0.75, of: every),
                bench.times.latest(bench.milliseconds(every), of: deadAfter), samples: 4
            ) {
                _ = try bench.wait(for: .ping, on: peer, within: limit, each: .seconds(1))
                defer { last = peer.heardAt }
                return last.duration(to: peer.heardAt)
            }
        },
        Case("2.3", "2.3-1", "A client that drains sends PINGs as before") { bench in
            let (every, deadAfter) = (bench.times.deadAfter / 2, bench.times.deadAfter)
            let (peer, _, _) = try bench.openBusy(welcome: bench.welcome(pingEvery: every, deadAfter: deadAfter))
            try bench.send(.goAway(.shuttingDown), on: peer)
            try bench.expectBeat(on: peer, pingEvery: every, deadAfter: deadAfter)
        },
        Case("2.3", "2.3-1", "A client that drains answers PINGs") { bench in
            let (peer, _, _) = try bench.openBusy()
            try bench.send(.goAway(.shuttingDown), .ping(7), on: peer)
            let frame = try bench.next(on: peer)
            bench.expect(frame == .pong(7), "PONG 7", got: "\(frame)")
        },
        Case("2.3", "2.3-1", "A client that drains drops a server that falls silent") { bench in
            let deadAfter = bench.times.deadAfter
            let (peer, _, _) = try bench.openBusy(welcome: bench.welcome())
            try bench.idle(on: peer, for: bench.part(0.4, of: deadAfter))
            let sentAt = SuspendingClock.now
            try bench.send(.goAway(.shuttingDown), on: peer)
            try bench.expectBetween(
                "SILENT", bench.milliseconds(deadAfter),
                bench.times.latest(bench.milliseconds(deadAfter), of: deadAfter),
                samples: 1
            ) {
                try bench.timeOfClose(.silent, on: peer, since: sentAt, within: bench.milliseconds(deadAfter * 2))
            }
        },
        Case("2.3", "2.3-3", "A client that cannot write goes on reading", level: .should) { bench in
            let (peer, _) = try bench.openStuck()
            let messages = (0..<64).flatMap { _ in RawFrame.message([UInt8](repeating: 0x61, count: 16000)).bytes }
            try peer.send(messages, within: .seconds(10))
            let isRead = try bench.eventually(within: .seconds(10)) { peer.otherSocket?.unread == 0 }
            bench.expect(isRead, "a megabyte of MESSAGEs read", got: "bytes that wait")
        },
    ]
}

extension ClientBench {
    /// 5.2-3 with `traffic`, which gets the connection and the id of a request; with `begin` its response has begun.
    fileprivate func expectBeat(
        begin: Bool = false, _ traffic: (RawPeer, UInt32) -> () throws -> Void
    ) throws {
        let (every, deadAfter) = (times.deadAfter / 2, times.deadAfter)
        let (peer, _, id) = try openBusy(welcome: welcome(pingEvery: every, deadAfter: deadAfter))
        if begin { try send(.response(id, [1], more: true), on: peer) }
        try expectBeat(on: peer, pingEvery: every, deadAfter: deadAfter, traffic: traffic(peer, id))
    }

    /// How long after WELCOME a new client sends its first PING; `answering` its request at once.
    fileprivate func timeOfFirstPing(_ welcome: RawFrame, answering: Bool) throws -> Duration {
        let (peer, _) = try open(.long, "hello", welcome: welcome)
        let welcomedAt = SuspendingClock.now
        while true {
            let frame = try peer.takeFrame()
            if frame.type == .ping { return welcomedAt.duration(to: peer.heardAt) }
            if answering, frame.type == .request { try send(.response(frame.id, [1]), on: peer) }
        }
    }

    /// The same, of many clients at once.
    fileprivate func timesOfFirstPings(of count: Int, _ welcome: RawFrame, within limit: Duration) throws -> [Duration]
    {
        for _ in 0..<count { try start(.long, "hello") }
        let peers = try (0..<count).map { _ in try accept(within: .seconds(10)) }
        var waiting: [(peer: RawPeer, since: Moment)] = []
        for peer in peers {
            _ = try greet(peer, welcome)
            waiting.append((peer, .now))
        }
        var taken: [Duration] = []
        let deadline = SuspendingClock.now + limit + .seconds(1)
        while !waiting.isEmpty {
            guard SuspendingClock.now < deadline else {
                throw Unexpected("\(waiting.count) clients sent no PING in time")
            }
            try pause(.milliseconds(1))
            try waiting.removeAll { peer, since in
                try peer.read(until: .now)
                while let frame = try peer.nextFrame(within: .zero) {
                    guard frame.type == .ping else { continue }
                    taken.append(since.duration(to: peer.heardAt))
                    return true
                }
                return false
            }
        }
        return taken
    }
}
