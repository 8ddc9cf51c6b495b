import Testing

@testable import Framing

@Suite("3.5 and 3.6 Messages in chunks, and the ids of requests")
struct MessageTests {
    private func fromClient(_ bytes: [UInt8]..., isShort: Bool = false, maxMessage: UInt32 = 1000) -> Reading {
        let start = rawPreface + rawHello(flags: isShort ? 1 : 0)
        return read(start + bytes.flatMap { $0 }, from: .client, maxFrame: 300, maxMessage: maxMessage)
    }
    private func fromServer(_ bytes: [UInt8]..., maxMessage: UInt32 = 1000) -> Reading {
        read(opening(of: .server) + bytes.flatMap { $0 }, from: .server, maxFrame: 300, maxMessage: maxMessage)
    }

    @Test("3.5 A message in chunks is the same as in one frame, wherever it is cut")
    func chunks() {
        let whole = fromClient(raw(0x05, id: 7, text("hello")))
        #expect(whole.last == .message(.request, id: 7, text("hello")))
        #expect(fromClient(raw(0x05, flags: 1, id: 7, text("hel")), raw(0x05, id: 7, text("lo"))) == whole)
        #expect(fromClient(raw(0x05, flags: 1, id: 7, text("hello")), raw(0x05, id: 7)) == whole)
        let letters = text("hell").map { raw(0x05, flags: 1, id: 7, [$0]) }.flatMap { $0 }
        #expect(fromClient(letters, raw(0x05, id: 7, text("o"))) == whole)
    }

    @Test("3.5 Empty messages of each type are messages")
    func empty() {
        #expect(fromClient(raw(0x05, id: 1)).last == .message(.request, id: 1, []))
        #expect(fromClient(raw(0x07)).last == .message(.message, id: 0, []))
        #expect(fromServer(raw(0x06, id: 1)).last == .message(.response, id: 1, []))
    }

    @Test("3.5-1 A chunk with MORE is never empty, be it the first or a later one")
    func emptyChunk() {
        #expect(fromClient(raw(0x05, flags: 1, id: 1)).code == .protocolError)
        #expect(fromClient(raw(0x07, flags: 1, [1]), raw(0x07, flags: 1)).code == .protocolError)
        #expect(fromServer(raw(0x06, flags: 0x81, id: 1)).code == .protocolError)
    }

    @Test("3.5-2, 3.5-3 No frame of another message comes between chunks")
    func mixed() {
        let open = raw(0x05, flags: 1, id: 3, [1])
        for other in [raw(0x05, id: 4, [1]), raw(0x05, flags: 1, id: 4, [1]), raw(0x07, [1]), raw(0x05, id: 2, [1])] {
            #expect(fromClient(open, other).code == .protocolError)
        }
        let oneWay = raw(0x07, flags: 1, [1])
        #expect(fromClient(oneWay, raw(0x05, id: 1, [1])).code == .protocolError)
        let response = raw(0x06, flags: 1, id: 3, [1])
        #expect(fromServer(response, raw(0x06, id: 4, [1])).code == .protocolError)
        #expect(fromServer(response, raw(0x07, [1])).code == .protocolError)
    }

    @Test("3.5-3 PING, PONG, CANCEL, FAILURE, GOAWAY, CLOSE and skipped frames may come between chunks")
    func between() {
        let common = raw(0x03, u64(1)) + raw(0x04, u64(1) + u32(0) + u32(0) + u32(0)) + raw(0x0A, u64(0) + u32(0))
        let skipped = raw(0x55, flags: 0x80, id: 9, [1, 2, 3]) + raw(0x56, flags: 0x80)
        let client = fromClient(
            raw(0x05, id: 1), raw(0x05, flags: 1, id: 2, [1]), common, raw(0x08, id: 1), skipped,
            raw(0x05, id: 2, [2]))
        #expect(client.last == .message(.request, id: 2, [1, 2]))
        #expect(client.found.count == 1 + 1 + 3 + 1 + 1)
        let server = fromServer(
            raw(0x06, flags: 1, id: 2, [1]), common, raw(0x09, id: 1, u64(0)), skipped, raw(0x06, id: 2, [2]))
        #expect(server.last == .message(.response, id: 2, [1, 2]))
        let close = fromServer(raw(0x06, flags: 1, id: 2, [1]), raw(0x0B, u64(0) + u32(0)))
        #expect(close.last == .frame(.close(Close(.normal))))
    }

