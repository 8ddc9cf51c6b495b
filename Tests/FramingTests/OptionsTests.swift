import Testing

@testable import Framing

@Suite("4.12 Options")
struct OptionsTests {
    private func inHello(_ bytes: [UInt8]) -> (Options?, Violation?) {
        let reading = read(rawPreface + rawHello(options: bytes), from: .client)
        guard case .frame(.hello(let hello)) = reading.last else { return (nil, reading.violation) }
        return (hello.options, nil)
    }
    private func inWelcome(_ bytes: [UInt8]) -> (Options?, Violation?) {
        let reading = read(rawPreface + rawWelcome(options: bytes), from: .server)
        guard case .frame(.welcome(let welcome)) = reading.last else { return (nil, reading.violation) }
        return (welcome.options, nil)
    }

    @Test("4.12 TOKEN, NAME and AGENT in HELLO, in any order, and none of them")
    func all() {
        let token = option(1, [0, 0xFF])
        let name = option(2, text("till-7"))
        let agent = option(3, text("a/1"))
        let expected = Options(token: [0, 0xFF], name: "till-7", agent: "a/1")
        #expect(inHello(token + name + agent).0 == expected)
        #expect(inHello(agent + name + token).0 == expected)
        #expect(inHello([]).0 == Options())
        #expect(inHello(option(1) + option(2) + option(3)).0 == Options(token: [], name: "", agent: ""))
    }

    @Test("4.12-1 An option that is cut off or runs over the end is a PROTOCOL_ERROR")
    func cutOff() {
        let option3 = option(3, text("ab"))
        for bytes in [[0], [0, 3], [0, 3, 0], option(3, length: 1), option(3, length: 3, [1, 2]), option3 + [0]] {
            #expect(inHello(bytes).1?.code == .protocolError, "\(bytes)")
            #expect(inWelcome(bytes).1?.code == .protocolError, "\(bytes)")
        }
        #expect(inHello(option(0x00FF, length: 0xFFFF, [1])).1?.code == .protocolError)
        // A length is judged before the tag: what an option means does not matter if it does not fit.
        #expect(inHello(option(0x8001, length: 1)).1?.code == .protocolError)
    }

    @Test("4.12-2 A known option stands once, even with the same value", arguments: [1, 2, 3] as [UInt16])
    func twice(tag: UInt16) {
        #expect(inHello(option(tag) + option(tag)).1?.code == .protocolError)
        #expect(inHello(option(tag, text("a")) + option(0x70) + option(tag, text("b"))).1?.code == .protocolError)
    }

    @Test("4.12-2, 4.12-7 In WELCOME AGENT stands once; TOKEN and NAME mean nothing, whatever is in them")
    func inWelcomes() {
        #expect(inWelcome(option(3, text("b"))).0 == Options(agent: "b"))
        #expect(inWelcome(option(3) + option(3)).1?.code == .protocolError)
        let long = [UInt8](repeating: 0xFF, count: 300)
        let ignored = option(1, long) + option(1) + option(2, long) + option(2, long)
        #expect(inWelcome(ignored + option(3, text("b"))).0 == Options(agent: "b"))
    }

    @Test("4.12-3, 4.12-4 TOKEN has at most 256 bytes, NAME at most 64")
    func lengths() {
        let token = [UInt8](repeating: 0xC3, count: 257)
        #expect(inHello(option(1, Array(token.dropLast()))).0?.token?.count == 256)
        #expect(inHello(option(1, token)).1?.code == .protocolError)
        let name = [UInt8](repeating: 0x61, count: 65)
        #expect(inHello(option(2, Array(name.dropLast()))).0?.name?.count == 64)
        #expect(inHello(option(2, name)).1?.code == .protocolError)
        #expect(inHello(option(3, [UInt8](repeating: 0x61, count: 1000))).0?.agent?.count == 1000)
    }

    @Test(
        "3.1-3 NAME and AGENT are UTF-8, well formed",
        arguments: [[0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x61, 0x80]]
            as [[UInt8]])
    func notUTF8(bytes: [UInt8]) {
        #expect(inHello(option(2, bytes)).1?.code == .protocolError)
        #expect(inHello(option(3, bytes)).1?.code == .protocolError)
        #expect(inWelcome(option(3, bytes)).1?.code == .protocolError)
        #expect(inHello(option(1, bytes)).0?.token == bytes)
    }

    @Test("4.12 A NAME in several scripts comes through")
    func scripts() {
        let name = "Kasse ③ ☎ 수원"
        #expect(inHello(option(2, text(name))).0?.name == name)
    }

    @Test("4.12-5 An unknown tag with bit 15 is UNSUPPORTED_OPTION, and the text names it")
    func mustUnderstand() {
        for tag: UInt16 in [0x8000, 0x8001, 0xFFFF] {
            let violation = inHello(option(tag, [1, 2])).1
            #expect(violation?.code == .unsupportedOption)
            #expect(violation?.text.contains("\(tag)") == true)
            #expect(inWelcome(option(tag)).1?.code == .unsupportedOption)
        }
    }

    @Test(
        "4.12-6 Any other unknown tag is skipped, however often it stands there", arguments: [0, 6, 0x7FFF] as [UInt16])
    func skipped(tag: UInt16) {
        let unknown = option(tag, [0xFF, 0xFE])
        #expect(inHello(unknown + unknown + option(2, text("n")) + unknown).0 == Options(name: "n"))
        #expect(inWelcome(unknown + unknown + option(3, text("n")) + unknown).0 == Options(agent: "n"))
    }

    @Test("4.12-9, 4.12-10, 4.12-2 CREDIT and ANSWERS have 8 bytes, stand once, and ANSWERS allows a request at least")
    func creditAndAnswers() {
        let credit = option(4, u64(1 << 40))
        let answers = option(5, u32(16) + u32(0))
        let terms = AnswerTerms(maxInFlight: 16, maxQueued: 0)
        #expect(inHello(answers + credit).0 == Options(credit: 1 << 40, answers: terms))
        #expect(inWelcome(credit).0 == Options(credit: 1 << 40))
        for bytes in [option(4), option(4, u32(1)), option(4, u64(1) + [0]), credit + credit] {
            #expect(inHello(bytes).1?.code == .protocolError, "\(bytes)")
            #expect(inWelcome(bytes).1?.code == .protocolError, "\(bytes)")
        }
        for bytes in [option(5), option(5, u32(1)), option(5, u64(1) + [0]), answers + answers, option(5, u64(9))] {
            #expect(inHello(bytes).1?.code == .protocolError, "\(bytes)")
            #expect(inWelcome(bytes).0 == Options(), "4.12-7 skips it: \(bytes)")
        }
    }

    @Test("9 Options are judged one after the other, as they stand")
    func order() {
        #expect(inHello(option(0x8001) + option(2, [0xFF])).1?.code == .unsupportedOption)
        #expect(inHello(option(2, [0xFF]) + option(0x8001)).1?.code == .protocolError)
    }
}
