import Glibc

/// One side of one TLS connection, as bytes in and bytes out: no socket, and no clock.
///
/// The bytes of the network pass through two memory buffers (BIO_s_mem(3ssl)). So OpenSSL never meets a socket's error or
/// end, it raises no SIGPIPE, and it never has to repeat a write. It belongs to one thread at a time.
package final class TLSEngine {
    private let context: TLSContext
    private let openSSL: OpenSSL
    private let connection: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    /// The name or address that the certificate has to be for, and the key of kept sessions.
    private let name: String
    private let sessionKey: String
    /// The first bytes of the other side, which tell TLS from something else.
    private var firstBytes: [UInt8] = []
    /// What the check of the certificate has found.
    private var verdict: String?
    private var failure: TLSError?
    private var hasSentClose = false

    /// Begins a connection.
    ///
    /// - Parameters:
    ///   - context: The settings.
    ///   - name: The name or address that the certificate of a server has to be for; empty where it is not checked.
    ///   - sessionKey: The server's name among the kept sessions.
    package init(_ context: TLSContext, name: String = "", sessionKey: String = "") throws(TLSError) {
        self.context = context
        openSSL = context.openSSL
        let isClient = context.settings.side == .client
        self.name = isClient ? try ExpectedName(name, isChecked: context.settings.verifies).text : ""
        self.sessionKey = "\(self.name) \(sessionKey)"
        openSSL.clearErrors()
        guard let connection = openSSL.newConnection(context.context) else {
            throw TLSError(.failed, HandshakeFailure.text(openSSL.takeError()))
        }
        guard let incoming = openSSL.newBuffer(openSSL.memoryMethod()),
            let outgoing = openSSL.newBuffer(openSSL.memoryMethod())
        else { preconditionFailure("no memory") }
        openSSL.setBuffers(connection, incoming, outgoing)
        (self.connection, self.incoming, self.outgoing) = (connection, incoming, outgoing)
        _ = openSSL.setData(connection, 0, Unmanaged.passUnretained(self).toOpaque())
        guard isClient else {
            openSSL.accept(connection)
            return
        }
        openSSL.connect(connection)
        if !self.name.isEmpty { try expect(self.name) }
        context.resume(connection, with: self.sessionKey)
    }

    deinit {
        // Else a connection that was cut would make its session useless for the next one.
        openSSL.setShutdown(connection, 3)
        openSSL.freeConnection(connection)
        openSSL.clearErrors()
    }

    private func expect(_ name: String) throws(TLSError) {
        // The common name of a subject is no name of a server (RFC 9525, section 2).
        openSSL.setHostFlags(openSSL.verifyParameters(connection), OpenSSL.neverCheckSubject)
        if openSSL.setAddress(openSSL.verifyParameters(connection), name) == 1 { return }
        openSSL.clearErrors()
        var bytes = Array(name.utf8CString)
        let isNamed = bytes.withUnsafeMutableBytes {
            openSSL.controlConnection(connection, OpenSSL.setServerName, 0, $0.baseAddress) == 1
        }
        guard isNamed, openSSL.setHost(connection, name) == 1 else {
            openSSL.clearErrors()
            throw TLSError(.options, "'\(name)' is no name that a certificate could have")
        }
    }

    // MARK: State

    /// Whether the handshake is over.
    package var isEstablished: Bool { openSSL.isFinished(connection) == 1 }
    /// Whether an earlier session was resumed.
    package var isResumed: Bool { openSSL.isReused(connection) == 1 }
    /// The version, such as `TLSv1.3`.
    package var version: String { openSSL.versionName(connection).map { String(cString: $0) } ?? "" }

    // MARK: The network's side

    /// Takes bytes of the network.
    package func receive(_ bytes: UnsafeRawBufferPointer) {
        if firstBytes.count < 8 { firstBytes += bytes.prefix(8 - firstBytes.count) }
        _ = openSSL.writeBuffer(incoming, bytes.baseAddress, Int32(bytes.count))
    }

    /// Moves bytes for the network into `buffer`; returns how many.
    package func takeOutgoing(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        Int(max(0, openSSL.readBuffer(outgoing, buffer.baseAddress, Int32(buffer.count))))
    }

    // MARK: The program's side

    /// Reads into `buffer` what has arrived whole. Throws the reason where TLS has failed; an alert for the other side is
    /// among the bytes for the network then.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSError) -> TLSReading {
        if let failure { throw failure }
        openSSL.clearErrors()
        let count = openSSL.read(connection, buffer.baseAddress, Int32(buffer.count))
        if count > 0 { return .bytes(Int(count)) }
        switch openSSL.error(connection, count) {
        case OpenSSL.wantRead: return .needsMore
        case OpenSSL.zeroReturn: return .end
        default: throw fail()
        }
    }

    /// Makes records of `bytes` for the network. Returns false where the handshake has to go on first.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(TLSError) -> Bool {
        if let failure { throw failure }
        openSSL.clearErrors()
        guard isEstablished else {
            // SSL_write would want the same bytes again, and until the handshake is over they may change.
            let result = openSSL.handshake(connection)
            if result == 1 { return bytes.isEmpty ? true : try write(bytes) }
            guard openSSL.error(connection, result) == OpenSSL.wantRead else { throw fail() }
            return false
        }
        let count = openSSL.write(connection, bytes.baseAddress, Int32(bytes.count))
        if count == bytes.count { return true }
        throw fail()
    }

    /// Ends this side's stream in order (close_notify), once.
    package func close() {
        guard !hasSentClose, failure == nil, isEstablished else { return }
        hasSentClose = true
        openSSL.clearErrors()
        _ = openSSL.shutdown(connection)
    }

    // MARK: Failures

    private func fail() -> TLSError {
        let error = openSSL.takeError()
        let isClient = context.settings.side == .client
        let found: TLSError
        if let verdict {
            found = TLSError(.certificate, verdict)
        } else if let text = HandshakeFailure.text(firstBytes: firstBytes) {
            found = TLSError(.noTLS, text)
        } else if let reason = error?.reason, let text = HandshakeFailure.text(alert: reason, isClient: isClient) {
            found = TLSError(.alert, text)
        } else {
            found = TLSError(.failed, HandshakeFailure.text(error))
        }
        context.forget(sessionKey)
        failure = found
        return found
    }

    /// Judges what OpenSSL has judged of a certificate, and remembers what is wrong with it.
    static func judged(_ passes: Int32, _ store: OpaquePointer?) -> Int32 {
        guard passes == 0, let store, let openSSL = try? OpenSSL.shared.get(),
            let connection = openSSL.storeData(store, openSSL.storeIndex()),
            let data = openSSL.data(OpaquePointer(connection), 0)
        else { return passes }
        Unmanaged<TLSEngine>.fromOpaque(data).takeUnretainedValue().rejected(store)
        return passes
    }

    private func rejected(_ store: OpaquePointer) {
        let error = openSSL.storeError(store)
        let certificate = openSSL.storeCertificate(store)
        func printed(_ print: (OpaquePointer, OpaquePointer) -> Void) -> String {
            guard let certificate else { return "" }
            return openSSL.printed { print($0, certificate) }
        }
        verdict = HandshakeFailure.text(
            HandshakeFailure.Certificate(
                error: error, text: openSSL.verifyText(Int(error)).map { String(cString: $0) } ?? "error \(error)",
                expected: name, names: names(of: certificate),
                issuer: printed { _ = openSSL.printName($0, openSSL.issuer($1), 0, OpenSSL.nameFormat) },
                notBefore: printed { _ = openSSL.printTime($0, openSSL.notBefore($1)) },
                notAfter: printed { _ = openSSL.printTime($0, openSSL.notAfter($1)) },
                authorities: context.settings.caFile.map { "'\($0)'" },
                isClients: context.settings.side == .server))
    }

    /// The names and addresses that a certificate is for; empty where it has none.
    private func names(of certificate: OpaquePointer?) -> String {
        guard let certificate else { return "" }
        let index = openSSL.extensionIndex(certificate, OpenSSL.subjectAlternativeName, -1)
        guard index >= 0, let names = openSSL.certificateExtension(certificate, index) else { return "" }
        return openSSL.printed { _ = openSSL.printExtension($0, names, 0, 0) }
    }

    /// Keeps a session that the server has given for the next connection.
    func keep(_ session: OpaquePointer) { context.keep(session, for: sessionKey) }
}

/// The result of reading.
package enum TLSReading: Equatable {
    /// This many bytes, at least one.
    case bytes(Int)
    /// It needs more bytes of the network.
    case needsMore
    /// The other side has ended its stream in order (close_notify).
    case end
}
