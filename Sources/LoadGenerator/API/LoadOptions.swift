/// What load to make.
public struct LoadOptions: Sendable {
    /// Whether each request has a connection of its own (Protocol.md, section 7.3).
    public var isShort = false
    /// Connections at once.
    public var connections = 16
    /// How long is measured.
    public var duration = Duration.seconds(10)
    /// Not measured, before that.
    public var warmUp = Duration.seconds(1)
    /// Bytes of a request.
    public var size = 32
    /// Requests without an answer on each connection; with 0 they only beat.
    public var inFlight = 1
    /// Requests that become due in a second, whatever the server does; nil for the next one as soon as there is room.
    public var rate: Double?
    /// After so many the measuring ends.
    public var requests: UInt64?
    /// Connections opened in a second while it starts; nil for as fast as they come about.
    public var connectRate: Double?
    /// Percent of the connections that are cut, and come back, in each second.
    public var churn = 0.0
    /// The connections beat until the warm-up is over; then all of them say nothing more, and wait to be dropped.
    public var isSilent = false
    /// With that: each says a PING as its last word, all of them at once, so that all are due at once.
    public var saysLastPing = false
    /// A connection that the server ended comes back.
    public var comesBack = true
    /// Loopback addresses that the connections come from, in turn.
    public var sources: Int?
    /// What `sources` is where it is nil.
    package static let defaultSources = 32
    /// A request without an answer for so long has failed, and its connection with it; the same for a handshake.
    public var timeout = Duration.seconds(10)
    /// The answers have to be the requests' own bytes.
    public var verifies = false
    /// What HELLO asks for; zero: the server chooses.
    public var pingEvery = Duration.zero
    /// What HELLO asks for; zero: the server chooses.
    public var deadAfter = Duration.zero
    /// Shown to the server.
    public var name: String?
    /// Shown to the server.
    public var token: [UInt8]?
    /// What the random numbers begin with.
    public var seed: UInt64 = 1

    /// The defaults.
    public init() {}
}
