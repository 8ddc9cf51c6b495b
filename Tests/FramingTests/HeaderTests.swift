import Testing

@testable import Framing

/// The rows of the table of section 4, written anew: the type byte, who sends it, whether it has an id, and its payload.
struct Row: Sendable, CustomTestStringConvertible {
    let type: FrameType
    let byte: UInt8
    let senders: [Side]
    let hasID: Bool
    let isMessage: Bool
    let least: UInt32
    /// For messages max_frame is the most.
    let most: UInt32
    var testDescription: String { "\(type)" }

    func isAllowed(from side: Side) -> Bool { senders.contains(side) }
    var id: UInt32 { hasID ? 7 : 0 }

    /// What has to come before this frame, and before what.
    func before(from side: Side) -> [UInt8] {
        switch type {
        case .hello, .welcome: rawPreface
        case .cancel: opening(of: side) + raw(0x05, id: 7)
        default: opening(of: side)
        }
    }

    static let all: [Row] = [
        Row(type: .hello, byte: 0x01, senders: [.client], hasID: false, isMessage: false, least: 20, most: 1024),
        Row(type: .welcome, byte: 0x02, senders: [.server], hasID: false, isMessage: false, least: 36, most: 1024),
        Row(type: .ping, byte: 0x03, senders: [.client, .server], hasID: false, isMessage: false, least: 8, most: 8),
        Row(type: .pong, byte: 0x04, senders: [.client, .server], hasID: false, isMessage: false, least: 20, most: 20),
        Row(type: .request, byte: 0x05, senders: [.client], hasID: true, isMessage: true, least: 0, most: 300),
        Row(type: .response, byte: 0x06, senders: [.server], hasID: true, isMessage: true, least: 0, most: 300),
        Row(
            type: .message, byte: 0x07, senders: [.client, .server], hasID: false, isMessage: true, least: 0, most: 300),
        Row(type: .cancel, byte: 0x08, senders: [.client], hasID: true, isMessage: false, least: 0, most: 0),
        Row(type: .failure, byte: 0x09, senders: [.server], hasID: true, isMessage: false, least: 8, most: 520),
        Row(
            type: .goAway, byte: 0x0A, senders: [.client, .server], hasID: false, isMessage: false, least: 12, most: 524
        ),
        Row(
            type: .close, byte: 0x0B, senders: [.client, .server], hasID: false, isMessage: false, least: 12, most: 524),
        Row(
            type: .credit, byte: 0x0C, senders: [.client, .server], hasID: false, isMessage: false, least: 16, most: 16),
    ]

    static let withSender: [(Row, Side)] = all.flatMap { row in row.senders.map { (row, $0) } }
}

/// What a decoder says when `header` has come behind what must be before it.
private func verdict(_ row: Row, _ sender: Side, _ header: [UInt8]) -> Violation? {
    read(
        row.before(from: sender) + header, from: sender, maxFrame: 300, maxMessage: 1000,
        agreement: FrameDecoder.Agreement(credit: true)
    ).violation
}

@Suite("3.3 and 3.4 Frame header and flags")
struct HeaderTests {
    @Test("4 Every type has its byte", arguments: Row.all)
    func typeByte(row: Row) {
        #expect(FrameType(rawValue: row.byte) == row.type)
        #expect(FrameType.allCases.count == Row.all.count)
    }

    @Test("3.3-1 Bytes 6 and 7 are 0", arguments: Row.withSender)
    func reserved(row: Row, sender: Side) {
        for value: UInt16 in [1, 0x0100, 0x8000, 0xFFFF] {
            let header = raw(row.byte, reserved: value, id: row.id, length: row.least)
            #expect(verdict(row, sender, header)?.code == .protocolError)
        }
    }

    @Test("3.3-2 Requests and their endings have an id, other frames have none", arguments: Row.withSender)
    func ids(row: Row, sender: Side) {
        for id: UInt32 in [0, 1, 0x0100_0000, 0xFFFF_FFFF] where !(row.type == .cancel && id > 7) {
            let violation = verdict(row, sender, raw(row.byte, id: id, length: max(row.least, 1)).prefix(12) + [])
            if (id != 0) != row.hasID {
                #expect(violation?.code == .protocolError, "id \(id)")
            } else {
                #expect(violation == nil || row.type == .cancel, "id \(id)")
            }
        }
    }

    @Test("3.3-3, 3.3-4, 3.3-9 The length is judged by the header alone, at both bounds", arguments: Row.withSender)
    func lengths(row: Row, sender: Side) {
        func judge(_ length: UInt32) -> Code? {
            verdict(row, sender, raw(row.byte, id: row.id, length: length))?.code
        }
        #expect(judge(row.least) == nil)
        #expect(judge(row.most) == nil)
        #expect(judge(row.most + 1) == .frameTooLarge)
        #expect(judge(.max) == .frameTooLarge)
        if row.least > 0 {
            #expect(judge(row.least - 1) == .protocolError)
            #expect(judge(0) == .protocolError)
        }
    }

