import Glibc
import Testing
import RawWire

extension Live.Heartbeats {
    /// Protocol.md, sections 5.4 and 5.9: requests that nobody reads the answers of.
    @Suite("Section 5: load") struct Load {}
}

// MARK: Many requests

extension Live.Heartbeats.Load {
    @Test("5.4-3 A PONG waits for no more than 32780 bytes of messages, though megabytes wait to be sent")
    func pongOvertakes() throws {
        try withServer("--max-queued", "64m", "--max-in-flight", "64") { server in
            let peer = try server.open(receiveBuffer: 65536)
            let message = [UInt8](repeating: 0x5A, count: 1 << 20)
            for id in UInt32(1)...24 { try peer.send(request(id, message)) }
            try waitUntilRead(peer, by: server)
            let before = try TCPSocket.queued(from: server.port, to: peer.localPort)
            try peer.send(.ping(77))
            var behind = 0
            while true {
                let frame = try peer.takeFrame()
                if let pong = frame.pong {
                    #expect(pong.nonce == 77 && pong.inFlight > 0 && pong.queued > 0)
                    break
                }
                behind += RawFrame.headerLength + frame.payload.count
            }
            #expect(before > 0 && behind <= before + 32780, "\(behind) bytes before PONG, \(before) in the kernel")
            // 3.6-3: and every request is answered.
            try drain(peer, upTo: 24, expecting: message)
        }
    }

    /// Waits until the server has read all that `peer` has sent, and sleeps, because the kernel takes no more of it.
    private func waitUntilRead(_ peer: RawPeer, by server: ServerProcess) throws {
        let child = try server.onlyChild()
        let isRead = try eventually {
            try TCPSocket.queued(from: peer.localPort, to: server.port) == 0
                && ProcessFiles.state(of: child) == "S"
        }
        guard isRead else { throw Unexpected("the server does not read") }
    }

    /// A request in chunks of 16 KiB.
    private func request(_ id: UInt32, _ message: [UInt8]) -> [UInt8] {
        stride(from: 0, to: message.count, by: 16384).flatMap { start in
            let end = min(message.count, start + 16384)
            return RawFrame.request(id, Array(message[start..<end]), more: end < message.count).bytes
        }
    }

    private func drain(_ peer: RawPeer, upTo last: UInt32, expecting message: [UInt8]) throws {
        while true {
            let frame = try peer.take(.response)
            if frame.id == last, !frame.hasMore { return }
        }
    }

    @Test(
        "3.6-3, 3.6-8, 3.6-9 Requests over max_in_flight or max_queued are refused, each once, and the connection goes on",
        arguments: [
            ["--max-in-flight", "3", "--max-queued", "64m"], ["--max-in-flight", "1000", "--max-queued", "2m"],
        ])
    func refused(_ limits: [String]) throws {
        try withServer(limits[0], limits[1], limits[2], limits[3]) { server in
            let peer = try server.open(receiveBuffer: 65536)
            let message = [UInt8](repeating: 0x5A, count: 1 << 20)
            let last: UInt32 = 20
            for id in 1...last { try peer.send(request(id, message)) }
            var answered: [UInt32: Int] = [:]
            var endings: [UInt32] = []
            var refused = 0
            while endings.count < last {
                let frame = try peer.takeFrame()
                if frame.type == .failure {
                    #expect(frame.notice?.code == .refused && frame.notice?.text.count ?? 0 <= 64)
                    refused += 1
                } else {
                    answered[frame.id, default: 0] += frame.payload.count
                }
                if !frame.hasMore { endings.append(frame.id) }
            }
            #expect(Set(endings).count == last && refused > 0 && refused < last)
            #expect(answered.values.allSatisfy { $0 == message.count })
            try peer.send(.request(last + 1, "after it all"))
            #expect(try peer.takeFrame().text == "after it all")
            try peer.send(.close())
            try peer.takeClose()
            // The handler has seen those that were answered, and no other.
            try server.log.line(with: "closed", "requests=\(Int(last) - refused + 1) ")
        }
    }

    @Test("3.6-10 The chunks that still come for a refused request are discarded, and count against max_message")
    func discarded() throws {
        try withServer("--max-in-flight", "1", "--max-queued", "64m") { server in
            let peer = try server.open(receiveBuffer: 65536)
            let message = [UInt8](repeating: 0x5A, count: 1 << 20)
            let chunk = [UInt8](repeating: 1, count: 16384)
            // Once one has been refused all are, for as long as nothing is read.
            for id in UInt32(1)...19 { try peer.send(request(id, message)) }
            try peer.send(.request(20, chunk, more: true), .request(20, chunk), .request(21, chunk, more: true))
            for _ in 1..<64 { try peer.send(.request(21, chunk, more: true)) }
            try waitUntilRead(peer, by: server)
            var endings: [RawFrame] = []
            while endings.last?.id != 21 {
                let frame = try peer.takeFrame()
                if !frame.hasMore, frame.type != .ping { endings.append(frame) }
            }
            #expect(endings.map(\.id) == Array(1...21))
            #expect(endings.suffix(2).allSatisfy { $0.notice?.code == .refused })
            try peer.send(Array(RawFrame.request(21, [1], more: true).bytes.prefix(12)))
            let close = try peer.takeClose()
            #expect(close.code == .messageTooLarge && close.lastID < 20)
        }
    }

