import SystemTLS

/// How a client speaks TLS to its server, with the OpenSSL of the system (`ClientOptions.tls`).
///
/// OpenSSL 3 or 1.1.1 is loaded when the first connection begins. The versions are TLS 1.2 and 1.3. The server's
/// certificate has to come from an authority that is trusted, and to be for the server's name. Heartbeats, deadlines and
/// the outcomes of requests are those of plain TCP.
///
/// The files are read when the connection is opened. A reconnect reads them again where they have changed, and goes on with
/// the old ones where the new ones are wrong.
public struct TLSOptions: Hashable, Sendable {
    /// The authorities that are trusted: a file of certificates in PEM. Nil trusts those of the system.
    public var caFile: String?
    /// The certificate of this client, and the chain behind it: a file in PEM. Nil shows none.
    public var certificateFile: String?
    /// The key of the certificate: a file in PEM, which is not encrypted. Nil looks for it in `certificateFile`.
    public var keyFile: String?
    /// The name or address that the server's certificate has to be for, and the name that is asked for (SNI, RFC 6066). Nil
    /// is the host. A Unix socket has none, so it needs this.
    public var serverName: String?
    /// The protocol to ask for (ALPN, RFC 7301), for proxies that choose by it. A server that answers without it is
    /// accepted. Nil asks for none.
    public var alpn: String?
    /// Whether the server's certificate is checked. Without that anybody on the path can read and change everything,
    /// the token too.
    public var verifies = true

    /// Creates the default options: the authorities of the system, and no certificate of the client.
    public init() {}

    var settings: TLSSettings {
        var settings = TLSSettings()
        settings.caFile = caFile
        settings.certificateFile = certificateFile
        settings.keyFile = keyFile
        settings.alpn = alpn
        settings.verifies = verifies
        return settings
    }
}

extension TLSOptions {
    /// Reads the files, and checks that each server has a name that a certificate can be for. Throws
    /// `ConnectionError.Kind.invalidOptions`, or `tls` where the system has no OpenSSL.
    func client(for servers: [Endpoint]) throws(ConnectionError) -> TLSClient {
        if keyFile != nil, certificateFile == nil {
            throw ConnectionError(.invalidOptions, "a key without a certificate: certificateFile is missing")
        }
        if let serverName, serverName.isEmpty { throw ConnectionError(.invalidOptions, "the server's name is empty") }
        let client = TLSClient(self)
        do throws(TLSError) {
            _ = try TLSContexts.context(for: settings)
            for server in servers {
                if verifies, serverName == nil, server.host.hasPrefix("unix:") {
                    throw TLSError(
                        .options,
                        "\(server) has no name that a certificate could be for: give --server-name (serverName)")
                }
                _ = try ExpectedName(client.name(of: server), isChecked: verifies)
            }
        } catch {
            throw ConnectionError(error)
        }
        return client
    }

    /// Throws as `client(for:)` does. The package's commands check their flags by it.
    package func check(servers: [String], port: UInt16) throws(ConnectionError) {
        _ = try client(for: Endpoint.list(servers, port: port))
    }

    /// What a connection to `server` begins with. The package's load generator makes its connections by it.
    package func settings(for server: String, port: UInt16) throws(ConnectionError) -> (
        context: TLSContext, name: String
    ) {
        let endpoint = try Endpoint(server, port: port)
        do throws(TLSError) {
            return (try TLSContexts.context(for: settings), TLSClient(self).name(of: endpoint))
        } catch {
            throw ConnectionError(error)
        }
    }
}