    @Test("3.5-5 The sum of the chunks is judged at the header of the one that takes it over max_message")
    func sum() {
        #expect(fromClient(raw(0x07, [UInt8](repeating: 1, count: 100)), maxMessage: 100).violation == nil)
        #expect(fromClient(raw(0x07, length: 101), maxMessage: 100).code == .messageTooLarge)
        let sixty = [UInt8](repeating: 1, count: 60)
        let first = raw(0x05, flags: 1, id: 1, sixty)
        #expect(fromClient(first, raw(0x05, id: 1, Array(sixty.prefix(40))), maxMessage: 100).violation == nil)
        #expect(fromClient(first, raw(0x05, id: 1, length: 41), maxMessage: 100).code == .messageTooLarge)
        #expect(fromClient(first, raw(0x05, flags: 1, id: 1, length: 41), maxMessage: 100).code == .messageTooLarge)
        #expect(fromServer(raw(0x06, id: 1, length: 101), maxMessage: 100).code == .messageTooLarge)
    }

    @Test("3.5-5 The sum begins anew with each message")
    func sumOfEach() {
        let sixty = raw(0x07, flags: 1, [UInt8](repeating: 1, count: 60)) + raw(0x07, [UInt8](repeating: 1, count: 40))
        #expect(fromClient(sixty, sixty, sixty, maxMessage: 100).found.count == 4)
    }

    @Test("3.5-4 With a max_message of 0 only empty messages come")
    func none() {
        #expect(fromClient(raw(0x05, id: 1), raw(0x07), maxMessage: 0).violation == nil)
        #expect(fromClient(raw(0x05, id: 1, length: 1), maxMessage: 0).code == .messageTooLarge)
    }

    @Test("3.5-5 A sum beyond 32 bits is no small one")
    func overflow() throws {
        var decoder = FrameDecoder(from: .client, maxFrame: .max, maxMessage: .max)
        var offset = 0
        let start = opening(of: .client) + raw(0x07, flags: 1, [1])
        while try decoder.next(in: start.span, at: &offset) != nil {}
        offset = 0
        #expect(throws: Violation.self) { try decoder.next(in: raw(0x07, length: .max).span, at: &offset) }
    }

    @Test("3.6-1 The ids of requests rise, with or without gaps, up to the last one")
    func rising() {
        #expect(fromClient(raw(0x05, id: 1), raw(0x05, id: 2), raw(0x05, id: 9), raw(0x05, id: .max)).found.count == 5)
        #expect(fromClient(raw(0x05, id: 2), raw(0x05, id: 2)).code == .protocolError)
        #expect(fromClient(raw(0x05, id: 2), raw(0x05, id: 1)).code == .protocolError)
        #expect(fromClient(raw(0x05, id: .max), raw(0x05, id: 1)).code == .protocolError)
        let chunked = raw(0x05, flags: 1, id: 5, [1]) + raw(0x05, id: 5, [2])
        #expect(fromClient(chunked, raw(0x05, id: 5)).code == .protocolError)
        #expect(fromServer(raw(0x06, id: 5), raw(0x06, id: 2)).violation == nil)
    }

    @Test("4.8-1 CANCEL names a request that was sent, or a gap below one")
    func cancelAbove() {
        #expect(fromClient(raw(0x05, id: 4), raw(0x08, id: 4)).last == .frame(.cancel(id: 4)))
        #expect(fromClient(raw(0x05, id: 4), raw(0x08, id: 2)).last == .frame(.cancel(id: 2)))
        #expect(fromClient(raw(0x05, id: 4), raw(0x08, id: 5)).code == .protocolError)
        #expect(fromClient(raw(0x08, id: 1)).code == .protocolError)
    }

