/// What a client says of the requests that it answers (Protocol.md, section 3.7).
public struct AnswerTerms: Equatable, Sendable {
    /// The most requests of the server that may be unanswered at once; at least 1.
    public var maxInFlight: UInt32
    /// The most bytes of them.
    public var maxQueued: UInt32

    /// Terms; the bytes of one request are bounded by the client's max_message as well.
    public init(maxInFlight: UInt32, maxQueued: UInt32) {
        self.maxInFlight = maxInFlight
        self.maxQueued = maxQueued
    }
}

/// The options behind HELLO and WELCOME: `tag u16, length u16, value` each (Protocol.md, section 4.12).
public struct Options: Equatable, Sendable {
    /// The client's proof of identity; at most 256 bytes, never logged.
    public var token: [UInt8]?
    /// A name for the log and the status; at most 64 bytes of UTF-8.
    public var name: String?
    /// The program and its version.
    public var agent: String?
    /// The first limit of the credit for messages to this side (section 3.8).
    public var credit: UInt64?
    /// That the client answers requests of the server, and how many (section 3.7).
    public var answers: AnswerTerms?

    /// Options; those that are nil are not sent.
    public init(
        token: [UInt8]? = nil, name: String? = nil, agent: String? = nil, credit: UInt64? = nil,
        answers: AnswerTerms? = nil
    ) {
        self.token = token
        self.name = name
        self.agent = agent
        self.credit = credit
        self.answers = answers
    }

    private enum Tag {
        static let token: UInt16 = 1
        static let name: UInt16 = 2
        static let agent: UInt16 = 3
        static let credit: UInt16 = 4
        static let answers: UInt16 = 5
        /// With this bit a receiver that does not know the tag must refuse.
        static let mustUnderstand: UInt16 = 0x8000
    }

    /// Reads the options that fill the rest of `payload`. TOKEN, NAME and ANSWERS are the client's; in a server's
    /// options they mean nothing and are skipped.
    init(reading payload: Span<UInt8>, from start: Int, of sender: Side) throws(Violation) {
        var offset = start
        while offset < payload.count {
            guard payload.count - offset >= 4 else { throw .breach("an option is cut off") }
            let tag: UInt16 = payload.bigEndian(at: offset)
            let length = Int(payload.bigEndian(at: offset + 2, as: UInt16.self))
            offset += 4
            guard payload.count - offset >= length else {
                throw .breach("option \(tag) runs over the end of its frame")
            }
            let value = payload.extracting(offset..<(offset + length))
            offset += length
            switch (tag, sender) {
            case (Tag.token, .client):
                guard token == nil else { throw .breach("TOKEN stands twice") }
                guard length <= Limits.tokenLength else { throw .breach("TOKEN is over \(Limits.tokenLength) bytes") }
                token = value.indices.map { value[$0] }
            case (Tag.name, .client):
                guard name == nil else { throw .breach("NAME stands twice") }
                guard length <= Limits.nameLength else { throw .breach("NAME is over \(Limits.nameLength) bytes") }
                name = try value.text(from: 0, of: "NAME")
            case (Tag.agent, _):
                guard agent == nil else { throw .breach("AGENT stands twice") }
                agent = try value.text(from: 0, of: "AGENT")
            case (Tag.credit, _):
                guard credit == nil else { throw .breach("CREDIT stands twice") }
                guard length == 8 else { throw .breach("CREDIT has \(length) bytes, and not 8") }
                credit = value.bigEndian(at: 0)
            case (Tag.answers, .client):
                guard answers == nil else { throw .breach("ANSWERS stands twice") }
                guard length == 8 else { throw .breach("ANSWERS has \(length) bytes, and not 8") }
                let terms = AnswerTerms(maxInFlight: value.bigEndian(at: 0), maxQueued: value.bigEndian(at: 4))
                guard terms.maxInFlight >= 1 else { throw .breach("ANSWERS has the max_in_flight 0") }
                answers = terms
            case (Tag.token, .server), (Tag.name, .server), (Tag.answers, .server):
                break
            default:
                guard tag & Tag.mustUnderstand == 0 else {
                    throw Violation(.unsupportedOption, "option \(tag) must be understood and is not known here")
                }
            }
        }
    }

    /// Calls `body` with each option that is set.
    private func forEach(_ body: (UInt16, [UInt8]) -> Void) {
        if let token { body(Tag.token, token) }
        if let name { body(Tag.name, Array(name.utf8)) }
        if let agent { body(Tag.agent, Array(agent.utf8)) }
        if let credit { body(Tag.credit, Options.bytes(credit.high, credit.low)) }
        if let answers { body(Tag.answers, Options.bytes(answers.maxInFlight, answers.maxQueued)) }
    }

    private static func bytes(_ first: UInt32, _ second: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(words: [first, second])
        return bytes
    }

    var length: Int {
        var sum = 0
        forEach { sum += 4 + $1.count }
        return sum
    }

    func append(to buffer: inout [UInt8]) {
        forEach { tag, value in
            buffer.append(words: [UInt32(tag) << 16 | UInt32(value.count)])
            buffer.append(contentsOf: value)
        }
    }
}
