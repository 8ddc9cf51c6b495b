import SystemTLS

/// The load that a `Generator` makes. `client bench` sets each option with a flag (lifeline-client-bench(1)).
public struct LoadOptions: Sendable {
    /// Whether each request has a connection of its own (Protocol.md, section 7.3).
    public var isShort = false
    /// The number of simultaneous connections.
    public var connections = 16
    /// The number of processes that make the load, each with its share of the connections.
    public var processes = 1
    /// The time that is measured, after `warmUp`.
    public var duration = Duration.seconds(10)
    /// The time under load before the measurement.
    public var warmUp = Duration.seconds(1)
    /// The length of each request in bytes.
    public var size = 32
    /// Unanswered requests on each connection, at most. With 0 the connections exchange heartbeats alone.
    public var inFlight = 1
    /// Requests a second, of all connections together, in an open loop. Nil makes a closed loop: a connection sends the
    /// next request when it has room.
    public var rate: Double?
    /// The number of requests after which the measurement ends early.
    public var requests: UInt64?
    /// New connections a second during the start. Nil opens them as fast as the server accepts.
    public var connectRate: Double?
    /// The percentage of the connections that are cut each second, and reconnect at once.
    public var churn = 0.0
    /// Whether all connections fall silent after the warm-up, to measure when the server drops them.
    public var isSilent = false
    /// Whether each connection sends a PING as its last frame before the silence, so that all are due at once.
    public var saysLastPing = false
    /// Whether a connection that the server ended is opened again.
    public var reconnects = true
    /// The number of loopback addresses to connect from, in turn. Nil takes 32.
    public var sources: Int?
    /// The value of `sources` where it is nil.
    package static let defaultSources = 32
    /// The time after which an unanswered request fails, and its connection with it. The handshake has the same limit.
    public var timeout = Duration.seconds(10)
    /// Whether each answer is compared with its request.
    public var verifies = false
    /// The ping_every that HELLO asks for. Zero lets the server choose.
    public var pingEvery = Duration.zero
    /// The dead_after that HELLO asks for. Zero lets the server choose.
    public var deadAfter = Duration.zero
    /// The name in HELLO.
    public var name: String?
    /// The token in HELLO.
    public var token: [UInt8]?
    /// What connections speak TLS with, and the name of the server; nil for plain TCP.
    package var tls: (context: TLSContext, name: String)?
    /// The seed of the random numbers.
    public var seed: UInt64 = 1

    /// Creates the default load: 16 long connections, one request in flight on each.
    public init() {}
}
