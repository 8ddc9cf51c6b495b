import Framing

/// How requests and answers are told apart on a program's standard streams.
public enum ProgramFraming: String, CaseIterable, Sendable {
    /// A request is a line, and a line is its answer; one program for each connection.
    case line
    /// A length (u32, big-endian) and as many bytes, both ways; one program for each connection.
    case length
    /// A line begins with a word that says what it is, and with the number of its request: answers come in any order;
    /// one program for each connection.
    case tagged
    /// As `tagged`, with a length (u32, big-endian) in front in place of the newline behind: for any bytes.
    case taggedLength = "tagged-length"
    /// Standard input is the request, standard output the answer; one program for each request.
    case raw

    /// Whether each request has a program of its own.
    var isPerRequest: Bool { self == .raw }
    /// Whether each message says what it is.
    var isTagged: Bool { self == .tagged || self == .taggedLength }
    /// Whether a newline ends a message.
    var isLines: Bool { self == .line || self == .tagged }

    /// What a message is on standard output.
    var unit: String { isLines ? "line" : "message" }

    /// Returns `text` behind `head` as it goes to standard input; nil where this framing cannot carry it.
    func frame(_ text: ArraySlice<UInt8>, behind head: String = "") -> [UInt8]? {
        if isLines, text.contains(0x0A) { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 + head.utf8.count + text.count)
        if self == .length || self == .taggedLength {
            let length = UInt32(head.utf8.count + text.count)
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> UInt32(shift))) }
        }
        bytes.append(contentsOf: head.utf8)
        bytes.append(contentsOf: text)
        if isLines { bytes.append(0x0A) }
        return bytes
    }

    // MARK: What clients are told

    /// Why a request that has a newline cannot be carried.
    var newlineFailure: Failure {
        Failure(
            .handlerFailed,
            "a line carries no newline: this request needs a server with --exec-framing "
                + (self == .tagged ? "tagged-length" : "length"))
    }

    /// What may keep a program that waits for more from answering.
    var flushHint: String {
        isLines ? "does it flush after each line? (stdbuf -oL)" : "does it flush after each answer?"
    }

    /// Why a request without an answer has failed.
    func lateText(_ timeout: Duration, seemsToWait: Bool) -> String {
        "no answer within \(timeout / .seconds(1)) seconds"
            + (seemsToWait ? ", and the program waits for more input: \(flushHint)" : "")
    }
}

extension Failure {
    /// The failure of a request whose response is longer than the client accepts.
    static func tooLarge(_ most: UInt32) -> Failure {
        Failure(.messageTooLarge, "the response has more than the \(most) bytes that are accepted")
    }
}

/// The decoder of a program's standard output, for all framings but `raw`. It keeps no more of a message than the client
/// accepts, and the words in front of it.
struct ProgramOutput {
    enum Item: Equatable {
        case message([UInt8])
        /// A message is longer than the client accepts. What is left of it is thrown away as it comes; its `beginning`
        /// is that of a tagged one, which says what it is.
        case tooLong(beginning: [UInt8])
        /// A length that cannot be: what follows cannot be told apart any more.
        case broken(length: UInt32)
    }

    /// The least length that is certainly none: it is text, or bytes that are out of step. Text has a first byte above
    /// 8.
    private static let leastAbsurd: UInt32 = 8 << 24

    /// How long the words in front of a tagged message may be.
    static let longestHead = 128

    private let framing: ProgramFraming
    /// The longest message that is kept.
    private let most: Int
    /// How much is told of one that is longer.
    private let beginning: Int
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
        beginning = framing.isTagged ? ProgramOutput.longestHead : 0
        self.most = Int(most) + beginning
    }

    /// Whether a message has begun and not ended.
    var isInside: Bool { isDiscarding || left > 0 || head < bytes.count }

    mutating func append(_ more: ArraySlice<UInt8>) {
        guard !isDiscarding || framing.isLines else { return }
        if head > 0 {
            bytes.removeFirst(head)
            searched = max(0, searched - head)
            head = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Returns the next message in what was appended.
    mutating func next() -> Item? { framing.isLines ? nextLine() : nextLength() }

    /// Takes out the line that has begun and not ended; nil where there is none, or the framing has no lines.
    mutating func takeUnfinishedLine() -> [UInt8]? {
        guard framing.isLines, !isDiscarding, head < bytes.count else { return nil }
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
                return .tooLong(beginning: Array(bytes[head..<(head + beginning)]))
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
            guard bytes.count - start >= beginning else { return nil }
            head = start
            left = Int(length)
            return .tooLong(beginning: Array(bytes[start..<(start + beginning)]))
        }
        guard bytes.count - start >= Int(length) else { return nil }
        head = start + Int(length)
        return .message(Array(bytes[start..<head]))
    }
}
