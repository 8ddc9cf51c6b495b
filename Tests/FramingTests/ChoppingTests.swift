import struct RawWire.Seeded
import Testing

@testable import Framing

/// A long stream of all frames that a side may send, and what is in it.
private struct Stream {
    var bytes: [UInt8]
    var found: [Found]

    private mutating func add(_ frame: [UInt8], _ found: Found? = nil) {
        bytes += frame
        if let found { self.found.append(found) }
    }

    private static let long = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    private static let zeros = u64(0) + u32(0)

    static let client: Stream = {
        var stream = Stream(bytes: rawPreface, found: [])
        stream.add(
            rawHello(pingEvery: 5, options: option(2, text("name")) + option(0x77, [1, 2, 3])),
            .frame(.hello(Hello(pingEvery: 5, options: Options(name: "name")))))
        stream.add(raw(0x05, id: 1, text("hello")), .message(.request, id: 1, text("hello")))
        stream.add(raw(0x03, u64(1)), .frame(.ping(nonce: 1)))
        stream.add(raw(0x05, flags: 1, id: 2, Array(long[..<1000])))
        stream.add(raw(0x08, id: 1), .frame(.cancel(id: 1)))
        stream.add(raw(0xEE, flags: 0x80, id: 77, [UInt8](repeating: 0x4C, count: 200)))
        stream.add(raw(0x05, flags: 0x81, id: 2, Array(long[1000...])))
        stream.add(
            raw(0x04, u64(9) + u32(1) + u32(2) + u32(3)),
            .frame(.pong(Pong(nonce: 9, queued: 1, inFlight: 2, longest: 3))))
        stream.add(raw(0x05, id: 2), .message(.request, id: 2, long))
        stream.add(raw(0x07), .message(.message, id: 0, []))
        stream.add(raw(0x05, flags: 1, id: 8, [1, 2]))
        stream.add(raw(0x08, id: 8), .frame(.cancel(id: 8)))
        stream.add(raw(0x07, flags: 1, [3]))
        stream.add(raw(0x0A, zeros + text("bye")), .frame(.goAway(GoAway(.normal, "bye"))))
        stream.add(raw(0x07, [4]), .message(.message, id: 0, [3, 4]))
        stream.add(raw(0x41, flags: 0x80))
        stream.add(raw(0x0B, zeros + text("ende")), .frame(.close(Close(.normal, "ende"))))
        return stream
    }()

    static let server: Stream = {
        var stream = Stream(bytes: rawPreface, found: [])
        let welcome = Welcome(
            pingEvery: 10_000, deadAfter: 30_000, maxFrame: 16384, maxMessage: 1 << 20, maxInFlight: 256,
            maxQueued: 4 << 20, connection: 1, options: Options(agent: "x"))
        stream.add(rawWelcome(options: option(3, text("x"))), .frame(.welcome(welcome)))
        stream.add(raw(0x06, id: 9, text("nine")), .message(.response, id: 9, text("nine")))
        stream.add(raw(0x06, flags: 1, id: 3, long))
        stream.add(raw(0x09, id: 4, u64(0)), .frame(.failure(id: 4, Failure(.normal))))
        stream.add(raw(0x06, id: 3, [5]), .message(.response, id: 3, long + [5]))
        stream.add(raw(0x06, flags: 1, id: 5, [5]))
        stream.add(raw(0x09, id: 5, u16(17) + u16(0) + u32(0)), .frame(.failure(id: 5, Failure(.cancelled))))
        stream.add(raw(0x07, [6]), .message(.message, id: 0, [6]))
        stream.add(raw(0x03, u64(.max)), .frame(.ping(nonce: .max)))
        stream.add(raw(0x06, id: 6), .message(.response, id: 6, []))
        stream.add(raw(0x0B, u32(6) + u64(0)), .frame(.close(Close(.normal, lastID: 6))))
        return stream
    }()
}

@Suite("3 Where TCP cuts the stream means nothing")
struct ChoppingTests {
    @Test("Whole and byte by byte the same frames are found")
    func wholeAndSingle() {
        #expect(read(Stream.client.bytes, from: .client) == Reading(found: Stream.client.found))
        #expect(read(Stream.server.bytes, from: .server) == Reading(found: Stream.server.found))
    }

    @Test("In two pieces, cut at every place, the same frames are found")
    func twoPieces() {
        let stream = Stream.client.bytes
        for cut in 0...stream.count {
            let reading = read(pieces: [Array(stream[..<cut]), Array(stream[cut...])], from: .client)
            #expect(reading == Reading(found: Stream.client.found), "cut at \(cut)")
        }
    }

    @Test(
        "Cut at random places the same frames are found",
        arguments: [(Side.client, 40), (.client, 400), (.server, 40), (.server, 900)])
    func random(sender: Side, longest: Int) {
        let stream = sender == .client ? Stream.client : Stream.server
        var random = Seeded(UInt64(longest))
        for round in 0..<300 {
            var pieces: [[UInt8]] = []
            var rest = stream.bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 0...longest, using: &random))
                pieces.append(Array(piece))
                rest = rest.dropFirst(piece.count)
            }
            #expect(read(pieces: pieces, from: sender) == Reading(found: stream.found), "round \(round)")
        }
    }

    @Test("Cut at random places the frames before a violation are found, and the same violation")
    func violation() {
        let stream = Stream.client
        let broken = Array(stream.bytes.dropLast(28)) + raw(0x05, id: 1, [UInt8](repeating: 0, count: 50))
        let whole = read(pieces: [broken], from: .client)
        #expect(whole.found == Array(stream.found.dropLast()))
        #expect(whole.code == .protocolError)
        var random = Seeded(7)
        for _ in 0..<300 {
            let cuts = (0..<20).map { _ in Int.random(in: 0...broken.count, using: &random) }.sorted()
            let pieces = zip([0] + cuts, cuts + [broken.count]).map { Array(broken[$0..<$1]) }
            #expect(read(pieces: pieces, from: .client) == whole)
        }
    }

    @Test("Nothing is kept of a message: what is yielded are ranges of the caller's own bytes")
    func ranges() throws {
        var decoder = FrameDecoder(from: .client, maxFrame: 16384, maxMessage: 1 << 20)
        let bytes = opening(of: .client) + raw(0x05, id: 1, text("hello"))
        var offset = 0
        _ = try decoder.next(in: bytes.span, at: &offset)
        guard case .part(let part) = try decoder.next(in: bytes.span, at: &offset) else {
            Issue.record("no part of the request")
            return
        }
        #expect(part.range == (bytes.count - 5)..<bytes.count)
        #expect(part.isFirst && part.isLast && part.id == 1 && part.type == .request)
    }

    @Test("9 H16 A message is announced by its header, before a byte of it has come")
    func announced() throws {
        var decoder = FrameDecoder(from: .client, maxFrame: 16384, maxMessage: 1 << 20)
        let bytes = opening(of: .client) + raw(0x05, id: 1, length: 5)
        var offset = 0
        _ = try decoder.next(in: bytes.span, at: &offset)
        guard case .part(let part) = try decoder.next(in: bytes.span, at: &offset) else {
            Issue.record("the request is not announced")
            return
        }
        #expect(part.isFirst && !part.isLast && part.range.isEmpty)
        #expect(try decoder.next(in: bytes.span, at: &offset) == nil, "it is announced once")
        offset = 0
        guard case .part(let rest) = try decoder.next(in: text("hello").span, at: &offset) else { return }
        #expect(!rest.isFirst && rest.isLast && rest.range == 0..<5)
    }
}
