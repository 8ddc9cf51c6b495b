/// What a failure of TLS means, in a sentence.
enum HandshakeFailure {
    /// What the failed check of a certificate knows (verify(1ssl), section DIAGNOSTICS).
    struct Certificate {
        /// The error's number.
        var error: Int32
        /// OpenSSL's own text.
        var text: String
        /// The name or address that was expected.
        var expected: String
        /// The names that the certificate has.
        var names: String
        var issuer: String
        var notBefore: String
        var notAfter: String
        /// The file of --ca; nil where the system's authorities are trusted.
        var authorities: String?
        /// Whether a server judges a client.
        var isClients = false
    }

    /// The sentence for a certificate that did not pass.
    static func text(_ certificate: Certificate) -> String {
        let whose = certificate.isClients ? "the client's certificate" : "the server's certificate"
        let trusted = certificate.authorities.map { "the authorities in \($0)" } ?? "the system's authorities"
        let names =
            certificate.names.isEmpty
            ? "no name (a subjectAltName is asked for: its common name does not count)" : certificate.names
        switch certificate.error {
        case 9: return "\(whose) is not valid before \(certificate.notBefore): is the clock right?"
        case 10: return "\(whose) has expired: it was valid until \(certificate.notAfter)"
        case 18: return "\(whose) is self-signed, and not among \(trusted): name its file with --ca (caFile)"
        case 19, 2, 20, 21:
            return "\(whose) comes from '\(certificate.issuer)', which is unknown to \(trusted): name the "
                + "authority's file with --ca (caFile)"
        case 62: return "\(whose) is for \(names), and not for the name \(certificate.expected)"
        case 64: return "\(whose) is for \(names), and not for the address \(certificate.expected)"
        case 23: return "\(whose) is revoked"
        case 26: return "\(whose) is not made for \(certificate.isClients ? "a client" : "a server")"
        default: return "\(whose) does not pass: \(certificate.text)"
        }
    }

    /// The sentence for an alert of the other side; nil for a reason that is none (RFC 8446, section 6.2).
    static func text(alert reason: Int, isClient: Bool) -> String? {
        guard (1000..<1256).contains(reason) else { return nil }
        let peer = isClient ? "the server" : "the client"
        let own = isClient ? "this client's certificate" : "the server's certificate"
        let why: String
        switch reason - 1000 {
        case 116: return "\(peer) wants a certificate of this client: give --cert and --key (certificateFile, keyFile)"
        case 40: why = "the two share no cipher, or it wants a certificate of this side (handshake_failure)"
        case 42: why = "it does not accept \(own) (bad_certificate)"
        case 43: why = "it does not take certificates like \(own) (unsupported_certificate)"
        case 44: why = "\(own) is revoked (certificate_revoked)"
        case 45: why = "\(own) has expired (certificate_expired)"
        case 46: why = "it does not accept \(own) (certificate_unknown)"
        case 48: why = "it does not know the issuer of \(own) (unknown_ca)"
        case 49: why = "it denies access to \(own) (access_denied)"
        case 10: why = "it got what it did not expect (unexpected_message)"
        case 20: why = "bytes have changed on their way (bad_record_mac)"
        case 22: why = "a record was too long (record_overflow)"
        case 47: why = "a field was wrong (illegal_parameter)"
        case 50: why = "it could not read what came (decode_error)"
        case 70: why = "it does not speak the TLS versions 1.2 and 1.3 (protocol_version)"
        case 71: why = "it asks for stronger ciphers (insufficient_security)"
        case 80: why = "it has failed (internal_error)"
        case 112: why = "it does not know the name that was asked for: see --server-name (unrecognized_name)"
        case 120: why = "it does not know the protocol of --tls-alpn (no_application_protocol)"
        case let number: why = "alert \(number)"
        }
        return "\(peer) ended TLS: \(why)"
    }

    /// The sentence for a peer whose first bytes are no record of TLS (RFC 8446, section 5.1); nil where they are one.
    static func text(firstBytes bytes: [UInt8]) -> String? {
        guard let first = bytes.first else { return nil }
        // The type of a record is from 20 to 23, and its version 3.x.
        let isRecord = (20...23).contains(first) && (bytes.count < 2 || bytes[1] == 3)
        guard !isRecord else { return nil }
        let looks: String
        if bytes.starts(with: Array("LIFELINE".utf8)) {
            looks = "a Lifeline server without TLS answers: leave --tls (tls) away, or take the port of its proxy"
        } else if bytes.starts(with: Array("HTTP/".utf8)) {
            looks = "it looks like an HTTP server's"
        } else if bytes.starts(with: Array("SSH-".utf8)) {
            looks = "it looks like an SSH server's"
        } else {
            looks = "its first bytes are \(bytes.prefix(8).map { byte in shown(byte) }.joined())"
        }
        return "there is no TLS on this port: \(looks)"
    }

    private static func shown(_ byte: UInt8) -> String {
        if (0x21...0x7E).contains(byte) { return String(UnicodeScalar(byte)) }
        let digits = String(byte, radix: 16)
        return "\\x" + (digits.count < 2 ? "0" : "") + digits
    }

    /// The sentence for an error of OpenSSL that is neither of a certificate nor an alert (openssl/sslerr.h).
    static func text(_ error: OpenSSLError?) -> String {
        guard let error else { return "TLS has failed" }
        switch error.reason {
        case 258, 252: return "the other side does not speak the TLS versions 1.2 and 1.3: \(error.text)"
        default: return "TLS has failed: \(error.text)"
        }
    }
}
