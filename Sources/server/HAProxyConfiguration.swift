import Arguments
import Basics
import LifelineServer

/// A configuration for HAProxy 2.6 and later that fits the settings of a server: what `--generate haproxy` prints.
///
/// Its words are those of HAProxy's configuration manual. It names files where Debian has them.
struct HAProxyConfiguration {
    private static let certificate = "/etc/haproxy/lifeline.pem"
    private static let clientAuthority = "/etc/haproxy/clients-ca.pem"
    private static let revokedCertificates = "/etc/haproxy/clients.crl"
    private static let statsSocket = "/run/haproxy/admin.sock"
    /// Where clients of the first listener connect; those of the next connect to the next port.
    private static let firstPort = 7443
    /// HAProxy holds its durations in 31 bits of milliseconds.
    private static let longest = Duration.seconds(24 * 24 * 3600)

    private let options: ServerOptions
    /// Those that take the header of a proxy.
    private let listeners: [ListenAddress]

    /// Throws where HAProxy could not connect to a server with these settings.
    init(_ settings: ServerSettings) throws(UsageError) {
        options = settings.options
        let options = options
        listeners = options.listenAddresses.filter { $0.proxies(options.proxyFrom) != nil }
        guard let first = options.listenAddresses.first, !listeners.isEmpty else {
            let isUnix = options.listenAddresses.first?.path != nil
            throw UsageError(
                "--generate haproxy is for a server that knows where HAProxy connects from: give "
                    + "--proxy-from \(isUnix ? "unix" : "127.0.0.1") beside it, and to the server, too")
        }
        let own: [String: UInt128] = ["127.0.0.1": 0xFFFF_7F00_0001, "::1": 1]
        for listener in listeners {
            guard let address = own[reachable(listener.host)], !isForAll(listener),
                !names(address, listener)
            else { continue }
            throw UsageError(
                "--generate haproxy: \(listener.text) is reached from this machine alone, and its --proxy-from does not name "
                    + "\(reachable(listener.host)): add it")
        }
        guard let open = listeners.first(where: { $0.path == nil && $0.port == 0 }) else { return }
        throw UsageError(
            "--generate haproxy needs the port that HAProxy connects to, and \(open.text) lets the system choose one: "
                + "give \(open == first && options.listen.isEmpty ? "--port" : "--listen") a port")
    }

    /// The whole file.
    var text: String {
        ([opening, global, defaults] + listeners.indices.map(section)).map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n")
    }

    // MARK: Its sections

    private var opening: [String] {
        [
            "# HAProxy 2.6 or later, in front of a Lifeline server: made by server --generate haproxy.",
            "# \(HAProxyConfiguration.certificate) holds the certificate, its chain and its key; root alone may read it.",
            "# Make this file anew when the server gets other flags: these follow from them.",
        ]
    }

    private var global: [String] {
        let most = options.maxConnections + max(options.maxConnections / 10, 10)
        return section(
            "global",
            [
                "log /dev/log local0",
                "user haproxy",
                "group haproxy",
                "# A renewed certificate is loaded through this socket, without a reload:",
                "# set ssl cert \(HAProxyConfiguration.certificate) <<, and then commit ssl cert and the same path.",
                "stats socket \(HAProxyConfiguration.statsSocket) mode 600 level admin expose-fd listeners",
                "stats timeout 1m",
                "# A tenth above --max-connections. The server refuses with BUSY and a time to come back; at this limit",
                "# HAProxy lets clients wait without a word.",
                "maxconn \(most)",
                "# HAProxy has a thread for each processor. The server's processes need processors, too.",
                "# nbthread 2",
                "# A reload leaves the old process alive until its last connection ends. The third reload ends it.",
                "mworker-max-reloads 2",
                "# This ends it earlier. Its connections are cut then, and their clients come back.",
                "# hard-stop-after 1h",
                "ssl-default-bind-options ssl-min-ver TLSv1.2",
                "# A client sees nothing of a TLS record before it has all of it. This fills one packet.",
                "tune.ssl.hard-maxrecord 1419",
                "# What waits in the kernel holds heartbeats up, and hides that a client does not read.",
                "tune.rcvbuf.client 65536",
                "tune.rcvbuf.server 65536",
                "tune.sndbuf.client 65536",
                "tune.sndbuf.server 65536",
            ])
    }

    private var defaults: [String] {
        section(
            "defaults",
            [
                "mode tcp",
                "log global",
                "option dontlognull",
                "timeout connect 5s",
                "# Both hold until the client's TLS handshake is done and the server is reached.",
                "timeout client \(text(handshakeTimeout))",
                "timeout server \(text(handshakeTimeout))",
                "# From then on this one does. The server drops a silent client after \(text(options.timeout)), and says why;",
                "# HAProxy could not.",
                "timeout tunnel \(text(tunnelTimeout))",
            ])
    }

