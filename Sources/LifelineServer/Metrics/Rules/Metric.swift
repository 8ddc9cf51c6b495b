/// Everything that the server measures for Prometheus: the raw value is the name, without the prefix of this project.
///
/// A new metric does not compile before it has a kind and a help, which /metrics and the manual show.
package enum Metric: String, CaseIterable, Sendable {
    case info
    case uptime = "uptime_seconds"
    case connectionsLive = "connections_live"
    case connectionsAccepted = "connections_accepted_total"
    case connectionsRefused = "connections_refused_total"
    case connectionsClosed = "connections_closed_total"
    case poolWaiting = "pool_waiting"
    case poolServed = "pool_served_total"
    case forksFailed = "forks_failed_total"
    case acceptsFailed = "accepts_failed_total"
    case requests = "requests_total"
    case requestsInFlight = "requests_in_flight"
    case receivedBytes = "received_bytes_total"
    case sentBytes = "sent_bytes_total"
    case roundTrip = "round_trip_seconds"
    case silentDropLateness = "silent_drop_lateness_seconds"

    /// The name as Prometheus has it.
    package var name: String { "lifeline_" + rawValue }

    /// How Prometheus treats it.
    package var kind: MetricKind {
        switch self {
        case .info, .uptime, .connectionsLive, .poolWaiting, .requestsInFlight: .gauge
        case .connectionsAccepted, .connectionsRefused, .connectionsClosed, .poolServed, .forksFailed, .acceptsFailed,
            .requests, .receivedBytes, .sentBytes:
            .counter
        case .roundTrip, .silentDropLateness: .histogram
        }
    }

    /// The labels that tell its samples apart.
    package var labels: [String] {
        switch self {
        case .info: ["version"]
        case .connectionsRefused: ["reason", "limit"]
        case .connectionsClosed: ["reason", "by"]
        case .forksFailed, .acceptsFailed: ["errno"]
        default: []
        }
    }

    /// A sentence, on the line HELP and in the manual.
    package var help: String {
        switch self {
        case .info: "The server that says this."
        case .uptime: "How long the server has run."
        case .connectionsLive: "Connections that have a process now."
        case .connectionsAccepted: "Connections that were given a process."
        case .connectionsRefused: "Connections that were refused without a process, by code and limit."
        case .connectionsClosed:
            "Connections of which the process has ended, by the code of CLOSE (LOST: without CLOSE, PROBE: the client "
                + "left without a byte, as health checks do, DIED: the process ended before its connection), and the "
                + "side that said it."
        case .poolWaiting: "Processes that wait for a connection."
        case .poolServed: "Connections that were given to a process that waited."
        case .forksFailed: "Processes that could not be made, by errno."
        case .acceptsFailed: "Connections that could not be accepted, by errno."
        case .requests: "Requests that got their ending."
        case .requestsInFlight: "Requests that have no ending yet."
        case .receivedBytes: "Bytes that came from clients."
        case .sentBytes: "Bytes that were sent to clients."
        case .roundTrip: "Round trips that clients proved with PONG."
        case .silentDropLateness: "How long after dead_after a silent client was dropped."
        }
    }
}

/// How Prometheus treats a metric.
package enum MetricKind: String, Sendable { case counter, gauge, histogram }
