/// What a proxy says of a connection before the client's first byte (the PROXY protocol, proxy-protocol.txt of HAProxy).
package struct ProxyHeader: Equatable, Sendable {
    /// What the connection is.
    package enum HeaderCommand: Equatable, Sendable {
        /// The proxy's own, such as a health check: nobody is behind it.
        case local
        /// A client's.
        case proxy
    }

    /// One end of the client's connection to the proxy.
    package enum ConnectionEnd: Equatable, Sendable {
        /// An address of IP, that of IPv4 in the form of IPv6 (RFC 4291, section 2.5.5.2), and a port.
        case ip(UInt128, port: UInt16)
        /// A path of a Unix socket, which may be empty.
        case unix([UInt8])
    }

    /// The version of the header: 1 is text, 2 is binary.
    package var version: Int
    package var command: HeaderCommand
    /// The client; nil where the proxy does not say (UNKNOWN, UNSPEC, LOCAL).
    package var source: ConnectionEnd?
    /// What the client has connected to; nil where `source` is.
    package var destination: ConnectionEnd?
    /// What the proxy says of the client's TLS (PP2_TYPE_SSL); nil where there is none.
    package var tls: TLS?
    /// The host name that the client has asked for (PP2_TYPE_AUTHORITY); nil where it is no plain text of 1 to 255 bytes.
    package var authority: String?
    /// The protocol that was agreed on within TLS (PP2_TYPE_ALPN).
    package var alpn: [UInt8]?
    /// The proxy's name for the connection, up to 128 bytes (PP2_TYPE_UNIQUE_ID).
    package var uniqueID: [UInt8]?

    /// A client's TLS, as the proxy ended it.
    package struct TLS: Equatable, Sendable {
        /// Such as `TLSv1.3` (PP2_SUBTYPE_SSL_VERSION).
        package var version: String?
        /// Such as `TLS_AES_256_GCM_SHA384` (PP2_SUBTYPE_SSL_CIPHER).
        package var cipher: String?
        /// The common name of the client's certificate, where the proxy has verified that. A result of 0 alone says nothing:
        /// HAProxy sends it for clients without a certificate too. It is nil where the name is empty, longer than 256 bytes,
        /// not UTF-8, or has control characters. Compare its UTF-8: as a String it equals names of other bytes that are
        /// canonically equivalent.
        package var provedName: String?

        package init(version: String? = nil, cipher: String? = nil, provedName: String? = nil) {
            self.version = version
            self.cipher = cipher
            self.provedName = provedName
        }
    }

    package init(
        version: Int, command: HeaderCommand, source: ConnectionEnd? = nil, destination: ConnectionEnd? = nil,
        tls: TLS? = nil,
        authority: String? = nil, alpn: [UInt8]? = nil, uniqueID: [UInt8]? = nil
    ) {
        self.version = version
        self.command = command
        self.source = source
        self.destination = destination
        self.tls = tls
        self.authority = authority
        self.alpn = alpn
        self.uniqueID = uniqueID
    }
}
