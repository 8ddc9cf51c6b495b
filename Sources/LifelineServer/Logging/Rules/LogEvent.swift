/// Everything that the server logs: the raw value is the name of the event, as the log and the manual have it.
///
/// A new event does not compile before it has a level, its fields and a sentence for the manual.
package enum LogEvent: String, CaseIterable, Sendable {
    // The server's life.
    case inherited
    case listening
    case noIPv6 = "no IPv6"
    case notAnnounced = "not announced"
    case draining
    case drained
    case quitting
    case killing
    case stopped
    case processorTimeOver = "processor time over"
    case machineResumed = "machine resumed"
    case reloaded
    case notReloaded = "not reloaded"
    case tokenFileRead = "token file read"
    case tokenFileNotRead = "token file not read"
    case tokenFileOpenToOthers = "token file open to others"
    // Connections and their processes.
    case opened
    case sentAway = "sent away"
    case closed
    case probed
    case refused
    case kicked
    case penaltiesLifted = "penalties lifted"
    case budgetExhausted = "memory budget exhausted"
    case budgetFree = "memory budget free"
    case childDied = "child died"
    case connectionLost = "connection lost"
    case childFailed = "child failed"
    case waitingChildDied = "waiting child died"
    // The router of topics.
    case routerStarted = "router started"
    case routerDied = "router died"
    // The threads of handlers in a process with several connections.
    case handlersWait = "handlers wait"
    case handlersLost = "handlers lost"
    // The router of topics.
    case tieClosed = "tie closed"
    case routerFailed = "router failed"
    // Programs as handlers.
    case program
    case programStarted = "program started"
    case programFailed = "program failed"
    case programEnded = "program ended"
    case programWaits = "program waits"
    case programCannotBeKilled = "program cannot be killed"
    case discarded
    // Topics.
    case notPublished = "not published"
    // What the system refuses.
    case acceptFailed = "accept failed"
    case forkFailed = "fork failed"
    case pollFailed = "poll failed"
    // The log itself.
    case logLevel = "log level"
    case logNotReopened = "log not reopened"
    case suppressed
    case linesLost = "lines lost"

    /// What stands in the manual, and what a line is checked against.
    package struct Specification: Sendable {
        /// The fields that a line may have, in the order in which they stand there.
        package let fields: [LogField]
        /// A sentence.
        package let meaning: String

        fileprivate init(_ fields: [LogField], _ meaning: String) {
            self.fields = fields
            self.meaning = meaning
        }
    }

    /// The level of its lines.
    package var level: LogLevel {
        switch self {
        case .notReloaded, .tokenFileNotRead, .childFailed, .programFailed, .programCannotBeKilled, .acceptFailed,
            .forkFailed, .pollFailed, .routerFailed, .logNotReopened:
            .error
        case .handlersWait, .handlersLost, .routerDied, .programWaits, .noIPv6, .notAnnounced, .killing,
            .processorTimeOver,
            .tokenFileOpenToOthers, .refused, .childDied, .connectionLost, .waitingChildDied, .discarded, .suppressed,
            .linesLost, .budgetExhausted, .tieClosed:
            .warning
        case .inherited, .listening, .draining, .drained, .quitting, .stopped, .machineResumed, .reloaded,
            .tokenFileRead, .closed, .sentAway, .kicked, .penaltiesLifted, .program, .logLevel, .budgetFree,
            .routerStarted:
            .info
        case .opened, .probed, .programStarted, .programEnded, .notPublished: .debug
        }
    }

    /// Its other level, where a line may say that all is not well.
    package var otherLevel: LogLevel? {
        switch self {
        case .inherited, .closed, .reloaded, .programEnded: .warning
        // It has the level of the lines that were suppressed.
        case .suppressed: .error
        default: nil
        }
    }

    /// All levels, that of most lines first.
    package var levels: [LogLevel] { [level] + (otherLevel.map { [$0] } ?? []) }

    /// What stands in the manual, and what a line is checked against.
    package var specification: Specification {
        switch self {
        case .inherited:
            Specification(
                [.of, .text],
                "What the server was started with that is out of the ordinary, and what it has done about it.")
        case .processorTimeOver:
            Specification(
                [.children],
                "The parent has used the processor time that it was given (RLIMIT_CPU), and ends as at SIGTERM.")
        case .listening:
            Specification(
                [.address, .pid, .user, .group, .control, .metrics, .publish],
                "The server accepts connections at this address.")
        case .noIPv6:
            Specification(
                [.address, .text], "The kernel has no IPv6: the server listens on all addresses of IPv4 alone.")
        case .notAnnounced: Specification([.text], "The descriptor of --ready-fd could not be written to.")
        case .draining:
            Specification([.children, .over], "A shutdown has begun; clients are sent away over this time.")
        case .drained: Specification([.children], "The time of --drain has passed; the children that are left close.")
        case .quitting: Specification([.children], "SIGQUIT came: every connection ends at once.")
        case .killing:
            Specification(
                [.children], "The time of --grace has passed, or a second signal came: what is left is killed.")
        case .stopped:
            Specification(
                [.connections] + LogField.refusals,
                "The server has ended; it served this many connections, and refused others for these reasons.")
        case .machineResumed:
            Specification(
                [.suspended, .children],
                "The machine was suspended for this time; each child sends its client a PING at once.")
        case .reloaded:
            Specification(
                [.tokens, .dropped, .kept, .text],
                "The configuration was read again. A warning names the flags that a restart alone changes; dropped are "
                    + "rules of admission that it does not have any more.")
        case .notReloaded:
            Specification([.text], "The configuration is wrong or half written; everything stays as it was.")
        case .tokenFileRead: Specification([.path, .tokens], "The token file had changed, and was read again.")
        case .tokenFileNotRead:
            Specification([.path, .text], "The token file has changed and cannot be used; the tokens stay.")
        case .tokenFileOpenToOthers:
            Specification([.path, .text], "Other users than its owner can read the token file.")
        case .opened: Specification(LogField.ofConnection, "A client has said HELLO.")
        case .closed:
            Specification(
                LogField.ofConnection + [.reason, .by, .age, .requests] + LogField.counts + [
                    .bytesIn, .bytesOut, .text,
                ],
                "A connection is over. It is a warning where the reason is neither NORMAL nor SHUTTING_DOWN, or where "
                    + "messages came that no handler was done with in the time of --grace.")
        case .sentAway:
            Specification(
                LogField.ofConnection + [.limit, .age],
                "A connection has reached --max-age or --max-idle; its client was asked to come back.")
        case .probed:
            Specification(
                LogField.ofConnection + [.reason, .by, .age, .requests, .bytesIn, .bytesOut, .text],
                "A client has connected and left without a byte, as health checks do. It has no line `closed`.")
        case .refused:
            Specification(
                [.reason, .limit, .peer, .via, .text],
                "A client was refused before a process was made for it, or before a process that has read the header of its "
                    + "proxy let it in.")
        case .kicked: Specification([.connection, .pid, .peer, .via], "The operator has dropped a connection.")
        case .budgetExhausted:
            Specification(
                [.held, .budget],
                "A request was refused because of --memory-budget. There is no second line before much is free again.")
        case .budgetFree:
            Specification([.held, .budget], "Three quarters of --memory-budget are free again, after a refusal.")
        case .penaltiesLifted: Specification([.range, .count], "The operator has forgiven the sources of a range.")
        case .childDied:
            Specification(
                [.connection, .pid, .peer, .via, .signal, .status, .connections, .request, .unhandled, .limit, .age],
                "A process has ended before its connection: a crash, a kill or a limit. With --connections-per-process it had "
                    + "this many; a crash names the connection at fault.")
        case .connectionLost:
            Specification(
                [.connection, .pid, .peer, .via, .unhandled, .age],
                "A connection has ended with its process, which it shared; \"child died\" says why.")
        case .childFailed:
            Specification([.pid, .text], "A process of the pool could not wait for connections, and has ended.")
        case .waitingChildDied:
            Specification([.pid, .signal, .status], "A process of the pool has ended while it had no connection.")
        case .routerStarted: Specification([.pid], "The process that carries messages between connections was started.")
        case .routerDied:
            Specification(
                [.pid, .signal, .status, .pause],
                "That process has ended, and another is started after this pause. No connection is lost; what was published "
                    + "meanwhile may be.")
        case .handlersWait:
            Specification(
                [.pid, .threads, .text],
                "A handler has waited for a thread for 1 s, because others have all that --handler-threads allows. Heartbeats "
                    + "go on.")
        case .handlersLost:
            Specification(
                [.pid, .threads, .text],
                "Connections are over whose handlers have not returned, as many as --handler-threads says. Each one more takes "
                    + "a thread from the other handlers.")
        case .tieClosed:
            Specification(
                [.connections, .text],
                "The router of topics has closed the tie of a process with this many connections. They cannot be reached until "
                    + "the process has a new one.")
        case .routerFailed:
            Specification([.pid, .text], "The router of topics could not wait for processes, and has ended.")
        case .program:
            Specification([.connection, .pid, .skipped, .text], "A program has written this line to standard error.")
        case .programStarted: Specification([.connection, .pid], "A program was started.")
        case .programFailed: Specification([.connection, .pid, .text], "A program could not be started.")
        case .programWaits:
            Specification(
                [.connection, .pid, .request, .text],
                "A program waits for more input, and has not answered for 1 s, or for half of --handler-timeout: it may "
                    + "keep its output in a buffer.")
        case .programEnded:
            Specification(
                [.connection, .pid, .request, .status, .signal, .skipped],
                "A program has ended. It is a warning where it was not asked to, and has failed or owed an answer.")
        case .programCannotBeKilled: Specification([.connection, .pid], "A program lives on after SIGKILL.")
        case .discarded:
            Specification([.connection, .pid, .text], "A message or output was dropped because nothing can take it.")
        case .notPublished:
            Specification(
                [.connection, .pid, .text],
                "A one-way message of a back-end was no command, or could not be published.")
        case .acceptFailed: Specification([.text], "accept(2) failed; the server tries again after a pause.")
        case .forkFailed: Specification([.text], "fork(2) failed; the client was refused.")
        case .pollFailed: Specification([.text], "poll(2) failed; the server tries again.")
        case .logLevel: Specification([.level, .before], "The operator has changed the level of the log.")
        case .logNotReopened:
            Specification([.pid, .text], "SIGUSR1 came, and the log's file cannot be opened; the old one stays.")
        case .suppressed:
            Specification(
                [.of, .reason, .count, .text],
                "More lines of one event and reason came in 5 s than --log-flood lets through. It has their level.")
        case .linesLost:
            Specification([.count, .text], "The log could not be written to, and this many lines are lost.")
        }
    }
}

