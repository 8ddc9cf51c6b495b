/// Everything that the server measures for Prometheus: the raw value is the name. The names of this project have a prefix;
/// those of `process_` are the ones that Prometheus's client libraries use.
///
/// A new metric does not compile before it has a kind and a help, which /metrics and the manual show.
package enum Metric: String, CaseIterable, Sendable {
    case info = "build_info"
    case uptime = "uptime_seconds"
    case connectionsLive = "connections_live"
    case connectionsAccepted = "connections_accepted_total"
    case listenerAccepted = "listener_accepted_total"
    case connectionsRefused = "connections_refused_total"
    case connectionsClosed = "connections_closed_total"
    case poolWaiting = "pool_waiting"
    case poolServed = "pool_served_total"
    case processes = "connection_processes"
    case forksFailed = "forks_failed_total"
    case acceptsFailed = "accepts_failed_total"
    case requests = "requests_total"
    case requestsInFlight = "requests_in_flight"
    case serverRequests = "server_requests_total"
    case requestsOverBudget = "requests_over_budget_total"
    case handlerTime = "handler_duration_seconds"
    case queuedBytes = "queued_bytes"
    case memoryBudget = "memory_budget_bytes"
    case messagesReceived = "messages_received_total"
    case messagesSent = "messages_sent_total"
    case messagesUnhandled = "messages_unhandled_total"
    case publicationsLost = "publications_lost_total"
    case topics
    case topicSubscriptions = "topic_subscriptions"
    case reachable = "connections_reachable"
    case topicMessages = "topic_messages_total"
    case topicDeliveries = "topic_deliveries_total"
    case routerQueuedBytes = "router_queued_bytes"
    case routerDeaths = "router_deaths_total"
    case receivedBytes = "received_bytes_total"
    case sentBytes = "sent_bytes_total"
    case roundTrip = "round_trip_seconds"
    case silentDropLateness = "silent_drop_lateness_seconds"
    case logLinesLost = "log_lines_lost_total"
    case processCPU = "process_cpu_seconds_total"
    case processStart = "process_start_time_seconds"
    case processResident = "process_resident_memory_bytes"
    case processVirtual = "process_virtual_memory_bytes"
    case processDescriptors = "process_open_fds"
    case processMostDescriptors = "process_max_fds"

    /// The name as Prometheus has it.
    package var name: String { rawValue.hasPrefix("process_") ? rawValue : "lifeline_" + rawValue }

    /// How Prometheus treats it.
    package var kind: MetricKind {
        switch self {
        case .topics, .topicSubscriptions, .reachable, .routerQueuedBytes: .gauge
        case .publicationsLost, .topicMessages, .topicDeliveries, .routerDeaths: .counter
        case .info, .uptime, .connectionsLive, .poolWaiting, .processes, .requestsInFlight, .queuedBytes, .memoryBudget,
            .processStart, .processResident,
            .processVirtual, .processDescriptors, .processMostDescriptors:
            .gauge
        case .connectionsAccepted, .listenerAccepted, .connectionsRefused, .connectionsClosed, .poolServed,
            .forksFailed, .acceptsFailed, .requests, .serverRequests, .requestsOverBudget, .messagesReceived,
            .messagesSent,
            .messagesUnhandled,
            .receivedBytes, .sentBytes, .logLinesLost,
            .processCPU:
            .counter
        case .roundTrip, .silentDropLateness, .handlerTime: .histogram
        }
    }

    /// The labels that tell its samples apart.
    package var labels: [String] {
        switch self {
        case .info: ["version"]
        case .listenerAccepted: ["address"]
        case .connectionsRefused: ["reason", "limit"]
        case .connectionsClosed: ["reason", "by"]
        case .forksFailed, .acceptsFailed: ["errno"]
        case .requests, .serverRequests: ["outcome"]
        case .processes: ["state"]
        case .publicationsLost: ["at"]
        case .topicMessages: ["kind"]
        default: []
        }
    }

    /// A sentence, on the line HELP and in the manual.
    package var help: String {
        switch self {
        case .info: "The version of the server; the value is 1."
        case .uptime: "How long the server has run."
        case .connectionsLive: "Connections that have a process now."
        case .connectionsAccepted: "Connections that were given a process."
        case .listenerAccepted: "Connections that came to each address, and were given a process or refused."
        case .connectionsRefused:
            "Connections that were refused, by code and limit: without a process, or behind a proxy before they were served."
        case .connectionsClosed:
            "Connections of which the process has ended, by the code of CLOSE (LOST: without CLOSE, PROBE: the client "
                + "left without a byte, as health checks do, DIED: the process ended before its connection), and the "
                + "side that said it."
        case .poolWaiting: "Processes that wait for a connection."
        case .poolServed: "Connections that were given to a process that waited."
        case .processes:
            "Processes with several connections each (--connections-per-process): open ones get further connections, leaving "
                + "ones end with their last."
        case .forksFailed: "Processes that could not be made, by errno."
        case .acceptsFailed: "Connections that could not be accepted, by errno."
        case .requests:
            "Requests by outcome: answered, failed (FAILURE), cancelled by the client, refused before any handler had them, "
                + "or unanswered when their connection ended."
        case .requestsInFlight: "Requests that have no ending yet."
        case .serverRequests:
            "Requests of handlers to their clients by outcome: answered, failed (FAILURE), refused, not_sent, or unknown: the "
                + "client may have processed it."
        case .requestsOverBudget: "Those of the refused requests that --memory-budget had no room for."
        case .handlerTime:
            "How long handlers and programs took, from the hand-over of a request to its ending, for whatever reason it "
                + "ended."
        case .queuedBytes:
            "What all connections hold: requests and messages that wait or are worked on, and what waits for slow "
                + "clients."
        case .memoryBudget: "What all connections may hold (--memory-budget)."
        case .messagesReceived: "One-way messages that came from clients."
        case .messagesSent: "One-way messages that handlers sent to clients."
        case .messagesUnhandled:
            "One-way messages that came, and that no handler was done with when their connection ended."
        case .publicationsLost:
            "Messages of other connections and back-ends that a connection did not get: at the router, whose queue for the "
                + "process was full, or at the connection, whose client or handler had no room."
        case .topics: "Topics that have subscribers (--topics)."
        case .topicSubscriptions: "Subscriptions of connections to topics."
        case .reachable: "Connections that others can reach."
        case .topicMessages: "Messages and requests that came to the router: published, sent, or requested."
        case .topicDeliveries: "Records with messages that the router has put into the queues of processes."
        case .routerQueuedBytes: "What waits in the router for processes."
        case .routerDeaths: "Routers that have died; each was followed by another."
        case .receivedBytes: "Bytes that came from clients."
        case .sentBytes: "Bytes that were sent to clients."
        case .roundTrip: "Round trips that clients proved with PONG."
        case .logLinesLost: "Lines that the log did not take."
        case .processCPU: "Processor time of the parent, in user space and in the kernel."
        case .processStart: "When the parent began to serve, in seconds since 1970."
        case .processResident: "Memory of the parent that is in RAM."
        case .processVirtual: "Address space of the parent."
        case .processDescriptors: "Descriptors that the parent has open."
        case .processMostDescriptors: "Descriptors that the parent may have open."
        case .silentDropLateness: "How long after dead_after a silent client was dropped."
        }
    }
}

/// How Prometheus treats a metric.
package enum MetricKind: String, Sendable { case counter, gauge, histogram }
