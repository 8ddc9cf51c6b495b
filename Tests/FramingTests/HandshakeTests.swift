import Testing

@testable import Framing

@Suite("4.1 and 4.2 HELLO and WELCOME")
struct HandshakeTests {
    private func hello(_ bytes: [UInt8]) -> (Hello?, Code?) {
        let reading = read(rawPreface + bytes, from: .client)
        guard case .frame(.hello(let hello)) = reading.last else { return (nil, reading.code) }
        return (hello, nil)
    }
    private func welcome(_ bytes: [UInt8]) -> (Welcome?, Code?) {
        let reading = read(rawPreface + bytes, from: .server)
        guard case .frame(.welcome(let welcome)) = reading.last else { return (nil, reading.code) }
        return (welcome, nil)
    }

    @Test("4.1 Each field of HELLO stands at its place")
    func helloFields() {
        let bytes = rawHello(
            flags: 1, pingEvery: 0x0102_0304, deadAfter: 0x0506_0708, maxFrame: 0x090A_0B0C, maxMessage: 0x0D0E_0F10)
        #expect(
            hello(bytes).0
                == Hello(
                    short: true, pingEvery: 0x0102_0304, deadAfter: 0x0506_0708, maxFrame: 0x090A_0B0C,
                    maxMessage: 0x0D0E_0F10))
        #expect(hello(rawHello()).0 == Hello())
    }

    @Test("4.1-2 Any major version but 1 is UNSUPPORTED_VERSION, whatever else is wrong")
    func major() {
        for major: UInt8 in [0, 2, 255] {
            let worse = rawHello(major: major, minor: 9, flags: 0xFFFF, maxFrame: 0, options: option(0x8001, length: 9))
            #expect(hello(worse).1 == .unsupportedVersion)
            let answer = rawWelcome(major: major, minor: 9, flags: 1, pingEvery: 0, deadAfter: 0, maxFrame: 0)
            #expect(welcome(answer).1 == .unsupportedVersion)
        }
    }

    @Test(
        "4.2-2, 4.2-3 A server takes any minor version, a client none above its own",
        arguments: [0, 1, 2, 255] as [UInt8])
    func minor(minor: UInt8) {
        #expect(hello(rawHello(minor: minor)).0 == Hello(minor: minor))
        #expect(welcome(rawWelcome(minor: minor)).1 == (minor <= 1 ? nil : .protocolError))
    }

    @Test("4.2-2, 4.2-3 The lower minor is in force, and a WELCOME above HELLO's is refused")
    func lowerMinor() throws {
        for (asked, answered) in [(0, 0), (1, 1), (2, 1), (255, 1)] as [(UInt8, UInt8)] {
            #expect(negotiate(Hello(minor: asked), with: Terms(), connection: 1).minor == answered)
        }
        let welcome = negotiate(Hello(), with: Terms(), connection: 1)
        try welcome.check(against: Hello())
        #expect(throws: Violation.self) { try welcome.check(against: Hello(minor: 0)) }
    }

    @Test("4.1-3, 4.2-4 SHORT is the one flag of HELLO, WELCOME has none", arguments: 0..<16)
    func flags(bit: Int) {
        let flag = UInt16(1) << UInt16(bit)
        #expect(hello(rawHello(flags: flag)).1 == (bit == 0 ? nil : .protocolError))
        #expect(hello(rawHello(flags: flag | 1)).1 == (bit == 0 ? nil : .protocolError))
        #expect(welcome(rawWelcome(flags: flag)).1 == .protocolError)
    }

    @Test("4.1-4 max_frame is at least 256")
    func maxFrame() {
        #expect(hello(rawHello(maxFrame: 255)).1 == .protocolError)
        #expect(hello(rawHello(maxFrame: 256)).0?.maxFrame == 256)
        #expect(welcome(rawWelcome(maxFrame: 255)).1 == .protocolError)
        #expect(welcome(rawWelcome(maxFrame: 256)).0?.maxFrame == 256)
    }

    @Test("3.5-4 There is no least max_message")
    func maxMessage() {
        #expect(hello(rawHello(maxMessage: 0)).0?.maxMessage == 0)
        #expect(welcome(rawWelcome(maxMessage: 0)).0?.maxMessage == 0)
    }

    @Test("4.1-1 HELLO's flags are judged before max_frame, and that before the options")
    func order() {
        let optionText = option(0x8001)
        func text(_ bytes: [UInt8]) -> String { read(rawPreface + bytes, from: .client).violation?.text ?? "" }
        #expect(text(rawHello(flags: 2, maxFrame: 0, options: optionText)).contains("flag"))
        #expect(text(rawHello(maxFrame: 0, options: optionText)).contains("max_frame"))
        #expect(text(rawHello(options: optionText)).contains("option"))
    }

    @Test("4.2 Each field of WELCOME stands at its place")
    func welcomeFields() {
        let bytes = rawWelcome(
            pingEvery: 0x0102_0304, deadAfter: 0x0506_0708, maxFrame: 0x090A_0B0C, maxMessage: 0x0D0E_0F10,
            maxInFlight: 0x1112_1314, maxQueued: 0x1516_1718, connection: 0x191A_1B1C_1D1E_1F20)
        #expect(
            welcome(bytes).0
                == Welcome(
                    pingEvery: 0x0102_0304, deadAfter: 0x0506_0708, maxFrame: 0x090A_0B0C, maxMessage: 0x0D0E_0F10,
                    maxInFlight: 0x1112_1314, maxQueued: 0x1516_1718, connection: 0x191A_1B1C_1D1E_1F20))
    }

    @Test(
        "6-3, 6-4 The times of WELCOME lie within their bounds",
        arguments: [
            (33, 99, false), (33, 100, true), (20, 100, true), (19, 100, false), (50, 100, true), (51, 100, false),
            (50, 101, true), (51, 101, false), (0, 30_000, false), (15_000, 30_000, true), (15_001, 30_000, false),
            (.max, .max, false), (.max / 2, .max, true), (20, 0, false),
        ] as [(UInt32, UInt32, Bool)])
    func times(pingEvery: UInt32, deadAfter: UInt32, isValid: Bool) {
        let answer = welcome(rawWelcome(pingEvery: pingEvery, deadAfter: deadAfter))
        #expect(answer.1 == (isValid ? nil : .protocolError))
    }

    @Test("4.2-5, 4.2-6 max_in_flight is at least 1; max_queued and connection are any number")
    func limits() {
        #expect(welcome(rawWelcome(maxInFlight: 0)).1 == .protocolError)
        #expect(welcome(rawWelcome(maxInFlight: 1)).0?.maxInFlight == 1)
        #expect(welcome(rawWelcome(maxQueued: 0)).0?.maxQueued == 0)
        #expect(welcome(rawWelcome(connection: 0)).0?.connection == 0)
        #expect(welcome(rawWelcome(connection: .max)).0?.connection == .max)
    }

    @Test(
        "6-5 WELCOME may shorten the dead_after that HELLO asked for, never lengthen it",
        arguments: [
            (0, 30_000, true), (6000, 6000, true), (6000, 6001, false), (6000, 5999, true), (50, 100, true),
            (50, 101, false), (100, 100, true), (.max, .max, true), (1, 30_000, false),
        ] as [(UInt32, UInt32, Bool)])
    func answer(asked: UInt32, given: UInt32, isValid: Bool) {
        let answer = Welcome(
            pingEvery: 20, deadAfter: given, maxFrame: 256, maxMessage: 0, maxInFlight: 1, maxQueued: 0, connection: 0)
        var code: Code?
        do throws(Violation) {
            try answer.check(against: Hello(deadAfter: asked))
        } catch {
            code = error.code
        }
        #expect(code == (isValid ? nil : .protocolError))
    }
}