/// What a line of the log says about its event: the raw value is the key.
package enum LogField: String, CaseIterable, Sendable {
    case connection, pid, peer, via
    case uniqueID = "unique_id"
    case tls
    case certificateName = "cn"
    case name, token, address, user, group, control, metrics, publish
    case reason, by, limit, age, requests, failed, cancelled, refused, unanswered, unhandled
    case messagesIn = "messages_in"
    case messagesOut = "messages_out"
    case bytesIn = "bytes_in"
    case bytesOut = "bytes_out"
    case signal, status, request, skipped, held, budget
    case threads, children, connections, over, pause, suspended, tokens, dropped, kept, path, range, count, level,
        before, of,
        text
    case refusedAddress = "refused_address"
    case refusedProxyFrom = "refused_proxy_from"
    case refusedPenalty = "refused_penalty"
    case refusedConnections = "refused_max_connections"
    case refusedPerSource = "refused_max_per_source"
    case refusedHandshakes = "refused_max_handshakes"
    case refusedRate = "refused_max_rate"
    case refusedBackEnds = "refused_back_ends"
    case refusedProcesses = "refused_processes"
    case refusedDescriptors = "refused_descriptors"
    case refusedShutdown = "refused_shutdown"

    static let ofConnection: [LogField] = [
        .connection, .pid, .peer, .via, .uniqueID, .tls, .certificateName, .name, .token,
    ]
    /// What a line has only where it is not 0.
    static let counts: [LogField] = [
        .failed, .cancelled, .refused, .unanswered, .messagesIn, .messagesOut, .unhandled,
    ]
    /// In the order of their limits' names.
    static let refusals = Admission.Reason.allCases.sorted { $0.rawValue < $1.rawValue }.map(LogField.init)

    /// How many clients were refused for this reason.
    init(_ reason: Admission.Reason) {
        self =
            switch reason {
            case .address: .refusedAddress
            case .proxyFrom: .refusedProxyFrom
            case .penalty: .refusedPenalty
            case .connections: .refusedConnections
            case .perSource: .refusedPerSource
            case .handshakes: .refusedHandshakes
            case .rate: .refusedRate
            case .backEnds: .refusedBackEnds
            case .processes: .refusedProcesses
            case .descriptors: .refusedDescriptors
            case .shutdown: .refusedShutdown
            }
    }
}
