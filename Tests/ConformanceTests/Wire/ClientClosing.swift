import Glibc
import Testing
import RawWire

extension Live.Wire {
    /// Protocol.md, section 7.1 to 7.4, as the client keeps to it: how a connection ends.
    @Suite("Client: section 7, closing") struct ClientClosing {
        @Test(
            "7.3-5 A short client closes at once on CLOSE, says none, and keeps no TIME_WAIT",
            arguments: [
                "response", "failure", "refusal",
            ])
        func short(_ ending: String) throws {
            // One that reads on does so for a second.
            try expectSooner(than: .seconds(1)) {
                var time = Duration.zero
                try withClient("--mode", "short", "--retries", "0", "x") { listener, client in
                    let peer = try listener.accept()
                    let port = peer.remotePort
                    try peer.takeHello()
                    #expect(try peer.next(.request) == .request(1, "x"))
                    let start = SuspendingClock.now
                    // TCP_CORK: the end of the stream comes in one segment with CLOSE, so that there is no race about who
                    // ends first: the command exits as soon as it has its answer.
                    var on: Int32 = 1
                    setsockopt(peer.descriptor, Int32(IPPROTO_TCP), TCP_CORK, &on, 4)
                    switch ending {
                    case "response":
                        try peer.send(RawFrame.preface + RawFrame.welcome().bytes + RawFrame.response(1, [0x79]).bytes)
                        try peer.send(.close(lastID: 1))
                    case "failure":
                        let failure = RawFrame.failure(1, .handlerFailed, "no")
                        try peer.send(RawFrame.preface + RawFrame.welcome().bytes + failure.bytes)
                        try peer.send(.close(lastID: 1))
                    default: try peer.send(RawFrame.preface + RawFrame.close(.busy, retryAfter: 50, "full").bytes)
                    }
                    // This side is the first to shut down, as a server is (7.1-2).
                    peer.shutdownWriting()
                    try peer.takeEnd()
                    time = start.age
                    try client.expectStatus(["response": 0, "failure": 70][ending] ?? 75)
                    #expect(client.output.textSoFar == (ending == "response" ? "y\n" : ""))
                    if ending == "failure" {
                        try client.errors.line(with: "message 1", "FAILED", "HANDLER_FAILED", "no")
                    }
                    if ending == "refusal" { try client.errors.line(with: "BUSY", "full") }
                    peer.close()
                    // Both ports: others have had one of these numbers, and their places are still kept.
                    let server = listener.address.port ?? 0
                    #expect(
                        try TCPSocket.find(.loopback(port), to: .loopback(server))?.state != .timeWait,
                        "2.2")
                }
                return time
            }
        }

        @Test("7.1-3 A client that has said CLOSE reads on for a second, and no longer")
        func lingering() throws {
            try expectBetween(.milliseconds(1000), .milliseconds(1150)) {
                var waited = Duration.zero
                try withClient("x") { listener, client in
                    let peer = try listener.accept()
                    // slack is a tenth of dead_after, so 1 s is followed by 100 ms.
                    try peer.greet(.welcome(pingEvery: 500, deadAfter: 1000))
                    try peer.echo()
                    let sentAt = SuspendingClock.now
                    let close = try peer.takeClose()
                    #expect(close.code == .normal)
                    // What still comes is read, so that no reset destroys what was said; nothing is answered.
                    while client.exit == nil, sentAt.age < .seconds(3) {
                        try? peer.send(.ping(1))
                        if try eventually(within: .milliseconds(20), { try client.hasEnded() }) { break }
                        #expect(peer.ending == .end)
                    }
                    // Its CLOSE was sent after `sentAt`.
                    waited = sentAt.age
                    try client.expectStatus(0)
                }
                return waited
            }
        }

        @Test(
            "7.1-6, 7.1-2 CLOSE is answered with CLOSE(NORMAL) at once, and then the client's stream ends",
            arguments: [
                RawCode.normal, .shuttingDown, .internalError, RawCode(number: 4711),
            ])
        func answered(_ code: RawCode) throws {
            try withClient("--retries", "0", "--hold", "10", "x") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                try peer.echo()
                // 7.1-5: what is behind CLOSE is no frame any more.
                try peer.send(RawFrame.close(code, lastID: 1, "bye").bytes + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
                // At once is within one slack, a tenth of dead_after.
                try peer.takeDrop(.normal, within: .seconds(3))
                try client.expectStatus(75)
                try client.errors.line(with: "bye", code.number > 20 ? "4711" : "\(code)")
            }
        }

