/// The client's first frame (Protocol.md, section 4.1).
///
///     | major u8 | minor u8 | flags u16 | ping_every u32 | dead_after u32 | max_frame u32 | max_message u32 | options
public struct Hello: Equatable, Sendable {
    /// The minor version that the client speaks (section 13).
    public var minor: UInt8
    /// Milliseconds between proofs of the round trip that the client asks for; 0 lets the server choose.
    public var pingEvery: UInt32
    /// Milliseconds of silence after which either side drops the other; 0 lets the server choose.
    public var deadAfter: UInt32
    /// Whether this connection carries exactly one request (section 7.3).
    public var short: Bool
    /// The longest payload that the client accepts in one frame, at least 256.
    public var maxFrame: UInt32
    /// The longest message that the client accepts.
    public var maxMessage: UInt32
    /// TOKEN, NAME and AGENT.
    public var options: Options

    static let leastLength: UInt32 = 20
    private static let shortFlag: UInt16 = 1

    /// A HELLO with the defaults of section 10 where nothing else is said.
    public init(
        short: Bool = false, pingEvery: UInt32 = 0, deadAfter: UInt32 = 0,
        maxFrame: UInt32 = Limits.defaultMaxFrame, maxMessage: UInt32 = Limits.defaultMaxMessage,
        options: Options = Options(), minor: UInt8 = Limits.minorVersion
    ) {
        self.minor = minor
        self.short = short
        self.pingEvery = pingEvery
        self.deadAfter = deadAfter
        self.maxFrame = maxFrame
        self.maxMessage = maxMessage
        self.options = options
    }

    init(reading payload: Span<UInt8>) throws(Violation) {
        try Version.check(major: payload[0])
        minor = payload[1]
        let flags: UInt16 = payload.bigEndian(at: 2)
        guard flags & ~Hello.shortFlag == 0 else { throw .breach("HELLO has an unknown flag") }
        short = flags & Hello.shortFlag != 0
        pingEvery = payload.bigEndian(at: 4)
        deadAfter = payload.bigEndian(at: 8)
        maxFrame = payload.bigEndian(at: 12)
        maxMessage = payload.bigEndian(at: 16)
        guard maxFrame >= Limits.leastMaxFrame else {
            throw .breach("HELLO's max_frame is \(maxFrame); at least \(Limits.leastMaxFrame) is required")
        }
        options = try Options(reading: payload, from: Int(Hello.leastLength), of: .client)
    }

    func append(to buffer: inout [UInt8]) {
        buffer.append(header: .hello, length: Int(Hello.leastLength) + options.length)
        buffer.append(words: [
            Version.word(minor) | UInt32(short ? Hello.shortFlag : 0), pingEvery, deadAfter, maxFrame, maxMessage,
        ])
        options.append(to: &buffer)
    }
}

/// The server's first frame: the terms in force (Protocol.md, section 4.2).
///
///     | major u8 | minor u8 | flags u16 | ping_every u32 | dead_after u32 | max_frame u32 | max_message u32
///     | max_in_flight u32 | max_queued u32 | connection u64 | options
public struct Welcome: Equatable, Sendable {
    /// The minor version in force (section 13).
    public var minor: UInt8
    /// Milliseconds between proofs of the round trip.
    public var pingEvery: UInt32
    /// Milliseconds of silence after which either side drops the other.
    public var deadAfter: UInt32
    /// The longest payload that the server accepts in one frame.
    public var maxFrame: UInt32
    /// The longest message that the server accepts.
    public var maxMessage: UInt32
    /// The most requests that may be unanswered at once.
    public var maxInFlight: UInt32
    /// The most bytes of unanswered requests.
    public var maxQueued: UInt32
    /// The server's number of this connection, as in its log.
    public var connection: UInt64
    /// AGENT alone means something here.
    public var options: Options

    static let leastLength: UInt32 = 36

    /// A WELCOME with these terms.
    public init(
        pingEvery: UInt32, deadAfter: UInt32, maxFrame: UInt32, maxMessage: UInt32, maxInFlight: UInt32,
        maxQueued: UInt32, connection: UInt64, options: Options = Options(), minor: UInt8 = Limits.minorVersion
    ) {
        self.minor = minor
        self.pingEvery = pingEvery
        self.deadAfter = deadAfter
        self.maxFrame = maxFrame
        self.maxMessage = maxMessage
        self.maxInFlight = maxInFlight
        self.maxQueued = maxQueued
        self.connection = connection
        self.options = options
    }

    package init(reading payload: Span<UInt8>) throws(Violation) {
        try Version.check(major: payload[0])
        minor = payload[1]
        guard minor <= Limits.minorVersion else { throw .breach("WELCOME's minor version is above HELLO's") }
        guard payload.bigEndian(at: 2, as: UInt16.self) == 0 else { throw .breach("WELCOME has an unknown flag") }
        pingEvery = payload.bigEndian(at: 4)
        deadAfter = payload.bigEndian(at: 8)
        maxFrame = payload.bigEndian(at: 12)
        maxMessage = payload.bigEndian(at: 16)
        maxInFlight = payload.bigEndian(at: 20)
        maxQueued = payload.bigEndian(at: 24)
        connection = payload.bigEndian(at: 28)
        guard deadAfter >= Limits.leastDeadAfter, pingEvery >= Limits.leastPingEvery, pingEvery <= deadAfter / 2 else {
            throw .breach("WELCOME's ping_every \(pingEvery) and dead_after \(deadAfter) are out of bounds")
        }
        guard maxFrame >= Limits.leastMaxFrame, maxInFlight >= 1 else {
            throw .breach("WELCOME's max_frame \(maxFrame) or max_in_flight \(maxInFlight) is out of bounds")
        }
        options = try Options(reading: payload, from: Int(Welcome.leastLength), of: .server)
    }

    func append(to buffer: inout [UInt8]) {
        buffer.append(header: .welcome, length: Int(Welcome.leastLength) + options.length)
        buffer.append(words: [
            Version.word(minor), pingEvery, deadAfter, maxFrame, maxMessage, maxInFlight, maxQueued, connection.high,
            connection.low,
        ])
        options.append(to: &buffer)
    }
}

/// The version that this implementation speaks.
enum Version {
    static let major: UInt8 = 1

    /// Both numbers, with room for flags.
    static func word(_ minor: UInt8) -> UInt32 { UInt32(major) << 24 | UInt32(minor) << 16 }

    static func check(major: UInt8) throws(Violation) {
        guard major == Version.major else {
            throw Violation(
                .unsupportedVersion, "version \(major) was offered; version \(Version.major) is spoken here")
        }
    }
}
