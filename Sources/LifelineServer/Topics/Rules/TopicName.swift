import Basics

/// A topic's name: 1 to 255 bytes of UTF-8 without blanks and control characters. It has no `*`, and does not begin with `$`:
/// those are kept for later.
///
/// Two names are one where their bytes are. A `String` would take two spellings of a letter for the same.
struct TopicName: Hashable, Sendable {
    /// The longest name, in bytes.
    static let longest = 255

    let bytes: [UInt8]

    /// Takes over a name that has been checked.
    init(checked bytes: [UInt8]) { self.bytes = bytes }

    /// Throws what is wrong with a name.
    init(_ text: String) throws(TopicError) {
        if let fault = TopicName.fault(of: text) {
            throw .badTopic("'\(Escaping.plain(text, most: 80))' is no name of a topic: \(fault)")
        }
        bytes = Array(text.utf8)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Hashes all bytes at once: the array's own hash takes them one by one.
    func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    private static func fault(of text: String) -> String? {
        if text.isEmpty { return "it is empty" }
        if text.utf8.count > longest { return "it has \(text.utf8.count) bytes, and at most \(longest) are possible" }
        if text.utf8.first == UInt8(ascii: "$") { return "one that begins with $ is kept for the server" }
        for scalar in text.unicodeScalars {
            if scalar == "*" { return "it has a *, and there are no wildcards" }
            if scalar.properties.isWhitespace { return "it has a blank" }
            if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) { return "it has a control character" }
            if scalar == "\u{FFFD}" { return "it is not UTF-8" }
        }
        return nil
    }
}
