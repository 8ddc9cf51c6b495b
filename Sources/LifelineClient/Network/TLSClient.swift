import Posix
import Synchronization
import SystemTLS

/// Begins TLS for the sockets of a session.
struct TLSClient: Sendable {
    private let options: TLSOptions

    init(_ options: TLSOptions) { self.options = options }

    /// A connection to `server` that has not begun.
    func engine(for server: Endpoint) throws(TLSError) -> TLSEngine {
        try TLSEngine(TLSContexts.context(for: options.settings), name: name(of: server), sessionKey: "\(server)")
    }

    /// The name that the certificate of `server` has to be for.
    func name(of server: Endpoint) -> String {
        options.serverName ?? (server.host.hasPrefix("unix:") ? "" : server.host)
    }
}

/// The contexts of this process. All connections with the same settings share one, and the sessions in it, so that a short
/// connection resumes what the one before has begun.
enum TLSContexts {
    private struct TLSContextEntry: Sendable {
        var context: TLSContext
        var files: [FileState?]
    }

    private static let entries = Mutex<[TLSSettings: TLSContextEntry]>([:])
    /// A program that takes ever new settings begins again, and does not grow.
    private static let most = 16

    /// The context for `settings`. It is made anew where a file has changed and can be read.
    static func context(for settings: TLSSettings) throws(TLSError) -> TLSContext {
        let files = [settings.caFile, settings.certificateFile, settings.keyFile].map { path in
            path.flatMap { try? FileState(ofFile: $0) }
        }
        let known = entries.withLock { $0[settings] }
        if let known, known.files == files { return known.context }
        do throws(TLSError) {
            let context = try TLSContext(settings)
            entries.withLock { entries in
                if entries.count >= most, entries[settings] == nil { entries = [:] }
                entries[settings] = TLSContextEntry(context: context, files: files)
            }
            return context
        } catch {
            // Whoever renews a certificate may not be done yet.
            guard let known else { throw error }
            return known.context
        }
    }
}
