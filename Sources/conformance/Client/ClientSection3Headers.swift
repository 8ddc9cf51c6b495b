import RawWire

extension Case<ClientBench> {
    /// What a server sends with a header that is wrong, and the code of the drop.
    struct WrongHeader: Sendable {
        let section: String
        let requirement: String
        let sentence: String
        let frame: RawFrame
        var code = RawCode.protocolError
        /// In place of WELCOME, not behind it.
        var isGreeting = false

        /// Only the header is sent where it alone decides: its drop waits for nothing more.
        var bytes: [UInt8] { Array(frame.bytes.prefix(RawFrame.headerLength)) }
    }

    /// Sections 3.3 and 3.4: every field of a header being wrong.
    static let section3Headers: [Case] = {
        return (reserved + ids + lengths + directions + flags + unknown).map { wrong in
            return Case(wrong.section, wrong.requirement, wrong.sentence) { bench in
                if wrong.isGreeting {
                    try bench.expectRefusal(of: RawFrame.preface + wrong.bytes, wrong.code)
                } else {
                    try bench.expectDrop(for: wrong.bytes, wrong.code)
                }
            }
        }
    }()

    private static let reserved: [WrongHeader] =
        [0x0001, 0x0080, 0x0100, 0x8000].map { bits in
            WrongHeader(
                section: "3.3", requirement: "3.3-1",
                sentence: "A PING whose bytes 6 and 7 are 0x\(String(bits, radix: 16)) is a PROTOCOL_ERROR",
                frame: RawFrame.ping(1).with { $0.reserved = UInt16(bits) })
        } + [
            WrongHeader(
                section: "3.3", requirement: "3.3-1", sentence: "A WELCOME whose bytes 6 and 7 are not 0 is refused",
                frame: RawFrame.welcome().with { $0.reserved = 1 }, isGreeting: true)
        ]

    private static let ids: [WrongHeader] =
        [
            RawFrame.response(0, [1]), .failure(0, .handlerFailed), RawFrame.ping(1).with { $0.id = 1 },
            RawFrame.pong(1).with { $0.id = 1 }, RawFrame.message([1]).with { $0.id = 1 },
            RawFrame.goAway().with { $0.id = 1 }, RawFrame.close().with { $0.id = 1 },
        ].map { frame in
            WrongHeader(
                section: "3.3", requirement: "3.3-2",
                sentence: "A \(frame.type) with the id \(frame.id) is a PROTOCOL_ERROR",
                frame: frame)
        } + [
            WrongHeader(
                section: "3.3", requirement: "3.3-2", sentence: "A WELCOME with an id is a PROTOCOL_ERROR",
                frame: RawFrame.welcome().with { $0.id = 1 }, isGreeting: true),
            WrongHeader(
                section: "3.3", requirement: "3.3-2",
                sentence: "A CLOSE with an id in place of WELCOME is a PROTOCOL_ERROR",
                frame: RawFrame.close(.busy).with { $0.id = 1 }, isGreeting: true),
        ]

    private static let lengths: [WrongHeader] =
        [
            (RawFrame.ping(1), 7, 9), (.pong(1), 19, 21), (.failure(1, .handlerFailed), 7, 521), (.goAway(), 11, 525),
            (.close(), 11, 525), (.welcome(), 35, 1025),
        ].flatMap { (frame: RawFrame, under: UInt32, over: UInt32) in
            [(under, RawCode.protocolError), (over, .frameTooLarge), (.max, .frameTooLarge)].map { length, code in
                WrongHeader(
                    section: "3.3", requirement: length == .max ? "3.3-4" : "3.3-3",
                    sentence: "A \(frame.type) that says it has \(length) bytes is dropped with \(code) at its header",
                    frame: frame.with { $0.claimedLength = length }, code: code, isGreeting: frame.type == .welcome)
            }
        } + [
            WrongHeader(
                section: "3.3", requirement: "3.3-3",
                sentence: "A CLOSE of 525 bytes in place of WELCOME is a FRAME_TOO_LARGE",
                frame: RawFrame.close(.busy).with { $0.claimedLength = 525 }, code: .frameTooLarge, isGreeting: true)
        ]

    private static let directions: [WrongHeader] =
        [RawFrame.hello(), .request(1), .request(2), .cancel(1)].map { frame in
            WrongHeader(
                section: "3.3", requirement: "3.3-5",
                sentence: "A \(frame.type)\(frame.id == 0 ? "" : " \(frame.id)") from a server is a PROTOCOL_ERROR",
                frame: frame)
        }
        + [
            RawFrame.ping(1), .pong(1), .response(1, []), .message([1]), .failure(1, .refused), .goAway(), .hello(),
            .request(1, ""), .cancel(1),
        ].map { frame in
            WrongHeader(
                section: "3.3", requirement: "3.3-7",
                sentence: "A \(frame.type) in place of WELCOME is a PROTOCOL_ERROR",
                frame: frame, isGreeting: true)
        } + [
            WrongHeader(
                section: "3.3", requirement: "3.3-8", sentence: "A second WELCOME is a PROTOCOL_ERROR",
                frame: .welcome())
        ]

    private static let flags: [WrongHeader] =
        [0x02, 0x04, 0x08, 0x10, 0x20, 0x40].map { (bit: UInt8) in
            WrongHeader(
                section: "3.4", requirement: "3.4-1",
                sentence: "A PING with the flag 0x\(String(bit, radix: 16)) is a PROTOCOL_ERROR",
                frame: RawFrame.ping(1).with { $0.flags = bit })
        } + [
            WrongHeader(
                section: "3.4", requirement: "3.4-1", sentence: "A WELCOME with the flag 0x40 is a PROTOCOL_ERROR",
                frame: RawFrame.welcome().with { $0.flags = 0x40 }, isGreeting: true),
            WrongHeader(
                section: "3.4", requirement: "3.4-1",
                sentence: "An unknown type with IGNORABLE and 0x02 is a PROTOCOL_ERROR",
                frame: .unknown(0xEE, flags: 0x82)),
            WrongHeader(
                section: "3.4", requirement: "3.4-2", sentence: "A WELCOME with MORE is a PROTOCOL_ERROR",
                frame: RawFrame.welcome().with { $0.flags = RawFrame.more }, isGreeting: true),
            WrongHeader(
                section: "3.4", requirement: "3.4-2",
                sentence: "An unknown type with IGNORABLE and MORE is a PROTOCOL_ERROR",
                frame: .unknown(0xEE, flags: 0x81)),
        ]
        + [RawFrame.ping(1), .pong(1), .failure(1, .handlerFailed), .goAway(), .close()].map { frame in
            WrongHeader(
                section: "3.4", requirement: "3.4-2", sentence: "A \(frame.type) with MORE is a PROTOCOL_ERROR",
                frame: frame.with { $0.flags = RawFrame.more })
        }

    private static let unknown: [WrongHeader] =
        [0x00, 0x0C, 0x7F, 0xFF].map { (number: UInt8) in
            WrongHeader(
                section: "3.4", requirement: "3.4-3",
                sentence: "The unknown type 0x\(String(number, radix: 16)) without IGNORABLE is a PROTOCOL_ERROR",
                frame: .unknown(number, flags: 0))
        } + [
            WrongHeader(
                section: "3.4", requirement: "3.4-5", sentence: "An unknown type before WELCOME is a PROTOCOL_ERROR",
                frame: .unknown(0xEE, flags: RawFrame.ignorable), isGreeting: true)
        ]
}
