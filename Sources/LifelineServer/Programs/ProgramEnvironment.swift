import Posix

/// The environment variables that tell a program of its connection: those of UCSPI, and LIFELINE_ variables.
struct ProgramEnvironment {
    let server: ProcessID
    let connection: UInt64
    let peer: SocketAddress
    let local: SocketAddress
    /// What a proxy says of the client; nil where the client has connected itself.
    var client: ProxiedClient?

    /// The variables that the program does not inherit: a server that was itself started for a connection has them. No
    /// others: a service of Kubernetes with a name like `tcp-echo` has variables that begin alike.
    static let replaced =
        ["PROTO"]
        + ["IP", "PORT", "HOST"].flatMap { ["TCPLOCAL\($0)", "TCPREMOTE\($0)"] } + ["TCPREMOTEINFO"]
        + ["TCPPROXYIP", "TCPPROXYPORT"] + ["VERSION", "CIPHER", "SNI", "CN"].map { "LIFELINE_TLS_\($0)" }
        + ["PATH", "UID", "GID", "PID"].map { "UNIXLOCAL\($0)" }
        + ["PATH", "EUID", "EGID", "PID"].map { "UNIXREMOTE\($0)" }
        + ["SERVER", "CONNECTION", "REQUEST", "NAME", "TOKEN_NAME"].map { "LIFELINE_\($0)" }

    /// The variable by which `OrphanReaper` finds the processes that programs have started.
    static func mark(of server: ProcessID) -> String { "LIFELINE_SERVER=\(server)" }

    func variables(name: String?, tokenName: String?, request: UInt32?) -> [String] {
        var all = [ProgramEnvironment.mark(of: server), "LIFELINE_CONNECTION=\(connection)"]
        let local = client?.server ?? local
        if let path = local.unixPath, peer.isUnix {
            all += ["PROTO=UNIX", "UNIXLOCALPATH=\(path)"]
        } else {
            all.append("PROTO=TCP")
            // The addresses of a proxy's socket are no client's: where its header names none, there are none.
            guard client == nil || client?.source != nil else { return all + rest(name, tokenName, request) }
            if let host = peer.host, let port = peer.port { all += ["TCPREMOTEIP=\(host)", "TCPREMOTEPORT=\(port)"] }
            if let host = local.host, let port = local.port { all += ["TCPLOCALIP=\(host)", "TCPLOCALPORT=\(port)"] }
        }
        return all + rest(name, tokenName, request)
    }

    private func rest(_ name: String?, _ tokenName: String?, _ request: UInt32?) -> [String] {
        var all = client.map(variables) ?? []
        if let name { all.append("LIFELINE_NAME=\(name)") }
        if let tokenName { all.append("LIFELINE_TOKEN_NAME=\(tokenName)") }
        if let request { all.append("LIFELINE_REQUEST=\(request)") }
        return all
    }

    private func variables(of client: ProxiedClient) -> [String] {
        var all: [String] = []
        if let host = client.via.host, let port = client.via.port {
            all += ["TCPPROXYIP=\(host)", "TCPPROXYPORT=\(port)"]
        }
        let tls: [(String, String?)] = [
            ("VERSION", client.tls?.version), ("CIPHER", client.tls?.cipher), ("SNI", client.tls?.serverName),
            ("CN", client.tls?.clientName),
        ]
        for case (let key, let value?) in tls { all.append("LIFELINE_TLS_\(key)=\(value)") }
        return all
    }
}
