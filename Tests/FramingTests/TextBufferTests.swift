import Basics
import Testing

@testable import Framing

@Suite("Text that is made byte by byte")
struct TextBufferTests {
    private func made(most: Int = .max, _ make: (inout TextBuffer) -> Void) -> String {
        var string = ""
        TextBuffer.with(most: most) { text in
            var text = text
            make(&text)
            text.withBytes { string = String(decoding: $0, as: UTF8.self) }
        }
        return string
    }

    @Test("Numbers stand in decimal and hexadecimal, with zeros ahead where digits are wanted")
    func numbers() {
        for number: UInt64 in [0, 1, 9, 10, 99, 100, 65535, .max - 1, .max] {
            #expect(made { $0.put(decimal: number) } == "\(number)")
            #expect(
                made { $0.put(hex: UInt32(truncatingIfNeeded: number)) }
                    == String(UInt32(truncatingIfNeeded: number), radix: 16))
        }
        #expect(made { $0.put(decimal: 7, digits: 3) } == "007")
        #expect(made { $0.put(decimal: 1234, digits: 3) } == "1234")
        #expect(made { $0.put(hex: 0xE4, digits: 4) } == "00e4")
    }

    @Test("What is longer than the stack's part is the same text")
    func growth() {
        let piece = "0123456789ä"
        for times in [1, 85, 86, 100, 1000, 100_000] {
            let text = made { for _ in 0..<times { $0.put(piece) } }
            #expect(text == String(repeating: piece, count: times))
        }
        let counted = made { for number in 0..<2000 { $0.put(decimal: UInt64(number)) } }
        #expect(counted == (0..<2000).map { "\($0)" }.joined())
    }

    @Test("It has at most so many bytes, and a number is there whole or not at all", arguments: [0, 3, 1500, 4096])
    func bound(most: Int) {
        #expect(made(most: most) { for _ in 0...most { $0.put(UInt8(ascii: "x")) } }.utf8.count == most)
        #expect(made(most: most) { $0.put(String(repeating: "x", count: most + 1)) }.utf8.count == most)
        #expect(made(most: 3) { $0.put(decimal: 1234) } == "" && made(most: 3) { $0.put(hex: 0x1234) } == "")
        #expect(
            made(most: most) {
                $0.put(String(repeating: "x", count: most / 2))
                $0.put(decimal: 7)
            }.utf8.count == min(most, most / 2 + 1))
    }
}
