import Framing

/// Why the server closes a connection: the code and the text of its CLOSE.
///
/// An orderly end has one too, so it is no `Violation`.
struct CloseCause: Equatable, Sendable {
    /// What a client reads that an operator has dropped.
    static let kickText = "an operator ended this connection"

    let code: Code
    /// For a person.
    let text: String

    init(_ code: Code, _ text: String = "") {
        self.code = code
        self.text = text
    }

    init(_ violation: Violation) { self.init(violation.code, violation.text) }
    init(_ goAway: GoAway) { self.init(goAway.code, goAway.text) }
}
