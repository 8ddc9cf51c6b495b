/// The error of a run that has no report.
public struct LoadError: Error, Sendable {
    /// The class of an error, from which a program derives its exit status.
    public enum Kind: UInt8, Sendable {
        /// No server answers at the address.
        case unavailable
        /// The server refused all connections as BUSY or SHUTTING_DOWN.
        case busy
        /// The server refused this client as UNAUTHORIZED.
        case unwanted
        /// The peer does not speak the protocol.
        case protocolError
        /// The system lacks descriptors or memory for the run.
        case system
        /// An option contradicts the server's limits.
        case options
    }

    /// The class of the error.
    public let kind: Kind
    /// A sentence for people.
    public let text: String
}