    private func section(_ index: Int) -> [String] {
        let listener = listeners[index]
        let bind = "bind :\(HAProxyConfiguration.firstPort + index) ssl crt \(HAProxyConfiguration.certificate)"
        let clients =
            "ca-file \(HAProxyConfiguration.clientAuthority) crl-file \(HAProxyConfiguration.revokedCertificates)"
        var lines: [String]
        if options.tokenFromCN {
            let need = options.tokenFile == nil ? "required" : "optional"
            lines = [
                "# --token-from-cn: the name in a client's certificate stands for a token.",
                "\(bind) \(clients) verify \(need)",
            ]
        } else {
            lines = [
                bind, "# In its place, where clients have certificates; with verify required each must have one:",
                "# \(bind) \(clients) verify optional",
            ]
        }
        lines.append(
            "# For IPv6 as well, write :::\(HAProxyConfiguration.firstPort + index) v4v6 in place of the port.")
        lines += [
            "# The server logs the same text as unique_id. HAProxy 2.6 writes %[uuid()] over the header of a Unix socket.",
            "unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid",
            "log-format \"%ci:%cp %ft %b/%s %Tw/%Tc/%Tt %B %ts unique_id=%ID tls=%sslv\"",
        ]
        var server =
            "server lifeline \(address(of: listener)) send-proxy-v2 "
            + "proxy-v2-options ssl,cert-cn,ssl-cipher,authority,unique-id"
        if let check = healthCheck(of: listener) {
            lines += [
                "# The parent answers at --metrics. A check of the listener would cost a process each time.",
                "option httpchk HEAD /metrics", "http-check expect status 200",
            ]
            server += " check addr \(check.host) port \(check.port) inter 5s"
        } else {
            lines += [
                "# No health check: it would cost the server a process each time. With --metrics there is one for free."
            ]
        }
        if isElsewhere(listener) {
            lines.append("# HAProxy connects from another machine: put the server's address in place of 127.0.0.1.")
        }
        return section(index == 0 ? "listen lifeline" : "listen lifeline-\(index + 1)", lines + [server])
    }

    private func section(_ title: String, _ lines: [String]) -> [String] { [title] + lines.map { "    " + $0 } }

    // MARK: What follows from the flags

    /// Lateness of a machine puts a drop off, so this is well above dead_after, which is never above `timeout`.
    private var tunnelTimeout: Duration { max(options.timeout * 4, options.timeout + .seconds(60)) }

    /// As long as the server gives a header and the HELLO: at least 3 s, in which TCP repeats what was lost.
    private var handshakeTimeout: Duration { max(options.handshakeTimeout, .seconds(3)) }

    /// Whole seconds, rounded up.
    private func text(_ duration: Duration) -> String {
        let (seconds, rest) = min(duration, HAProxyConfiguration.longest).components
        return "\(seconds + (rest > 0 ? 1 : 0))s"
    }

    private func address(of listener: ListenAddress) -> String {
        if let path = listener.path { return quoted("unix@\(path)") }
        return addressText(host: reachable(listener.host), port: listener.port)
    }

    /// One word of HAProxy's configuration (its section 2.2).
    private func quoted(_ word: String) -> String {
        word.reduce(into: "") { $0 += $1 == "\t" ? "\\t" : " \\#\"'$".contains($1) ? "\\\($1)" : "\($1)" }
    }

    /// Where a server that listens at `host` is reached from its own machine.
    private func reachable(_ host: String) -> String {
        let host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        return ["*", "::", "0.0.0.0", "localhost"].contains(host) ? "127.0.0.1" : host
    }

    /// Whether the server listens at all addresses, and no proxy on its own machine may connect.
    private func isElsewhere(_ listener: ListenAddress) -> Bool {
        listener.path == nil && isForAll(listener) && !names(0xFFFF_7F00_0001, listener)
    }

    /// Whether the server listens at all addresses of its machine.
    private func isForAll(_ listener: ListenAddress) -> Bool { ["*", "::", "[::]", "0.0.0.0"].contains(listener.host) }

    /// Whether a proxy of this address may connect to the listener.
    private func names(_ address: UInt128, _ listener: ListenAddress) -> Bool {
        (listener.proxies(options.proxyFrom) ?? []).contains { source in
            if case .range(let range) = source { range.contains(address) } else { false }
        }
    }

    /// Where `--metrics` is reached from where the listener is; nil where there are none, or at no port known yet.
    private func healthCheck(of listener: ListenAddress) -> (host: String, port: UInt16)? {
        guard let text = options.metrics, let metrics = try? ListenAddress(text), metrics.path == nil, metrics.port != 0
        else { return nil }
        let host = isForAll(metrics) && listener.path == nil ? reachable(listener.host) : reachable(metrics.host)
        return (host, metrics.port)
    }
}

extension ListenAddress {
    /// Of a Unix socket; nil for all others.
    fileprivate var path: Substring? {
        host.hasPrefix(ListenAddress.unixPrefix) ? host.dropFirst(ListenAddress.unixPrefix.count) : nil
    }
}
