import Arguments
import LifelineClient

/// What the TLS flags of `client` and `client bench` set.
struct TLSFlags {
    /// Whether `--tls` is given.
    var isOn = false
    var options = TLSOptions()

    /// The options; nil where the connection is plain TCP.
    var chosen: TLSOptions? { isOn ? options : nil }

    private static let names = ["--ca", "--cert", "--key", "--server-name", "--tls-alpn", "--insecure"]

    /// Throws where two flags contradict each other.
    func check(_ given: Set<String>) throws(UsageError) {
        if !isOn, let name = TLSFlags.names.first(where: given.contains) { throw UsageError("\(name) needs --tls") }
        if options.keyFile != nil, options.certificateFile == nil { throw UsageError("--key needs --cert") }
        if !options.verifies, options.caFile != nil {
            throw UsageError("--insecure and --ca contradict each other: one trusts anybody, the other only a few")
        }
    }

    /// Reads the files before anything is connected, and warns where nothing is verified. Ends the program where a file is
    /// wrong, or the system has no OpenSSL.
    static func prepare(_ options: TLSOptions?, for servers: [String], port: UInt16) {
        guard let options else { return }
        do throws(ConnectionError) {
            try options.check(servers: servers, port: port)
        } catch {
            console.fail(error.kind == .invalidOptions ? .usage : .unavailable, error.text)
        }
        if !options.verifies {
            console.note("--insecure: the server's certificate is not verified; anybody on the path can read the token")
        }
    }
}
