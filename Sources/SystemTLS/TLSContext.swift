import Glibc
import Synchronization

/// What a side of TLS presents and believes.
package struct TLSSettings: Hashable, Sendable {
    package var side = TLSSide.client
    /// The authorities that are believed, in a file of PEM; nil for those of the system.
    package var caFile: String?
    /// The certificate of this side with the chain behind it, in a file of PEM.
    package var certificateFile: String?
    /// The key of the certificate, in a file of PEM; nil where it is in the same file.
    package var keyFile: String?
    /// The name of the protocol for ALPN (RFC 7301); nil to ask for none.
    package var alpn: String?
    /// Whether the other side's certificate is checked. A server without `caFile` asks for none.
    package var verifies = true

    package init(_ side: TLSSide = .client) { self.side = side }
}

/// The settings, read from their files, and the sessions that servers have given for resumption (SSL_CTX_new(3ssl)).
///
/// It is shared by connections, on any threads.
package final class TLSContext: Sendable {
    /// The longest record, in bytes. A record counts as nothing until it is whole, so a longer one on a slow link would
    /// hide that its sender is alive. One of these fits in a segment of Ethernet, as plain TCP sends them.
    package static let longestRecord = 1400
    /// The most servers whose sessions are kept.
    private static let mostSessions = 64

    let openSSL: OpenSSL
    package let settings: TLSSettings
    nonisolated(unsafe) let context: OpaquePointer
    private let sessions = Mutex<[String: KeptSession]>([:])

    private struct KeptSession: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    /// Reads the files. Throws where OpenSSL is missing, or a file is not as it has to be.
    package init(_ settings: TLSSettings) throws(TLSError) {
        openSSL = try OpenSSL.shared.get()
        self.settings = settings
        openSSL.clearErrors()
        let method = settings.side == .client ? openSSL.clientMethod() : openSSL.serverMethod()
        guard let context = openSSL.newContext(method) else {
            throw TLSError(.failed, "TLS cannot begin: \(HandshakeFailure.text(openSSL.takeError()))")
        }
        self.context = context
        // The system's policy may ask for more.
        if openSSL.controlContext(context, OpenSSL.minimumVersion, 0, nil) < OpenSSL.tls12 {
            _ = openSSL.controlContext(context, OpenSSL.setMinimumVersion, OpenSSL.tls12, nil)
        }
        _ = openSSL.controlContext(context, OpenSSL.setMode, OpenSSL.releaseBuffers, nil)
        _ = openSSL.controlContext(context, OpenSSL.setMaxSendFragment, TLSContext.longestRecord, nil)
        _ = openSSL.setOptions(context, OpenSSL.noRenegotiation)
        // A key that is encrypted would ask for its passphrase at the terminal.
        openSSL.setPassphrase(context) { _, _, _, asked in
            asked?.assumingMemoryBound(to: Bool.self).pointee = true
            return -1
        }
        try readFiles()
        if settings.side == .client {
            _ = openSSL.controlContext(context, OpenSSL.setCacheMode, OpenSSL.clientCache, nil)
            openSSL.setNewSession(context) { connection, session in
                guard let connection, let session, let openSSL = try? OpenSSL.shared.get(),
                    let data = openSSL.data(connection, 0)
                else { return 0 }
                Unmanaged<TLSEngine>.fromOpaque(data).takeUnretainedValue().keep(session)
                return 1
            }
        } else {
            _ = openSSL.setSessionContext(context, "lifeline", 8)
        }
    }

    deinit {
        for session in sessions.withLock({ $0 }).values { openSSL.freeSession(session.pointer) }
        openSSL.freeContext(context)
    }

    // MARK: Sessions

    /// Keeps `session`, which this object owns from now on, for the next connection to `server`.
    func keep(_ session: OpaquePointer, for server: String) {
        let new = KeptSession(pointer: session)
        let replaced = sessions.withLock { sessions -> [KeptSession] in
            var replaced: [KeptSession] = []
            if sessions.count >= TLSContext.mostSessions, sessions[server] == nil {
                replaced = Array(sessions.values)
                sessions = [:]
            }
            if let old = sessions.updateValue(new, forKey: server) { replaced.append(old) }
            return replaced
        }
        for session in replaced { openSSL.freeSession(session.pointer) }
    }

    /// Offers the kept session of `server` in the handshake of `connection`.
    func resume(_ connection: OpaquePointer, with server: String) {
        // The connection takes a reference of its own, before another thread can replace the session.
        sessions.withLock { sessions in
            if let session = sessions[server] { _ = openSSL.setSession(connection, session.pointer) }
        }
    }

    /// Forgets the session of `server`: a handshake with it has failed.
    func forget(_ server: String) {
        let old = sessions.withLock { $0.removeValue(forKey: server) }
        if let old { openSSL.freeSession(old.pointer) }
    }

    // MARK: Files

    private func readFiles() throws(TLSError) {
        if settings.verifies, settings.side == .client || settings.caFile != nil {
            if let file = settings.caFile {
                try checkReadable(file, "the authorities' certificates")
                guard openSSL.loadAuthorities(context, file, nil) == 1 else {
                    throw wrong(file, "holds no certificate in PEM that can be read")
                }
            } else if openSSL.useDefaultPaths(context) != 1 {
                throw TLSError(.failed, "the system's authorities cannot be read: \(reason)")
            }
            openSSL.setVerify(
                context, settings.side == .client ? OpenSSL.verifyPeer : OpenSSL.verifyAndRequire
            ) { passes, store in TLSEngine.judged(passes, store) }
        } else {
            openSSL.setVerify(context, OpenSSL.verifyNone, nil)
        }
        if let file = settings.certificateFile { try readCertificate(file, settings.keyFile ?? file) }
        if let alpn = settings.alpn {
            let name = Array(alpn.utf8)
            guard (1...255).contains(name.count) else {
                throw TLSError(.options, "the protocol '\(alpn)' for ALPN has \(name.count) bytes, and not 1 to 255")
            }
            _ = openSSL.setProtocols(context, [UInt8(name.count)] + name, UInt32(name.count + 1))
        }
    }

    private func readCertificate(_ file: String, _ keyFile: String) throws(TLSError) {
        try checkReadable(file, "the certificate")
        guard openSSL.useCertificate(context, file) == 1 else {
            throw wrong(file, "holds no certificate in PEM that can be read")
        }
        try checkReadable(keyFile, "the key")
        var isEncrypted = false
        let isRead = withUnsafeMutablePointer(to: &isEncrypted) { asked in
            openSSL.setPassphraseData(context, asked)
            defer { openSSL.setPassphraseData(context, nil) }
            return openSSL.useKey(context, keyFile, OpenSSL.pem) == 1
        }
        guard !isRead else { return }
        if isEncrypted {
            openSSL.clearErrors()
            throw TLSError(
                .options, "the key in '\(keyFile)' is encrypted; decrypt it with openssl pkey -in \(keyFile) -out FILE")
        }
        let error = openSSL.takeError()
        if let error, error.library == TLSContext.x509, TLSContext.mismatches.contains(error.reason) {
            throw TLSError(.options, "the key in '\(keyFile)' does not fit the certificate in '\(file)'")
        }
        throw TLSError(
            .options, "'\(keyFile)' holds no private key in PEM that can be read\(error.map { " (\($0.text))" } ?? "")")
    }

    /// ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH and X509_R_KEY_VALUES_MISMATCH.
    private static let x509 = 11
    private static let mismatches = [115, 116]

    private func checkReadable(_ file: String, _ what: String) throws(TLSError) {
        let number = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else { throw TLSError(.options, "\(what) in '\(file)': \(String(cString: strerror(errno)))") }
        defer { close(number) }
        var status = stat()
        guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw TLSError(.options, "\(what) in '\(file)': it is no regular file")
        }
        openSSL.clearErrors()
    }

    private func wrong(_ file: String, _ what: String) -> TLSError {
        TLSError(.options, "'\(file)' \(what) (\(reason))")
    }

    private var reason: String { openSSL.takeError()?.text ?? "no reason is known" }
}

/// Whether this side connects, or accepts.
package enum TLSSide: Hashable, Sendable {
    case client, server
}
