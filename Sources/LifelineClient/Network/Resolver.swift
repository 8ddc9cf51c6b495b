import Glibc
import Posix

/// A host, by name or address, and a port.
struct Endpoint: Hashable, Sendable {
    let host: String
    let port: UInt16
}

extension Endpoint: CustomStringConvertible {
    var description: String {
        if host.hasPrefix("unix:") { return host }
        return host.contains(":") && !host.hasPrefix("[") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// Looks up the addresses of `endpoint`, in the order in which a client should try them (getaddrinfo(3)).
///
/// It blocks for as long as the name servers take, so it runs on a thread of its own. Sessions wait with a timeout, and
/// never for the thread.
func resolve(_ endpoint: Endpoint) -> Result<[SocketAddress], ConnectionError> {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
    guard code == 0 else {
        return .failure(ConnectionError(.unknownHost, "\(endpoint.host): \(String(cString: gai_strerror(code)))"))
    }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let info = next?.pointee {
        if let address = info.ai_addr {
            addresses.append(SocketAddress(copying: address, length: info.ai_addrlen))
        }
        next = info.ai_next
    }
    return addresses.isEmpty
        ? .failure(ConnectionError(.unknownHost, "\(endpoint.host): no address")) : .success(addresses)
}

/// The addresses of `host`, in any form that the commands accept. It blocks while the name servers are asked.
package func addresses(ofHost host: String, port: UInt16) throws(ConnectionError) -> [SocketAddress] {
    if let address = SocketAddress(host: host, port: port) { return [address] }
    guard !host.hasPrefix("unix:") else {
        throw ConnectionError(.unknownHost, "\(host) is no path of a Unix socket")
    }
    return try resolve(Endpoint(host: host, port: port)).get()
}
