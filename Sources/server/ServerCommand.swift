import Arguments
import LifelineServer

extension ServerSettings {
    static let command = Command<ServerSettings>(
        "server",
        summary: "Serves the Lifeline protocol: a process for every connection or for many, kept by heartbeats.",
        defaults: ServerSettings(), sections: sections.map(\.shown),
        subcommands: [Ctl.command.shape, StatusCommand.command.shape],
        notes: """
            A DURATION reads 30, 2.5, 500ms, 2m or 1h; BYTES read 16384, 16k, 1m or 2g.

            When it accepts, it prints "listening on HOST:PORT" on standard output, a line for each address. SIGTERM or
            SIGINT: it stops listening, its children answer what they have and send their clients away, over the time of --drain; a
            second signal, or the end of --grace, ends what is left. SIGQUIT: the same at once, without answers. SIGTERM
            to a child ends its connections alone. SIGUSR1 opens the log FILE anew.

            SIGHUP: the configuration and the token file are read again, for the connections that come from then on; an
            error keeps all as it was, and the log says so, as it does of what a restart alone can change.

            With --daemon the command returns when the daemon listens, or with the daemon's error and status. Under
            systemd it says when it is ready, what it does and that it is alive, and takes over a socket.

            No program that it starts gets privileges that it does not have itself (no_new_privs). The file of a Unix
            socket stays behind where --user may not remove it; the next start replaces it.

            --generate haproxy serves nothing: it prints a configuration of HAProxy, for TLS, that fits the flags beside it.
            """,
        exits: ExitMeanings.all, tables: [.events: { LogEvent.manual }, .metrics: { Metric.manual }],
        madeOfFlags: [.haproxy])
}

extension LogEvent {
    /// What the manual says of all events.
    fileprivate static var manual: [ManualEntry] {
        allCases.map { event in
            let fields = event.specification.fields.map(\.rawValue).joined(separator: ", ")
            return ManualEntry(
                event.rawValue, "(\(event.levels.map(\.rawValue).joined(separator: ", ")))",
                "\(event.specification.meaning) Fields: \(fields).")
        }
    }
}

extension Metric {
    /// What the manual says of all metrics.
    fileprivate static var manual: [ManualEntry] {
        allCases.map { metric in
            let labels = metric.labels.isEmpty ? "" : ", by \(metric.labels.joined(separator: " and "))"
            return ManualEntry(metric.name, "(\(metric.kind.rawValue)\(labels))", metric.help)
        }
    }
}