    @Test("2.3-2 The memory of a child stays bounded though requests flood in and nothing is read")
    func flood() throws {
        // They are put together before the server waits for them.
        let requests = (1...200_000).flatMap { RawFrame.request(UInt32($0), "0123456789").bytes }
        try withServer("--timeout", "2") { server in
            let peer = try server.open(receiveBuffer: 65536)
            let child = try server.onlyChild()
            var most = 0
            var rest = requests[...]
            let deadline = SuspendingClock.now + .seconds(10)
            // Until all is sent, or the server drops who does not read: SLOW_READER, or BUSY for 4096 unread refusals.
            while !rest.isEmpty, SuspendingClock.now < deadline {
                guard let sent = try? peer.push(rest.prefix(65536)) else { break }
                rest = rest.dropFirst(sent)
                most = max(most, ProcessFiles.anonymousMemory(of: child) ?? 0)
                if sent == 0, !waitUntilReady(peer.descriptor, POLLOUT, until: .now + .milliseconds(500)) { break }
            }
            #expect(most > 0 && most < 100 << 20, "\(most >> 20) MiB")
        }
    }

    @Test("5.10-1 A flood of PINGs or CANCELs ends one connection with TOO_MANY_PINGS, and costs another nothing")
    func paidFor() throws {
        try withServer { server in
            let other = try server.open()
            for frame in [RawFrame.ping(1), .cancel(1)] {
                let peer = try server.open()
                try peer.send(.request(1))
                // What cannot be sent any more, because the server has gone, is no matter.
                try? peer.send((0..<200_000).flatMap { _ in frame.bytes }, within: .seconds(3))
                try server.log.line(with: "closed", "reason=TOO_MANY_PINGS", "peer=127.0.0.1:\(peer.localPort) ")
            }
            try other.send(.request(1))
            // It may have been silent for long enough to be asked.
            #expect(try other.frames(upTo: .response).last?.id == 1)
        }
    }
}

// MARK: Slow readers

extension Live.Heartbeats.Load {
    /// A client that asks for more than all buffers hold, and does not read; it goes on to be heard.
    private func stuck(_ server: ServerProcess) throws -> RawPeer {
        let peer = try server.open(receiveBuffer: 4096)
        let message = [UInt8](repeating: 0x5A, count: 1 << 20)
        for id in UInt32(1)...12 { try peer.send(request(id, message)) }
        return peer
    }

    private func beat(_ peer: RawPeer, for duration: Duration, every interval: Int32 = 60) {
        let start = SuspendingClock.now
        while start.age < duration {
            _ = try? peer.push(RawFrame.unknown(0x77, flags: 0x80).bytes[...])
            poll(nil, 0, interval)
        }
    }

    @Test("5.9-1 A client that never reads is dropped with SLOW_READER, and not before dead_after has passed")
    func neverReads() throws {
        let timeout = Duration.milliseconds(500)
        try withServer("--timeout", "500ms") { server in
            let start = SuspendingClock.now
            let peer = try stuck(server)
            // 7.5-2: the drop itself has a second to get CLOSE out.
            let end = start + timeout + .seconds(3)
            while SuspendingClock.now < end, !server.log.textSoFar.contains("SLOW_READER") {
                beat(peer, for: .milliseconds(50))
            }
            let line = try server.log.line(with: "closed", "reason=SLOW_READER", within: .zero)
            let age = line.split(separator: " ").first { $0.hasPrefix("age=") }.flatMap {
                Double($0.dropFirst(4).dropLast())
            }
            #expect(age ?? 0 >= 0.5, "\(line)")
            try server.waitForChildren(0, within: .seconds(3))
        }
    }

    @Test("5.9-2, 5.5-2 After end of stream silence is not judged, slow reading is")
    func afterEndOfStream() throws {
        try withServer("--timeout", "300ms") { server in
            try withPunctualClient {
                let peer = try stuck(server)
                peer.shutdownWriting()
                let start = SuspendingClock.now
                while start.age < .milliseconds(1200) {
                    _ = try peer.take(100_000)
                    poll(nil, 0, 60)
                }
                try expectOpen(peer, server)
                try server.log.line(with: "closed", "\(peer.localPort)", "reason=SLOW_READER", within: .seconds(4))
            }
        }
    }

    private func expectOpen(_ peer: RawPeer, _ server: ServerProcess) throws {
        let port = ":\(peer.localPort) "
        guard let line = server.log.linesSoFar.first(where: { $0.contains(port) && $0.contains("closed") }) else {
            return
        }
        throw Unexpected("it was dropped: \(line)")
    }
}
