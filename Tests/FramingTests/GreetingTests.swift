import Testing

@testable import Framing

@Suite("3.3 and 3.4 What may come first, and frames of unknown types")
struct GreetingTests {
    @Test("3.3-6, 3.3-7 First comes HELLO, or WELCOME or CLOSE", arguments: Row.all, [Side.client, .server])
    func first(row: Row, sender: Side) {
        let reading = read(rawPreface + raw(row.byte, id: row.id, length: row.least), from: sender, maxFrame: 300)
        let isAllowed =
            sender == .client ? row.type == .hello : row.type == .welcome || row.type == .close
        #expect((reading.violation == nil) == isAllowed)
        #expect(isAllowed || reading.code == .protocolError)
    }

    @Test("3.3-8 HELLO and WELCOME come once", arguments: [Side.client, .server])
    func once(sender: Side) {
        let twice = opening(of: sender) + (sender == .client ? rawHello() : rawWelcome())
        #expect(read(twice, from: sender).code == .protocolError)
        #expect(read(twice, from: sender).found.count == 1)
    }

    @Test("3.3-8 After a CLOSE in place of WELCOME there is no WELCOME")
    func closeInPlaceOfWelcome() {
        let close = raw(0x0B, u32(0) + u16(12) + u16(0) + u32(500) + text("full"))
        let found = Found.frame(.close(Close(.busy, "full", retryAfter: 500)))
        #expect(read(rawPreface + close, from: .server) == Reading(found: [found]))
        #expect(read(rawPreface + close + rawWelcome(), from: .server).code == .protocolError)
    }

    @Test("3.4-3 An unknown type without IGNORABLE is a PROTOCOL_ERROR", arguments: [0x00] + Array(0x0C...0xFF))
    func unknown(type: Int) {
        for flags: UInt8 in [0x00, 0x01] {
            let header = raw(UInt8(type), flags: flags, id: 3)
            #expect(read(opening(of: .client) + header, from: .client).code == .protocolError)
        }
    }

    @Test("3.4-4 An unknown type with IGNORABLE is skipped with its payload", arguments: [0x00] + Array(0x0C...0xFF))
    func skipped(type: Int) {
        var stream = opening(of: .server)
        for (id, length): (UInt32, Int) in [(0, 0), (1, 1), (.max, 256), (7, 13)] {
            stream += raw(UInt8(type), flags: 0x80, id: id, [UInt8](repeating: 0x4C, count: length))
        }
        let reading = read(stream + raw(0x03, u64(5)), from: .server, maxFrame: 256)
        #expect(reading.found.count == 2)
        #expect(reading.last == .frame(.ping(nonce: 5)))
    }

    @Test("3.3-9 A skipped frame is bounded by max_frame, too")
    func skippedLength() {
        let over = opening(of: .server) + raw(0x40, flags: 0x80, length: 257)
        #expect(read(over, from: .server, maxFrame: 256).code == .frameTooLarge)
        let fits = opening(of: .server) + raw(0x40, flags: 0x80, length: 256)
        #expect(read(fits, from: .server, maxFrame: 256).violation == nil)
    }

    @Test("3.4-2 An unknown type has no MORE")
    func unknownWithMore() {
        #expect(read(opening(of: .client) + raw(0x40, flags: 0x81, [1]), from: .client).code == .protocolError)
    }

    @Test("3.4-5 Before the handshake even IGNORABLE does not help", arguments: [Side.client, .server])
    func ignorableFirst(sender: Side) {
        #expect(read(rawPreface + raw(0x40, flags: 0x80), from: sender).code == .protocolError)
    }

    @Test("5.7-1 A frame is unfinished from its first byte to its last, and its length is known with its header")
    func unfinished() throws {
        let frames: [(bytes: [UInt8], skipped: Bool)] = [
            (raw(0x03, u64(1)), false), (raw(0x40, flags: 0x80, [1, 2, 3]), true), (raw(0x05, id: 1, [1, 2]), false),
            (raw(0x08, id: 1), false),
        ]
        for (frame, _) in frames {
            var decoder = FrameDecoder(from: .client, maxFrame: 300, maxMessage: 1000)
            let stream = opening(of: .client) + raw(0x05, id: 1) + frame
            let start = stream.count - frame.count
            // The decoder is empty again where the frame is a request of the same id.
            let bytes = frame[4] == 0x05 ? opening(of: .client) + frame : stream
            let begin = frame[4] == 0x05 ? bytes.count - frame.count : start
            for (index, byte) in bytes.enumerated() {
                var offset = 0
                while try decoder.next(in: [byte].span, at: &offset) != nil {}
                guard index >= begin else { continue }
                let read = index - begin + 1
                let expected: UInt32? = read == frame.count ? nil : read < 12 ? 0 : UInt32(frame.count - 12)
                #expect(decoder.unfinishedLength == expected, "after \(read) bytes of \(frame)")
                #expect(decoder.isBetweenMessages == (read == frame.count))
            }
            #expect(decoder.framesBegun == (frame[4] == 0x05 ? 2 : 3))
        }
    }

    @Test("7.2 Between the chunks of a message the stream may not end")
    func betweenChunks() throws {
        var decoder = FrameDecoder(from: .client, maxFrame: 300, maxMessage: 1000)
        func feed(_ bytes: [UInt8]) throws {
            var offset = 0
            while try decoder.next(in: bytes.span, at: &offset) != nil {}
        }
        try feed(rawPreface)
        #expect(!decoder.isBetweenMessages)
        try feed(rawHello())
        #expect(decoder.isBetweenMessages)
        try feed(raw(0x05, flags: 1, id: 1, [1]))
        #expect(!decoder.isBetweenMessages)
        #expect(decoder.unfinishedLength == nil)
        try feed(raw(0x03, u64(1)))
        #expect(!decoder.isBetweenMessages)
        try feed(raw(0x05, id: 1))
        #expect(decoder.isBetweenMessages)
    }
}
