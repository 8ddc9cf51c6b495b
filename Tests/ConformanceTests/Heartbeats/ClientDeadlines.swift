import Glibc
import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, sections 5.5 to 5.9: when the client stops believing in the server, and which code it gives.
    @Suite("Client: section 5, deadlines") struct ClientDeadlines {
        @Test("5.5-1 A server that falls silent is dropped with SILENT within a tenth")
        func silent() throws {
            let deadAfter = Duration.milliseconds(200)
            try expectBetween(deadAfter, withSlack(deadAfter)) {
                var waited = Duration.zero
                try withClient("--retries", "0", "x") { listener, client in
                    let peer = try listener.accept()
                    try peer.takeHello()
                    let heardAt = SuspendingClock.now
                    let welcome = RawFrame.welcome(pingEvery: 100, deadAfter: 200)
                    try peer.send(RawFrame.preface + welcome.bytes)
                    let frames = try peer.frames(upTo: .close)
                    waited = heardAt.duration(to: peer.heardAt)
                    #expect(frames.last?.notice?.code == .silent, "\(frames)")
                    #expect(frames.contains { $0.type == .ping }, "5.2-1: it never asked")
                    try peer.takeEnd()
                    peer.close()
                    try client.expectStatus(75)
                    let lines = client.errors.linesSoFar
                    let late = lines.firstIndex { $0.contains("heartbeat is late") }
                    let lost = try #require(
                        lines.firstIndex { $0.contains("connection lost") && $0.contains("SILENT") })
                    // 5.6-2 where half of dead_after has passed since the first PING, 5.5-1 after it.
                    #expect(late.map { $0 < lost } ?? true)
                }
                return waited
            }
        }

        @Test("5.6-1 Bytes that are no proof do not help: NO_ROUND_TRIP, after the program was told of a late beat")
        func noRoundTrip() throws {
            let deadAfter = Duration.milliseconds(600)
            try expectBetween(deadAfter, withSlack(deadAfter) + .milliseconds(20)) {
                var waited = Duration.zero
                try withClient("--retries", "0", "x") { listener, client in
                    let peer = try listener.accept()
                    try peer.greet(.welcome(pingEvery: 100, deadAfter: 600))
                    // Nothing had come at `emptyAt`, so the first PING was sent after it.
                    var emptyAt = SuspendingClock.now
                    var pings = 0
                    let startedAt = SuspendingClock.now
                    while true {
                        try #require(peer.ending == nil && startedAt.age < .seconds(5), "no CLOSE came")
                        let askedAt = SuspendingClock.now
                        guard let frame = try peer.nextFrame(within: .milliseconds(10)) else {
                            if pings == 0 { emptyAt = askedAt }
                            // What was sent before the deadline, and came too late, is no fault of anyone.
                            try? peer.send(.message([1, 2, 3]))
                            continue
                        }
                        if frame.type == .close {
                            #expect(frame.notice?.code == .noRoundTrip, "\(frame)")
                            break
                        }
                        pings += frame.type == .ping ? 1 : 0
                    }
                    waited = emptyAt.duration(to: peer.heardAt)
                    #expect(pings >= 4, "5.2-3: unanswered PINGs hold back no PING")
                    peer.close()
                    try client.expectStatus(75)
                    let lines = client.errors.linesSoFar.filter { !$0.contains("message:") }
                    let late = try #require(lines.firstIndex { $0.contains("heartbeat is late") })
                    let lost = try #require(lines.firstIndex { $0.contains("NO_ROUND_TRIP") })
                    #expect(late < lost, "5.6-2")
                    #expect(lines.count { $0.contains("heartbeat is late") } == 1, "5.6-2: told once")
                }
                return waited
            }
        }

        @Test("5.6-2 A late beat is told and cuts nothing: proof that comes in time makes it good")
        func late() throws {
            try withPunctualClient { try tellsOfLateness() }
        }

        private func tellsOfLateness() throws {
            try withClient(input: .pipe) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 200, deadAfter: 1000))
                // Nothing had come at `emptyAt`, so the PING was sent after it.
                var emptyAt = SuspendingClock.now
                while case let lookedAt = SuspendingClock.now, try !peer.read(until: .now + .milliseconds(10)) {
                    emptyAt = lookedAt
                }
                let ping = try peer.takePing()
                let heardAt = peer.heardAt
                // The server's bytes go on, so only the proof is missing.
                while !client.errors.textSoFar.contains("heartbeat is late") {
                    try peer.send(.message([1]))
                    if let frame = try peer.nextFrame(within: .milliseconds(10)) { #expect(frame.type == .ping) }
                    if heardAt.age > .milliseconds(900) { throw Unexpected("it is not told of a late beat in time") }
                }
                #expect(emptyAt.age >= .milliseconds(500), "not before half of dead_after")
                try peer.send(.pong(to: ping))
                try client.write("x\n")
                #expect(try peer.echo().text == "x")
                #expect(try client.output.line() == "x")
            }
        }

        @Test("5.7-1 A frame that trickles is given dead_after, and the command says FRAME_TIMEOUT")
        func frameTimeout() throws {
            let limit = Duration.milliseconds(600)
            try expectBetween(limit, limit + .milliseconds(60 + 50)) {
                var waited = Duration.zero
                try withClient("--retries", "0", "x") { listener, client in
                    let peer = try listener.accept()
                    try peer.greet(.welcome(pingEvery: 300, deadAfter: 600))
                    // The next PING is unproven only 240 ms after this proof, so this frame's deadline is the first.
                    var hasRequest = false
                    var hasProof = false
                    while !hasRequest || !hasProof {
                        let frame = try peer.takeFrame()
                        if frame.type == .request { hasRequest = true }
                        if hasRequest, frame.type == .ping {
                            try peer.send(.pong(to: frame))
                            hasProof = true
                        }
                    }
                    let bytes = RawFrame.response(1, [UInt8](repeating: 1, count: 100)).bytes
                    let begunAt = SuspendingClock.now
                    try peer.send(Array(bytes[..<1]))
                    // The 12 bytes of a header are to last longer than dead_after.
                    for byte in bytes[1...] where peer.ending == nil {
                        try peer.read(until: .now + .milliseconds(60))
                        if peer.ending == nil { try? peer.send([byte]) }
                    }
                    // PINGs that cannot be answered may have come as well.
                    let frames = try peer.frames(upTo: .close)
                    #expect(frames.last?.notice?.code == .frameTimeout, "\(frames)")
                    waited = begunAt.duration(to: peer.heardAt)
                    peer.close()
                    try client.expectStatus(75)
                    try client.errors.line(with: "connection lost", "FRAME_TIMEOUT")
                }
                return waited
            }
        }

        @Test("5.9-1, 7.5-1 A server that does not read is dropped with SLOW_READER, behind the frame that was begun")
        func slowReader() throws {
            let deadAfter = Duration.milliseconds(4000)
            try withPunctualClient {
                try slow(deadAfter) { peer, client, _ in
                    // The drop puts CLOSE behind what was begun; what the kernel holds comes before it.
                    let frames = try peer.frames(upTo: .close)
                    #expect(frames.last?.notice?.code == .slowReader, "\(frames.last?.description ?? "")")
                    #expect(frames.dropLast().allSatisfy { $0.type == .request || $0.type == .ping })
                    try peer.takeEnd()
                    peer.close()
                    try client.expectStatus(75)
                }
            }
        }

        @Test("7.5-2 What a server that does not read does not take is given up after a second")
        func givenUp() throws {
            try withPunctualClient {
                let watch = LatenessWatch()
                try slow(.milliseconds(4000)) { peer, client, before in
                    let toldAt = SuspendingClock.now
                    try client.expectStatus(75)
                    // A client that is held up tells of the drop later than it counts from.
                    let age = before.age + watch.end()
                    #expect(age >= .milliseconds(1000), "\(age)")
                    if toldAt.age > .seconds(3) { throw Unexpected("it left after \(toldAt.age)") }
                    // Without CLOSE, which did not fit: the stream ends inside a frame or is reset.
                    try peer.readToEnd()
                }
            }
        }

        /// Calls `body` when the client has told of the drop, with an instant at which it had not yet.
        private func slow(_ deadAfter: Duration, _ body: (RawPeer, Spawned, Moment) throws -> Void) throws {
            // The first line is for proof of the round trip, so that the deadline of the second one's bytes is the first.
            let lines = try TemporaryFile([0x61, 0x0A] + [UInt8](repeating: 0x62, count: 1_000_000) + [0x0A])
            // One at a time, else bytes of the second line go before the proof.
            try withClient("--retries", "0", "--in-flight", "1", input: .file(lines.path), isNarrow: true) {
                listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(pingEvery: 2000, deadAfter: 4000, maxMessage: .max, maxQueued: .max))
                let request = try peer.takeFrame()
                if request.type == .ping { try peer.send(.pong(to: request)) }
                _ = request.type == .ping ? try peer.take(.request) : request
                if request.type != .ping { try peer.send(.pong(to: try peer.takePing())) }
                try peer.send(.response(1, []))
                let beganAt = SuspendingClock.now
                var before = beganAt
                while case let lookedAt = SuspendingClock.now, !client.errors.textSoFar.contains("connection lost") {
                    before = lookedAt
                    try? peer.send(.message([1]))
                    if beganAt.age > .seconds(12) { throw Unexpected("it is not dropped") }
                    poll(nil, 0, 50)
                }
                #expect(beganAt.age >= deadAfter, "5.9-1")
                try client.errors.line(with: "connection lost", "SLOW_READER", within: .seconds(1))
                try body(peer, client, before)
            }
        }

        @Test("5.8-2, 5.8-3 A handshake that is not whole in time ends with HANDSHAKE_TIMEOUT and status 69")
        func handshake() throws {
            let limit = Duration.milliseconds(500)
            try expectBetween(limit, withSlack(limit)) {
                var waited = Duration.zero
                let before = SuspendingClock.now
                try withClient("--timeout", "500ms", "--retries", "0", "x") { listener, client in
                    let peer = try listener.accept()
                    try peer.takeHello()
                    for byte in (RawFrame.preface + RawFrame.welcome().bytes)[..<30] where peer.unread.isEmpty {
                        try peer.send([byte])
                        try peer.read(until: .now + .milliseconds(10))
                    }
                    let close = try peer.frames(upTo: .close)
                    // The client began to connect, and to count, after `before`.
                    waited = before.duration(to: peer.heardAt)
                    #expect(close.last?.notice?.code == .handshakeTimeout)
                    try peer.takeEnd()
                    peer.close()
                    try client.expectStatus(69)
                }
                return waited
            }
        }
    }
}
