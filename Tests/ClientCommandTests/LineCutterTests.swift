import Testing

@testable import client

private func lines(_ pieces: [String], most: Int = 100) -> [InputMessage] {
    var cutter = LineCutter()
    var lines: [InputMessage] = []
    for piece in pieces {
        cutter.add(Array(piece.utf8)[...])
        while let line = cutter.next(most: most) { lines.append(line) }
    }
    if let last = cutter.last() { lines.append(last) }
    return lines
}

private func message(_ text: String, length: Int? = nil) -> InputMessage {
    InputMessage(Array(text.utf8), length: length)
}

@Suite struct LineCutterTests {
    @Test(
        "However the bytes come, the lines are the same",
        arguments: [
            ["one\n\ntwo\r\nlast"], ["o", "ne\n", "\nt", "wo\r", "\nlast"], ["one\n\ntwo\r\nlast", ""],
            Array("one\n\ntwo\r\nlast").map { String($0) },
        ])
    func pieces(_ pieces: [String]) {
        #expect(lines(pieces) == ["one", "", "two\r", "last"].map { message($0) })
    }

    @Test("A line end at the end begins no line, and nothing is no line")
    func ends() {
        #expect(lines(["one\n"]) == [message("one")])
        #expect(lines([""]) == [])
        #expect(lines(["\n"]) == [message("")])
    }

    @Test("Of a line that is too long the first bytes are kept, and those behind it are lines as ever")
    func tooLong() {
        #expect(
            lines(["12345678\nnext\n"], most: 5) == [message("12345", length: 8), message("next")])
        #expect(lines(["123", "45", "6789"], most: 5) == [message("12345", length: 9)])
        #expect(lines(["12345\n"], most: 5) == [message("12345")])
        #expect(!message("12345", length: 9).isWhole && message("12345").isWhole)
    }

    @Test("The rest of a long line takes no memory")
    func memory() {
        var cutter = LineCutter()
        let piece = [UInt8](repeating: 0x78, count: 65536)
        for _ in 0..<1000 {
            cutter.add(piece[...])
            #expect(cutter.next(most: 10) == nil)
        }
        #expect(cutter.last() == message("xxxxxxxxxx", length: 65_536_000))
    }
}
