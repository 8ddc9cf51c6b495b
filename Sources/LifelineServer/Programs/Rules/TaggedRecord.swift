import Basics

/// What a program says in a tagged framing: a word, a space, and what follows.
enum TaggedRecord: Equatable {
    /// The whole answer to a request.
    case answer(UInt32, ArraySlice<UInt8>)
    /// A part of an answer, and its end.
    case part(UInt32, ArraySlice<UInt8>)
    case end(UInt32)
    /// A request has failed.
    case fail(UInt32, ArraySlice<UInt8>)
    /// A one-way message to the client.
    case message(ArraySlice<UInt8>)
    /// A request to the client, by a name that the program chose.
    case ask([UInt8], ArraySlice<UInt8>)
    /// It is none of these, and why.
    case wrong(String)

    static let words = ["answer", "part", "end", "fail", "message", "ask"]
    /// How many bytes a name may have.
    static let longestName = 64
    /// How much of what is wrong is told.
    private static let longestQuote = 40

    init(_ bytes: ArraySlice<UInt8>) {
        let word = TaggedRecord.field(of: bytes)
        if word.field.elementsEqual("message".utf8) {
            self = .message(word.rest)
            return
        }
        guard let name = TaggedRecord.words.first(where: { word.field.elementsEqual($0.utf8) }) else {
            self = .wrong("which begins with none of the words \(TaggedRecord.words.joined(separator: ", "))")
            return
        }
        let (field, text) = TaggedRecord.field(of: word.rest)
        if name == "ask" {
            let isName = (1...TaggedRecord.longestName).contains(field.count)
            self = isName ? .ask(Array(field), text) : .wrong("where a name of 1 to 64 bytes has to follow 'ask'")
            return
        }
        guard let id = TaggedRecord.number(field) else {
            self = .wrong("where the number of a request has to follow '\(name)'")
            return
        }
        switch name {
        case "answer": self = .answer(id, text)
        case "part": self = .part(id, text)
        case "fail": self = .fail(id, text)
        default: self = text.isEmpty ? .end(id) : .wrong("where nothing may follow the number")
        }
    }

    /// The bytes up to the first space, and those behind it.
    private static func field(of bytes: ArraySlice<UInt8>) -> (field: ArraySlice<UInt8>, rest: ArraySlice<UInt8>) {
        guard let space = bytes.firstIndex(of: 0x20) else { return (bytes, []) }
        return (bytes[..<space], bytes[(space + 1)...])
    }

    /// A number in decimal digits, without a sign or a zero in front.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt32? {
        guard let first = digits.first, first != 0x30, digits.count <= 10 else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            number = number * 10 + UInt64(digit - 0x30)
        }
        return UInt32(exactly: number)
    }

    /// The beginning of what a program wrote, for people.
    static func quote(_ bytes: ArraySlice<UInt8>) -> String {
        let text = String(decoding: bytes.prefix(longestQuote), as: UTF8.self)
        let clean = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isPrintable ? $0 : "?" }))
        return "'\(clean)\(bytes.count > longestQuote ? "…" : "")'"
    }
}
