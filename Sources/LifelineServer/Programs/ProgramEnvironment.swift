import Posix

/// The environment variables that tell a program of its connection: those of UCSPI, and LIFELINE_ variables.
struct ProgramEnvironment {
    let server: ProcessID
    let connection: UInt64
    let peer: SocketAddress
    let local: SocketAddress
    /// What a proxy says of the client; nil where the client has connected itself.
    var client: ProxiedClient?
    /// Where the program publishes; nil where there is no such socket.
    var publishSocket: String?

    /// The variables that the program does not inherit: a server that was itself started for a connection has them. No
    /// others: a service of Kubernetes with a name like `tcp-echo` has variables that begin alike.
    static let replaced =
        ["PROTO"]
        + ["IP", "PORT", "HOST"].flatMap { ["TCPLOCAL\($0)", "TCPREMOTE\($0)"] } + ["TCPREMOTEINFO"]
        + ["TCPPROXYIP", "TCPPROXYPORT"] + ["VERSION", "CIPHER", "SNI", "CN"].map { "LIFELINE_TLS_\($0)" }
        + ["PATH", "UID", "GID", "PID"].map { "UNIXLOCAL\($0)" }
        + ["PATH", "EUID", "EGID", "PID"].map { "UNIXREMOTE\($0)" }
        + ["SERVER", "CONNECTION", "REQUEST", "NAME", "TOKEN_NAME", "PUBLISH_SOCKET"].map { "LIFELINE_\($0)" }

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
            if client == nil || client?.source != nil {
                all += ProgramEnvironment.variables(of: peer, "TCPREMOTE")
                all += ProgramEnvironment.variables(of: local, "TCPLOCAL")
            }
        }
        if let client { all += variables(of: client) }
        if let name { all.append("LIFELINE_NAME=\(name)") }
        if let tokenName { all.append("LIFELINE_TOKEN_NAME=\(tokenName)") }
        if let publishSocket { all.append("LIFELINE_PUBLISH_SOCKET=\(publishSocket)") }
        if let request { all.append("LIFELINE_REQUEST=\(request)") }
        return all
    }

    private func variables(of client: ProxiedClient) -> [String] {
        var all = ProgramEnvironment.variables(of: client.via, "TCPPROXY")
        let tls: [(String, String?)] = [
            ("VERSION", client.tls?.version), ("CIPHER", client.tls?.cipher), ("SNI", client.tls?.serverName),
            ("CN", client.tls?.clientName),
        ]
        for case (let key, let value?) in tls { all.append("LIFELINE_TLS_\(key)=\(value)") }
        return all
    }

    /// Those of an address of IP; none of a Unix socket.
    private static func variables(of address: SocketAddress, _ prefix: String) -> [String] {
        guard let host = address.host, let port = address.port else { return [] }
        return ["\(prefix)IP=\(host)", "\(prefix)PORT=\(port)"]
    }
}
