/// Why TLS is not there, or does not go on.
public struct TLSError: Error, Hashable, Sendable {
    /// For people.
    public let text: String

    package init(_ text: String) { self.text = text }
}