    @Test("3.3-9 The payload of a message may be as long as its receiver's max_frame, whatever that is")
    func maxFrame() {
        for most: UInt32 in [256, 16384, 1 << 24] {
            let fits = opening(of: .client) + raw(0x07, length: most)
            #expect(read(fits, from: .client, maxFrame: most, maxMessage: .max).violation == nil)
            let over = opening(of: .client) + raw(0x07, length: most + 1)
            #expect(read(over, from: .client, maxFrame: most, maxMessage: .max).code == .frameTooLarge)
        }
    }

    @Test("3.3-5 A type of the other side is a PROTOCOL_ERROR", arguments: Row.all, [Side.client, .server])
    func direction(row: Row, sender: Side) {
        let header = raw(row.byte, id: row.id, length: row.least)
        let isGreeting = row.type == .hello || row.type == .welcome
        let cancelled = row.type == .cancel && sender == .client ? raw(0x05, id: 7) : []
        let first = isGreeting ? rawPreface : opening(of: sender) + cancelled
        let violation = read(
            first + header, from: sender, maxFrame: 300, agreement: FrameDecoder.Agreement(credit: true)
        ).violation
        #expect((violation == nil) == row.isAllowed(from: sender))
        #expect(violation == nil || violation?.code == .protocolError)
    }

    @Test("3.4-1, 3.4-2, 3.4-6 Each bit of the flags, on each type", arguments: Row.withSender)
    func flags(row: Row, sender: Side) {
        for bit in 0..<8 {
            let flag = UInt8(1) << UInt8(bit)
            let header = raw(row.byte, flags: flag, id: row.id, length: max(row.least, row.isMessage ? 1 : 0))
            let violation = verdict(row, sender, header)
            let isAllowed = flag == 0x80 || (flag == 0x01 && row.isMessage)
            #expect((violation == nil) == isAllowed, "flag \(flag)")
            #expect(violation == nil || violation?.code == .protocolError)
        }
    }

    @Test("3.4-6 IGNORABLE changes nothing on a known type")
    func ignorableIsNothing() {
        let ping = opening(of: .client) + raw(0x03, flags: 0x80, u64(9))
        #expect(read(ping, from: .client).last == .frame(.ping(nonce: 9)))
        let chunks =
            opening(of: .client) + raw(0x05, flags: 0x81, id: 1, [1]) + raw(0x05, id: 1, [2])
        #expect(read(chunks, from: .client).last == .message(.request, id: 1, [1, 2]))
    }

    @Test("9 The first thing that is wrong with a header decides")
    func order() {
        // Each step puts right what the one before was refused for.
        let ladder: [([UInt8], String)] = [
            (raw(0x09, flags: 0x03, reserved: 1, length: 600), "reserved"),
            (raw(0x09, flags: 0x03, length: 600), "unknown flags"),
            (raw(0x09, flags: 0x01, length: 600), "MORE"),
            (raw(0x09, length: 600), "wrong side"),
            (raw(0x01, id: 1, length: 2000), "second time"),
            (raw(0x08, id: 0, length: 600), "id 0"),
            (raw(0x08, id: 9, length: 600), "at most 0"),
            (raw(0x08, id: 9), "never sent"),
            (raw(0x0C, flags: 0x03, reserved: 1, length: 600), "reserved"),
            (raw(0x0C, flags: 0x43, length: 600), "unknown flags"),
            (raw(0x0C, flags: 0x01, length: 600), "is unknown"),
            (raw(0x0C, flags: 0x81, length: 600), "MORE"),
            (raw(0x0C, flags: 0x80, length: 600), "at most 300"),
            (raw(0x05, flags: 0x01, id: 0, length: 600), "id 0"),
            (raw(0x05, flags: 0x01, id: 1, length: 600), "at most 300"),
            (raw(0x05, flags: 0x01, id: 1, length: 0), "empty"),
        ]
        for (header, reason) in ladder {
            let violation = read(opening(of: .client) + header, from: .client, maxFrame: 300).violation
            #expect(violation?.text.contains(reason) == true, "\(violation?.text ?? "nothing") is not \(reason)")
            #expect(violation?.code == (reason.hasPrefix("at most") ? .frameTooLarge : .protocolError))
        }
    }

    @Test("9 Before HELLO, too, the place of a frame is judged before its id and its length")
    func orderBeforeHello() {
        for header in [raw(0x03, id: 5, length: 4000), raw(0x05, length: 400), raw(0x0C, flags: 0x80, length: 400)] {
            let violation = read(rawPreface + header, from: .client, maxFrame: 300).violation
            #expect(violation?.code == .protocolError)
            #expect(violation?.text.contains("before") == true)
        }
    }
}
