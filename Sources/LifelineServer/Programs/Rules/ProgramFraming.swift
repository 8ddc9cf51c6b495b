import Framing

/// How requests and answers are told apart on a program's standard streams.
public enum ProgramFraming: String, CaseIterable, Sendable {
    /// A request is a line, and a line is its answer; one program for each connection.
    case line
    /// A length (u32, big-endian) and as many bytes, both ways; one program for each connection.
    case length
    /// Standard input is the request, standard output the answer; one program for each request.
    case raw

    /// Whether each request has a program of its own.
    var isPerRequest: Bool { self == .raw }

    /// What a message is on standard output.
    var unit: String { self == .line ? "line" : "message" }

    /// Returns `message` as it goes to standard input; nil where this framing cannot carry it.
    func frame(_ message: ArraySlice<UInt8>) -> [UInt8]? {
        switch self {
        case .line: return message.contains(0x0A) ? nil : Array(message) + [0x0A]
        case .length:
            var bytes: [UInt8] = []
            bytes.reserveCapacity(4 + message.count)
            let length = UInt32(message.count)
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> UInt32(shift))) }
            return bytes + message
        case .raw: return Array(message)
        }
    }
}

/// The decoder of a program's standard output, for `line` and `length`. It keeps no more of a message than the client
/// accepts.
struct ProgramOutput {
    enum Item: Equatable {
        case message([UInt8])
        /// A message is longer than the client accepts. What is left of it is thrown away as it comes.
        case tooLong
        /// A length that cannot be: what follows cannot be told apart any more.
        case broken(length: UInt32)
    }

    /// The least length that is certainly none: it is text, or bytes that are out of step. Text has a first byte above
    /// 8.
    private static let leastAbsurd: UInt32 = 8 << 24

    private let framing: ProgramFraming
    /// The longest message that the client accepts.
    private let most: Int
    private var bytes: [UInt8] = []
    /// How much of `bytes` has been read.
    private var head = 0
    /// How much of `bytes`, from its start, is known to hold no newline beyond `head`.
    private var searched = 0
    private var isDiscarding = false
    /// How many bytes of a message of known length are yet to be thrown away.
    private var left = 0

    init(_ framing: ProgramFraming, most: UInt32) {
        self.framing = framing
        self.most = Int(most)
    }

    /// Whether a message has begun and not ended.
    var isInside: Bool { isDiscarding || left > 0 || head < bytes.count }

    mutating func append(_ more: ArraySlice<UInt8>) {
        guard !isDiscarding || framing == .line else { return }
        if head > 0 {
            bytes.removeFirst(head)
            searched = max(0, searched - head)
            head = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Returns the next message in what was appended.
    mutating func next() -> Item? { framing == .line ? nextLine() : nextLength() }

    /// Takes out the line that has begun and not ended; nil where there is none, or the framing has no lines.
    mutating func takeUnfinishedLine() -> [UInt8]? {
        guard framing == .line, !isDiscarding, head < bytes.count else { return nil }
        defer {
            bytes = []
            (head, searched) = (0, 0)
        }
        return Array(bytes[head...])
    }

    /// Whether a message has begun that `next` returns when it is whole.
    var hasBegun: Bool { !isDiscarding && left == 0 && head < bytes.count }

    private mutating func nextLine() -> Item? {
        while true {
            let end = bytes[max(head, searched)...].firstIndex(of: 0x0A)
            searched = end ?? bytes.count
            let length = searched - head
            if isDiscarding {
                head = end.map { $0 + 1 } ?? bytes.count
                guard end != nil else { return nil }
                isDiscarding = false
                searched = head
            } else if length > most {
                isDiscarding = true
                return .tooLong
            } else {
                guard let end else { return nil }
                defer { head = end + 1 }
                return .message(Array(bytes[head..<end]))
            }
        }
    }

    private mutating func nextLength() -> Item? {
        let dropped = min(left, bytes.count - head)
        head += dropped
        left -= dropped
        guard !isDiscarding, left == 0, bytes.count - head >= 4 else { return nil }
        let length = bytes[head..<(head + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard length < ProgramOutput.leastAbsurd else {
            isDiscarding = true
            return .broken(length: length)
        }
        let start = head + 4
        guard Int(length) <= most else {
            head = start
            left = Int(length)
            return .tooLong
        }
        guard bytes.count - start >= Int(length) else { return nil }
        head = start + Int(length)
        return .message(Array(bytes[start..<head]))
    }
}
