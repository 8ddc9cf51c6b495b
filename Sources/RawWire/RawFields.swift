/// A field of a frame for a person: the name that section 4 gives it, and its value.
package struct RawField: Equatable, Sendable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension RawFrame {
    /// What a field of a payload means.
    private enum Meaning {
        case number, milliseconds, code
        /// HELLO's flags, of which bit 0 is SHORT.
        case kinds
        /// Shown where it is not 0, as nothing else is allowed.
        case zero
    }

    /// What stands behind the fields of a fixed length.
    private enum Tail { case nothing, options, text, message }

    private typealias PayloadLayout = (fields: [(name: String, size: Int, meaning: Meaning)], tail: Tail)

    /// The pictures of sections 4.1 to 4.13.
    private static let layouts: [Kind: PayloadLayout] = {
        let greeting: [(String, Int, Meaning)] = [
            ("major", 1, .number), ("minor", 1, .number), ("flags", 2, .kinds), ("ping_every", 4, .milliseconds),
            ("dead_after", 4, .milliseconds), ("max_frame", 4, .number), ("max_message", 4, .number),
        ]
        let limits: [(String, Int, Meaning)] = [
            ("max_in_flight", 4, .number), ("max_queued", 4, .number), ("connection", 8, .number),
        ]
        let load: [(String, Int, Meaning)] = [
            ("queued", 4, .number), ("in flight", 4, .number), ("longest", 4, .milliseconds),
        ]
        let reason: [(String, Int, Meaning)] = [
            ("code", 2, .code), ("zero", 2, .zero), ("retry_after", 4, .milliseconds),
        ]
        return [
            .hello: (greeting, .options), .welcome: (greeting + limits, .options),
            .ping: ([("nonce", 8, .number)], .nothing), .pong: ([("nonce", 8, .number)] + load, .nothing),
            .request: ([], .message), .response: ([], .message), .message: ([], .message), .cancel: ([], .nothing),
            .failure: (reason, .text), .goAway: (reason + [("spread", 4, .milliseconds)], .text),
            .close: ([("last_id", 4, .number)] + reason, .text),
            .credit: ([("limit", 8, .number), ("handled", 8, .number)], .nothing),
        ]
    }()

    private static let optionNames: [UInt16: String] = [1: "TOKEN", 2: "NAME", 3: "AGENT", 4: "CREDIT", 5: "ANSWERS"]

    /// The value of an option: numbers where it has those, in their whole length, else the bytes.
    private func shown(_ value: ArraySlice<UInt8>, ofOption tag: UInt16) -> String {
        switch (tag, value.count) {
        case (4, 8): "\(UInt64(bigEndian: value))"
        case (5, 8): "max_in_flight \(UInt32(bigEndian: value)) max_queued \(UInt32(bigEndian: value.dropFirst(4)))"
        default: readable(value)
        }
    }

    /// The fields for a person, in the order of the bytes: those of the header where they are not 0, then the payload's.
    ///
    /// A payload of the wrong length is decoded as far as it goes, and the rest is shown with what is wrong with it. Of a
    /// message whose payload is its beginning, `claimedLength` says how many bytes it has.
    package var fields: [RawField] {
        var fields: [RawField] = []
        if flags != 0 { fields.append(RawField("flags", names(of: flags))) }
        if reserved != 0 { fields.append(RawField("zero", "\(reserved)")) }
        if id != 0 { fields.append(RawField("id", "\(id)")) }
        let layout = RawFrame.layouts[type] ?? ([], .message)
        var rest = payload[...]
        for (name, size, meaning) in layout.fields {
            guard rest.count >= size else { return fields + [RawField("cut short before \(name)", readable(rest))] }
            let value = rest.prefix(size).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            rest = rest.dropFirst(size)
            if let text = shown(value, as: meaning) { fields.append(RawField(name, text)) }
        }
        switch layout.tail {
        case .nothing: if !rest.isEmpty { fields.append(RawField("too long by", readable(rest))) }
        case .text: if !rest.isEmpty { fields.append(RawField("text", readable(rest, most: 512))) }
        case .message: fields.append(RawField("bytes", readable(rest, of: claimedLength.map(Int.init))))
        case .options: fields += options(in: rest)
        }
        return fields
    }

    private func names(of flags: UInt8) -> String {
        var names: [String] = []
        if flags & RawFrame.more != 0 { names.append("MORE") }
        if flags & RawFrame.ignorable != 0 { names.append("IGNORABLE") }
        let others = flags & ~(RawFrame.more | RawFrame.ignorable)
        if others != 0 { names.append("0x" + String(others, radix: 16)) }
        return names.joined(separator: " ")
    }

    private func shown(_ value: UInt64, as meaning: Meaning) -> String? {
        switch meaning {
        case .number: "\(value)"
        case .milliseconds: "\(value) ms"
        case .code: "\(RawCode(number: UInt16(value)))"
        case .kinds: value == 0 ? nil : value == 1 ? "SHORT" : "0x" + String(value, radix: 16)
        case .zero: value == 0 ? nil : "\(value)"
        }
    }

    /// Options as section 4.12 draws them.
    private func options(in bytes: ArraySlice<UInt8>) -> [RawField] {
        var fields: [RawField] = []
        var rest = bytes
        while !rest.isEmpty {
            guard rest.count >= 4 else { return fields + [RawField("left over", readable(rest))] }
            let tag = UInt16(bigEndian: rest)
            let length = Int(UInt16(bigEndian: rest.dropFirst(2)))
            rest = rest.dropFirst(4)
            let name = RawFrame.optionNames[tag] ?? "option 0x" + String(tag, radix: 16)
            guard rest.count >= length else {
                return fields + [RawField(name, "\(readable(rest)), and its length says \(length)")]
            }
            fields.append(RawField(name, shown(rest.prefix(length), ofOption: tag)))
            rest = rest.dropFirst(length)
        }
        return fields
    }
}

/// Bytes for a person: in quotes where they are text that can be printed, else in hex. Of more than `most` bytes it is the
/// beginning and how many there are.
package func readable(_ bytes: ArraySlice<UInt8>, of count: Int? = nil, most: Int = 80) -> String {
    let count = max(count ?? 0, bytes.count)
    guard !bytes.isEmpty else { return count == 0 ? "empty" : "\(count) bytes" }
    // A character may be cut in two, which has up to 4 bytes.
    for cut in 0..<(count > most ? 4 : 1) {
        let begun = bytes.prefix(most).dropLast(cut)
        guard let text = String(validating: begun, as: UTF8.self), text.unicodeScalars.allSatisfy(isPrinted) else {
            continue
        }
        return "'\(text)'" + (begun.count < count ? " ... (\(count) bytes)" : "")
    }
    return count <= 32 ? hex(bytes) : "\(hex(bytes.prefix(16))) ... (\(count) bytes)"
}

private func isPrinted(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .unassigned, .privateUse, .surrogate, .lineSeparator, .paragraphSeparator: false
    default: true
    }
}
