import Glibc
import Posix

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
        ? .failure(ConnectionError(.unknownHost, "\(endpoint.host): no address")) : .success(interleaved(addresses))
}

/// The addresses with their families in turn, from the family of the first one on (RFC 8305, section 4). A family that
/// does not work costs one attempt then before the other has its first.
func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
    guard let family = addresses.first?.family else { return [] }
    var same = addresses.filter { $0.family == family }[...]
    var other = addresses.filter { $0.family != family }[...]
    var all: [SocketAddress] = []
    while !same.isEmpty || !other.isEmpty {
        if let next = same.popFirst() { all.append(next) }
        if let next = other.popFirst() { all.append(next) }
    }
    return all
}
