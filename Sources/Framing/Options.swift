/// The options behind HELLO and WELCOME: `tag u16, length u16, value` each (Protocol.md, section 4.12).
public struct Options: Equatable, Sendable {
    /// The client's proof of identity; at most 256 bytes, never logged.
    public var token: [UInt8]?
    /// A name for the log and the status; at most 64 bytes of UTF-8.
    public var name: String?
    /// The program and its version.
    public var agent: String?

    /// Options; those that are nil are not sent.
    public init(token: [UInt8]? = nil, name: String? = nil, agent: String? = nil) {
        self.token = token
        self.name = name
        self.agent = agent
    }

    private enum Tag {
        static let token: UInt16 = 1
        static let name: UInt16 = 2
        static let agent: UInt16 = 3
        /// With this bit a receiver that does not know the tag must refuse.
        static let mustUnderstand: UInt16 = 0x8000
    }

    /// Reads the options that fill the rest of `payload`. TOKEN and NAME are the client's; in a server's options they
    /// mean nothing and are skipped.
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
            case (Tag.token, .server), (Tag.name, .server):
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
