extension [UInt8] {
    /// Appends UTF-8 as a string of JSON, in its quotes (RFC 8259, section 7). Control characters are escaped, and DEL, so
    /// that the text is safe to print.
    package mutating func append(json text: some Sequence<UInt8>) {
        append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): self += [UInt8(ascii: "\\"), byte]
            case ..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                self += "\\u00\(digits.count < 2 ? "0" : "")\(digits)".utf8
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}

extension String {
    /// The text as a string of JSON, in its quotes.
    package var quotedAsJSON: String {
        var bytes: [UInt8] = []
        bytes.append(json: utf8)
        return String(decoding: bytes, as: UTF8.self)
    }
}
