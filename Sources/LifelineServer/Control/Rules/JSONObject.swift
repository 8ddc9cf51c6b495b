/// An object of JSON without objects or arrays in it, on one line (RFC 8259): what the control socket says.
package struct JSONObject: Equatable, Sendable {
    /// A value; a number stays as it is written.
    package enum Value: Equatable, Sendable {
        case text(String)
        case number(String)
        case bool(Bool)
        case null
    }

    private(set) var members: [(key: String, value: Value)] = []

    init() {}

    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.members.elementsEqual(right.members) { $0.key == $1.key && $0.value == $1.value }
    }

    mutating func add(_ key: String, _ text: String?) { add(key, value: text.map { .text($0) } ?? .null) }
    mutating func add(_ key: String, _ flag: Bool) { add(key, value: .bool(flag)) }
    mutating func add(_ key: String, _ number: some FixedWidthInteger) { add(key, value: .number("\(number)")) }
    /// Seconds.
    mutating func add(_ key: String, _ duration: Duration?, decimals: Int = 3) {
        add(key, value: duration.map { .number(Escaping.seconds($0, decimals: decimals)) } ?? .null)
    }
    private mutating func add(_ key: String, value: Value) { members.append((key, value)) }

    /// The first value of this key.
    package subscript(key: String) -> Value? { members.first { $0.key == key }?.value }
    /// The text of this key.
    package func text(_ key: String) -> String? { if case .text(let text)? = self[key] { text } else { nil } }
    /// The number of this key.
    package func number(_ key: String) -> Double? {
        if case .number(let text)? = self[key] { Double(text) } else { nil }
    }
    /// Whether this key is true.
    package func isTrue(_ key: String) -> Bool { self[key] == .bool(true) }
    /// What stands behind the keys, in their order, for people.
    package var words: [(key: String, value: String)] {
        members.map { key, value in
            switch value {
            case .text(let text): (key, Escaping.plain(text))
            case .number(let number): (key, number)
            case .bool(let flag): (key, flag ? "yes" : "no")
            case .null: (key, "-")
            }
        }
    }

    /// One line, without its end.
    package var line: String {
        let members = members.map { key, value in
            switch value {
            case .text(let text): "\"\(key)\":\"\(Escaping.json(text))\""
            case .number(let number): "\"\(key)\":\(number)"
            case .bool(let flag): "\"\(key)\":\(flag)"
            case .null: "\"\(key)\":null"
            }
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    /// Reads a line; nil where it is no such object.
    package init?(line: some Sequence<UInt8>) {
        var reader = Reader(bytes: Array(line))
        guard reader.take("{") else { return nil }
        if !reader.take("}") {
            repeat {
                guard let key = reader.string(), reader.take(":"), let value = reader.value() else { return nil }
                members.append((key, value))
            } while reader.take(",")
            guard reader.take("}") else { return nil }
        }
        guard reader.isAtEnd else { return nil }
    }

    private struct Reader {
        let bytes: [UInt8]
        private var next = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool {
            mutating get {
                skip()
                return next == bytes.count
            }
        }

        private mutating func skip() {
            while next < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[next]) { next += 1 }
        }

        mutating func take(_ mark: String) -> Bool {
            skip()
            guard bytes[next...].starts(with: mark.utf8) else { return false }
            next += mark.utf8.count
            return true
        }

        mutating func value() -> Value? {
            if take("true") { return .bool(true) }
            if take("false") { return .bool(false) }
            if take("null") { return .null }
            if let text = string() { return .text(text) }
            let digits = bytes[next...].prefix { "+-.0123456789Ee".utf8.contains($0) }
            let text = String(decoding: digits, as: UTF8.self)
            guard Double(text) != nil else { return nil }
            next += digits.count
            return .number(text)
        }

        mutating func string() -> String? {
            guard take("\"") else { return nil }
            var units: [UInt8] = []
            while next < bytes.count {
                let byte = bytes[next]
                next += 1
                switch byte {
                case UInt8(ascii: "\""): return String(decoding: units, as: UTF8.self)
                case 0..<0x20: return nil
                case UInt8(ascii: "\\"):
                    guard let scalars = escape() else { return nil }
                    units += Array(scalars.utf8)
                default: units.append(byte)
                }
            }
            return nil
        }

        private mutating func escape() -> String? {
            guard next < bytes.count else { return nil }
            let letter = bytes[next]
            next += 1
            let plain: [UInt8: String] = [
                0x22: "\"", 0x5C: "\\", 0x2F: "/", 0x62: "\u{8}", 0x66: "\u{C}", 0x6E: "\n", 0x72: "\r", 0x74: "\t",
            ]
            guard letter == UInt8(ascii: "u") else { return plain[letter] }
            guard let first = unit() else { return nil }
            guard UTF16.isLeadSurrogate(first), bytes[next...].starts(with: "\\u".utf8) else {
                return String(decoding: [first], as: UTF16.self)
            }
            next += 2
            return unit().map { String(decoding: [first, $0], as: UTF16.self) }
        }

        private mutating func unit() -> UInt16? {
            let digits = bytes[next...].prefix(4)
            guard digits.count == 4, digits.first != UInt8(ascii: "+"), digits.first != UInt8(ascii: "-") else {
                return nil
            }
            next += 4
            return UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        }
    }
}