    @Test("4.8-4 CANCEL ends a request whose chunks are coming: another chunk of it breaks the rule, a new request not")
    func cancelOpen() {
        let open = raw(0x05, flags: 1, id: 4, [1]) + raw(0x08, id: 4)
        #expect(fromClient(open, raw(0x05, id: 4, [2])).code == .protocolError)
        #expect(fromClient(open, raw(0x05, id: 5, [2])).last == .message(.request, id: 5, [2]))
        #expect(fromClient(open, raw(0x07, [2])).last == .message(.message, id: 0, [2]))
    }

    @Test("4.8-3 CANCEL of another request leaves the open one open")
    func cancelOther() {
        let open = raw(0x05, id: 3) + raw(0x05, flags: 1, id: 4, [1]) + raw(0x08, id: 3)
        #expect(fromClient(open, raw(0x05, id: 4, [2])).last == .message(.request, id: 4, [1, 2]))
        #expect(fromClient(open, raw(0x05, id: 5, [2])).code == .protocolError)
    }

    @Test("4.9-2 FAILURE between the chunks of a response ends it; one of another request does not")
    func failureBetween() {
        let open = raw(0x06, flags: 1, id: 4, [1])
        let failed = fromServer(open, raw(0x09, id: 4, u64(0)), raw(0x06, id: 5, [2]))
        #expect(failed.last == .message(.response, id: 5, [2]))
        #expect(fromServer(open, raw(0x09, id: 3, u64(0)), raw(0x06, id: 5, [2])).code == .protocolError)
    }

    @Test("7.3-1 A short connection carries one request, at the header of the second it is over")
    func short() {
        #expect(fromClient(raw(0x05, id: 1), raw(0x05, id: 2, length: 10), isShort: true).code == .protocolError)
        #expect(fromClient(raw(0x07, length: 10), isShort: true).code == .protocolError)
        #expect(fromClient(raw(0x0A, length: 12), isShort: true).code == .protocolError)
        let allowed =
            raw(0x03, u64(1)) + raw(0x05, flags: 1, id: 1, [1]) + raw(0x77, flags: 0x80) + raw(0x05, id: 1, [2])
            + raw(0x08, id: 1) + raw(0x04, u64(0) + u64(0) + u32(0)) + raw(0x0B, u64(0) + u32(0))
        #expect(fromClient(allowed, isShort: true).last == .frame(.close(Close(.normal))))
    }

    @Test("7.3-2 A client of a short connection takes GOAWAY but no MESSAGE")
    func shortAtTheClient() throws {
        for (frame, isAllowed) in [(raw(0x07), false), (raw(0x0A, u64(0) + u32(0)), true), (raw(0x06, id: 1), true)] {
            var decoder = FrameDecoder(from: .server, maxFrame: 300, maxMessage: 300, isShort: true)
            let bytes = opening(of: .server) + frame
            var offset = 0
            var violation: Violation?
            do throws(Violation) {
                while try decoder.next(in: bytes.span, at: &offset) != nil {}
            } catch {
                violation = error
            }
            #expect((violation == nil) == isAllowed)
            #expect(violation == nil || violation?.code == .protocolError)
        }
    }

    @Test("7.4-4 After its GOAWAY a client begins no request, but may finish one")
    func afterGoAway() {
        let goAway = raw(0x0A, u64(0) + u32(0))
        #expect(fromClient(goAway, raw(0x05, id: 1, length: 10)).code == .protocolError)
        let finished = fromClient(raw(0x05, flags: 1, id: 1, [1]), goAway, raw(0x05, id: 1, [2]), raw(0x07, [3]))
        #expect(finished.last == .message(.message, id: 0, [3]))
        #expect(fromServer(goAway, raw(0x06, id: 1)).violation == nil)
    }
}
