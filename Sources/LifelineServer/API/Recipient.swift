/// Whom a message is for: connections of this server, `ServerOptions.topics` being on. SHORT connections are not reached.
public enum Recipient: Hashable, Sendable {
    /// The connection of this number (`Connection.id`).
    case connection(UInt64)
    /// Each connection whose client has given itself this name. Any client can claim any name.
    case name(String)
    /// Each connection whose client has brought the token of this name (`Connection.tokenName`).
    case token(String)
    /// Every connection.
    case all
}

/// A connection that others can reach.
public struct Member: Hashable, Sendable {
    /// The server's number for the connection.
    public let connection: UInt64
    /// The client's name for itself; nil where it has none.
    public let name: String?
    /// The name of the client's token; nil where it has none.
    public let tokenName: String?
    /// The client's address and port.
    public let peer: String
}