        @Test("7.1-8 CLOSEs that cross are answers to each other: each side says one")
        func crossing() throws {
            try withClient("x") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                // The server's CLOSE is on its way before the client's answer to the response can come.
                let request = try peer.takeRequest()
                try peer.send(RawFrame.response(request.id, request.payload).bytes + RawFrame.close(lastID: 1).bytes)
                let close = try peer.takeClose()
                #expect(close.code == .normal && close.lastID == 0)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "x\n")
            }
        }

        @Test(
            "7.2-5, 7.2-6 An end of stream or a reset without CLOSE is a loss, at any time",
            arguments: [
                "end in the preface", "end in WELCOME", "end", "reset", "end within a frame",
            ])
        func lost(_ how: String) throws {
            try withClient("--retries", "0", "x") { listener, client in
                let peer = try listener.accept()
                try peer.takeHello()
                let greeting = RawFrame.preface + RawFrame.welcome().bytes
                switch how {
                case "end in the preface": try peer.send(Array(greeting[..<4]))
                case "end in WELCOME": try peer.send(Array(greeting[..<30]))
                default:
                    try peer.send(greeting)
                    _ = try peer.takeRequest()
                    if how == "end within a frame" { try peer.send([0, 0, 0]) }
                }
                if how == "reset" {
                    peer.reset()
                } else {
                    peer.shutdownWriting()
                    try peer.takeEnd()
                }
                try client.expectStatus(75)
                try client.errors.line(with: how.contains(" in ") ? "during the handshake" : "UNKNOWN")
            }
        }

        @Test("7.4-3 A client with nothing unanswered closes at once on GOAWAY, and comes back in the time asked for")
        func idle() throws {
            try withClient(input: .pipe) { listener, client in
                let first = try listener.accept()
                try first.greet()
                try client.write("one\n")
                try first.echo()
                let sentAt = SuspendingClock.now
                let watch = LatenessWatch()
                try first.send(.goAway(.shuttingDown, retryAfter: 300, spread: 200, "bye"))
                try first.seeOff(lastID: 1)
                let second = try listener.accept()
                // 7.7-7: retry_after + random(0..spread), and this client's first backoff is 100 ms at most.
                #expect(sentAt.age >= .milliseconds(300), "7.7-7: back after \(sentAt.age)")
                let (back, late) = (sentAt.age, watch.end())
                #expect(back <= .milliseconds(300 + 200 + 100 + 250) + late, "7.7-7: back after \(back)")
                try second.greet()
                try client.write("two\n")
                #expect(try second.echo().text == "two")
                client.closeInput()
                try second.seeOff(lastID: 1)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "one\ntwo\n")
                try client.errors.line(with: "going away", "SHUTTING_DOWN", "bye")
            }
        }

        @Test(
            "7.4-2, 7.4-3, 7.4-6 After GOAWAY no request begins; CLOSE follows the last answer; the second GOAWAY counts"
        )
        func draining() throws {
            try withClient("--in-flight", "1", "one", "two") { listener, client in
                let first = try listener.accept()
                try first.greet()
                #expect(try first.takeRequest().text == "one")
                try first.send(.goAway(.shuttingDown, retryAfter: 60_000, spread: 60_000))
                try first.send(.goAway(.normal, retryAfter: 200))
                #expect(try first.nextIfAny(within: .milliseconds(100)) == nil)
                let sentAt = SuspendingClock.now
                try first.send(.response(1, [0x31]))
                try first.seeOff(lastID: 1)
                let second = try listener.accept()
                #expect(sentAt.age >= .milliseconds(200), "7.4-6, 7.7-7")
                try second.greet()
                #expect(try second.echo().text == "two")
                try second.seeOff(lastID: 1)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "1\ntwo\n")
            }
        }

        @Test("7.7-7 A client that was told to stay away by CLOSE stays away", arguments: ["busy", "shutting down"])
        func staysAway(_ how: String) throws {
            try withClient("x") { listener, client in
                let first = try listener.accept()
                try first.takeHello()
                let code = how == "busy" ? RawCode.busy : .shuttingDown
                let sentAt = SuspendingClock.now
                try first.send(RawFrame.preface + RawFrame.close(code, retryAfter: 250).bytes)
                try first.takeDrop(.normal)
                let second = try listener.accept()
                #expect(sentAt.age >= .milliseconds(250))
                try second.greet()
                try second.echo()
                try second.seeOff(lastID: 1)
                try client.expectStatus(0)
            }
        }
    }
}
