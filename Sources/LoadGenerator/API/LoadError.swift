/// Why there is nothing to report.
public struct LoadError: Error, Sendable {
    /// What the caller can do about it.
    public enum Kind: Sendable {
        /// No server answers.
        case unavailable
        /// The server is there, and does not want anybody now.
        case busy
        /// The server does not want this client.
        case unwanted
        /// What answers does not speak the protocol.
        case protocolError
        /// The system refuses what the run needs.
        case system
        /// The options cannot be carried out.
        case options
    }

    /// What the caller can do about it.
    public let kind: Kind
    /// For people.
    public let text: String
}
