/// Why TLS is not there, or does not go on.
public struct TLSError: Error, Hashable, Sendable {
    /// What has failed.
    public enum Kind: Hashable, Sendable {
        /// The system has no OpenSSL, or not one that can be used.
        case noLibrary
        /// A file or a name that the program has given.
        case options
        /// What answers speaks no TLS.
        case noTLS
        /// The certificate of the other side did not pass (X509_verify_cert(3ssl)).
        case certificate
        /// The other side ended TLS with an alert (RFC 8446, section 6.2).
        case alert
        /// The two sides could not agree, or the stream is damaged.
        case failed
    }

    /// What has failed.
    public let kind: Kind
    /// A sentence for people. It may quote the other side's certificate.
    public let text: String

    package init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }
}

extension TLSError: CustomStringConvertible {
    /// The sentence.
    public var description: String { text }
}
