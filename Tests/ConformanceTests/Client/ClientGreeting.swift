import Testing
import RawWire

extension Live.Client {
    /// Protocol.md, sections 3, 4.1, 4.2 and 6, as the client keeps to them.
    @Suite("Client: how it greets") struct ClientGreeting {
        @Test("3.2-1, 7.3 A short client says preface, HELLO and its request in one go, and waits for nothing")
        func short() throws {
            try withClient("--mode", "short", "hello") { listener, client in
                let peer = try listener.accept()
                try peer.read(until: .now + RawPeer.patience)
                let first = peer.received
                let hello = try peer.takeHello()
                #expect(hello.major == 1 && hello.minor == 1 && hello.flags == 1, "4.1-2, 4.1-3")
                #expect(hello.maxFrame >= 256, "4.1-4")
                let request = try peer.next(.request)
                #expect(request == .request(1, "hello"))
                #expect(peer.received == first, "it came in more than one go")
                try peer.send(RawFrame.preface + RawFrame.welcome().bytes)
                try peer.send(.response(1, Array("hello".utf8)), .close(lastID: 1))
                peer.shutdownWriting()
                try peer.takeEnd()
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "hello\n")
            }
        }

        @Test("3.2-1, 6-6 A long client greets unasked, and says nothing but requests before WELCOME")
        func long() throws {
            try withClient("hello") { listener, client in
                let peer = try listener.accept()
                let hello = try peer.takeHello()
                #expect(hello.flags == 0)
                var early: [RawFrame] = []
                while let frame = try peer.nextFrame(within: .milliseconds(200)) { early.append(frame) }
                #expect(early.allSatisfy { $0.type == .request && $0.payload.count <= 256 }, "6-6, 6-7: \(early)")
                try peer.send(RawFrame.preface + RawFrame.welcome().bytes)
                if early.isEmpty { early.append(try peer.next(.request)) }
                #expect(early == [.request(1, "hello")])
                try peer.send(.response(1, [0x61]))
                try peer.seeOff(lastID: 1)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "a\n")
            }
        }

        @Test("4.1, 4.12 HELLO carries what the user asks for, and no TOKEN")
        func hello() throws {
            try withClient("--name", "till-7", "--ping-every", "250ms", "--dead-after", "2.5", "x") { listener, _ in
                let hello = try listener.accept().takeHello()
                #expect(hello.pingEvery == 250 && hello.deadAfter == 2500)
                var options: [UInt16: [UInt8]] = [:]
                var rest = hello.options[...]
                while rest.count >= 4 {
                    let (tag, length) = (UInt16(bigEndian: rest), Int(UInt16(bigEndian: rest.dropFirst(2))))
                    #expect(options[tag] == nil, "4.12-2")
                    options[tag] = Array(rest.dropFirst(4).prefix(length))
                    rest = rest.dropFirst(4 + length)
                }
                #expect(rest.isEmpty, "4.12-1")
                #expect(options[1] == nil)
                #expect(options[2] == Array("till-7".utf8))
                #expect(options.keys.allSatisfy { $0 <= 5 })
                #expect(options[4]?.count == 8, "4.12-9")
                #expect(options[3].flatMap { String(validating: $0, as: UTF8.self) } != nil, "3.1-3")
            }
        }

        @Test(
            "6-7, 6-8, 3.5 Early chunks are 256 bytes at most; what is over 16384 bytes waits for WELCOME",
            arguments: [
                256, 257, 5000, 16384, 20000,
            ])
        func early(_ length: Int) throws {
            let message = try TemporaryFile((0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) })
            let output = try TemporaryFile()
            try withClient(
                "--mode", "short", "--binary", input: .file(message.path), output: .file(output.path)
            ) { listener, client in
                let peer = try listener.accept()
                try peer.takeHello()
                var bytes: [UInt8] = []
                var isWhole = false
                while !isWhole, let frame = try peer.nextFrame(within: .milliseconds(200)) {
                    try frame.checkClientMaySend()
                    #expect(frame.type == .request && frame.id == 1 && frame.payload.count <= 256, "6-7: \(frame)")
                    bytes += frame.payload
                    isWhole = !frame.hasMore
                }
                #expect(bytes.count <= 16384, "6-8")
                #expect(isWhole == (length <= 16384))
                try peer.send(RawFrame.preface + RawFrame.welcome(maxFrame: 1000).bytes)
                while !isWhole {
                    let frame = try peer.next(.request)
                    #expect(frame.id == 1 && frame.payload.count <= 1000, "3.3-9")
                    bytes += frame.payload
                    isWhole = !frame.hasMore
                }
                #expect(bytes == message.bytes)
                let half = bytes.count / 2
                try peer.send(
                    .response(1, Array(bytes[..<half]), more: true), .response(1, Array(bytes[half...])),
                    .close(lastID: 1))
                try peer.takeEnd()
                try client.expectStatus(0)
                #expect(output.bytes == message.bytes)
            }
        }

        @Test(
            "3.3-9, 3.3-10, 3.5 Chunks keep to the server's max_frame and to 16384 bytes",
            arguments: [
                UInt32(256), 300, 16384, .max,
            ])
        func chunks(_ maxFrame: UInt32) throws {
            let message = try TemporaryFile((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 11) })
            try withClient("--binary", input: .file(message.path)) { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(maxFrame: maxFrame, maxMessage: 100_000))
                var bytes: [UInt8] = []
                var hasMore = true
                while hasMore {
                    let chunk = try peer.next(.request)
                    #expect(chunk.id == 1 && chunk.payload.count <= min(16384, maxFrame))
                    bytes += chunk.payload
                    hasMore = chunk.hasMore
                }
                #expect(bytes == message.bytes)
                try peer.send(.response(1, []))
                try peer.seeOff(lastID: 1)
                try client.expectStatus(0)
            }
        }

        @Test("3.6-1 Request ids rise from 1, one connection carries all messages, answers come out in order")
        func ids() throws {
            try withClient("one", "two", "", "three") { listener, client in
                let peer = try listener.accept()
                try peer.greet()
                var last: UInt32 = 0
                for text in ["one", "two", "", "three"] {
                    let request = try peer.echo()
                    #expect(request.id > last, "3.6-1")
                    #expect(request.text == text)
                    last = request.id
                }
                try peer.seeOff(lastID: last)
                try client.expectStatus(0)
                #expect(client.output.textSoFar == "one\ntwo\n\nthree\n")
                #expect(client.errors.textSoFar == "")
            }
        }

        @Test("7.7-3, 3.5-4 Nothing is sent of a request over max_message, and it is told as NOT_SENT")
        func tooLong() throws {
            try withClient("eleven byte", "ten bytes!") { listener, client in
                let peer = try listener.accept()
                try peer.greet(.welcome(maxMessage: 10))
                #expect(try peer.echo().text == "ten bytes!")
                try peer.seeOff(lastID: 1)
                try client.expectStatus(64)
                #expect(client.output.textSoFar == "ten bytes!\n")
                try client.errors.line(with: "message 1", "NOT_SENT", "10 bytes")
            }
        }

        @Test("9 What a server may send is taken: limits, options, skipped frames, chunks", arguments: Chop.allCases)
        func taken(_ chop: Chop) throws {
            let odd = RawFrame.option(0x7FFF, [1]) + RawFrame.option(0x7FFF, [2]) + RawFrame.option(1, [0xFF])
            let names = RawFrame.option(2, [UInt8](repeating: 0xC0, count: 65)) + RawFrame.option(2, [])
            let welcome = RawFrame.welcome(
                pingEvery: 20, deadAfter: 60_000, maxFrame: 256, maxMessage: .max, maxInFlight: 1, maxQueued: 0,
                connection: .max, options: odd + names + RawFrame.option(3, Array("agent/1".utf8)))
            try withClient("one", "two") { listener, client in
                let peer = try listener.accept()
                try peer.takeHello()
                try peer.send(RawFrame.preface + welcome.with { $0.flags = RawFrame.ignorable }.bytes, chop: chop)
                let skipped = RawFrame.unknown(
                    0xEE, flags: RawFrame.ignorable, id: 77, [UInt8](repeating: 1, count: 300))
                let one = try peer.next(.request)
                let first = RawFrame.response(one.id, Array("on".utf8), more: true)
                let last = RawFrame.response(one.id, []).with { $0.flags = RawFrame.ignorable }
                try peer.send(
                    skipped, first, .ping(4), skipped, .response(one.id, [0x65], more: true), last,
                    .message([1, 2], more: true), .message([]), chop: chop)
                // 5.4-1: the PONG comes whatever else does.
                #expect(try peer.next() == .pong(4))
                let two = try peer.next(.request)
                try peer.send(
                    .response(two.id, Array("half".utf8), more: true),
                    .failure(two.id, RawCode(number: 999), "odd code"),
                    chop: chop)
                try peer.seeOff(lastID: two.id)
                try client.expectStatus(70)
                #expect(client.output.textSoFar == "one\n", "9 H17, H18, 4.9-2")
                // 4.9-4: as INTERNAL, with its number.
                try client.errors.line(with: "message 2", "FAILED", "999", "odd code")
            }
        }
    }
}
