/// Why a configuration cannot be taken over; everything stays as it was.
public struct ReloadError: Error, CustomStringConvertible, Sendable {
    /// A sentence for the log.
    public let description: String

    /// An error with this text.
    public init(_ description: String) { self.description = description }
}

extension ServerOptions {
    /// These options as far as a server that runs with those of `running` can take them over, and the flags of those
    /// that a restart alone changes.
    func takenOver(by running: ServerOptions) -> (options: ServerOptions, kept: [String]) {
        var options = self
        let kept = RestartOption.allCases.filter { $0.keep(in: &options, from: running) }
        return (options, kept.map(\.rawValue))
    }
}
