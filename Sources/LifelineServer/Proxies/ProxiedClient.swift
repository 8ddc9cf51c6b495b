import Posix
import ProxyProtocol

/// A client that has come through a proxy: what the proxy's header says of it.
///
/// All texts in it are foreign. `ProxyHeaderDecoder` takes none with a control character, which would end a line of a log or a
/// variable of an environment.
final class ProxiedClient: Sendable {
    /// The proxy's end of its connection.
    let via: SocketAddress
    /// The client's address; nil where the header names none.
    let source: ClientSource?
    /// What the client has connected to; nil where the header does not say.
    let server: SocketAddress?
    /// The client's TLS, which the proxy has ended; nil where there is none.
    let tls: ProxiedTLS?
    /// The proxy's name for the connection.
    let uniqueID: [UInt8]?

    init(_ header: ProxyHeader, via: SocketAddress) {
        self.via = via
        source = header.client
        server = header.server.map(SocketAddress.init)
        tls = header.tls.map { ProxiedTLS($0, serverName: header.authority) }
        uniqueID = header.uniqueID
    }

    /// The client's address, or that of the proxy's socket where the header names no client.
    var peer: SocketAddress { source.map(SocketAddress.init) ?? via }
}

extension SocketAddress {
    init(_ source: ClientSource) { self.init(ipNumber: source.address, port: source.port) }
}

/// What a proxy says of a client's TLS, which the proxy has ended.
public struct ProxiedTLS: Equatable, Sendable {
    /// Such as `TLSv1.3`.
    public let version: String?
    /// Such as `TLS_AES_256_GCM_SHA384`.
    public let cipher: String?
    /// The host name that the client has asked for (server_name in RFC 6066).
    public let serverName: String?
    /// The common name of the client's certificate, where the proxy has verified that; nil else.
    public let clientName: String?

    init(_ tls: ProxyHeader.TLS, serverName: String?) {
        version = tls.version
        cipher = tls.cipher
        self.serverName = serverName
        clientName = tls.provedName
    }
}
