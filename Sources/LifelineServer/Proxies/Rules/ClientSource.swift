import ProxyProtocol

/// The address of a client, as a header of the PROXY protocol names it: a plain value, which a child passes to the parent.
struct ClientSource: Equatable, BitwiseCopyable, Sendable {
    /// As `SocketAddress.ipNumber` has it.
    let address: UInt128
    let port: UInt16
}

extension ProxyHeader {
    /// The client. It is nil where the header names none: UNKNOWN, UNSPEC and LOCAL. A Unix socket's path says nothing
    /// that could be judged, and is passed over.
    var client: ClientSource? { source.flatMap(ProxyHeader.ip) }
    /// What the client has connected to; nil where `client` is.
    var server: ClientSource? { client == nil ? nil : destination.flatMap(ProxyHeader.ip) }

    private static func ip(_ endpoint: ConnectionEnd) -> ClientSource? {
        if case .ip(let address, let port) = endpoint { ClientSource(address: address, port: port) } else { nil }
    }
}
