import Framing

/// How a connection ended.
public enum CloseReason: Equatable, Sendable {
    /// With the code and the text of the CLOSE that came first, and the side that said it (Protocol.md, section 8).
    case closed(Code, String, by: Side)
    /// Without CLOSE: the connection broke, for this reason.
    case lost(String)
}
