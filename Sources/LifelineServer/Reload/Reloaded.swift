/// Reads the configuration again.
typealias Reloader = () throws(ReloadError) -> Reloaded

/// What a reload changes: the options of connections that are accepted from now on, and what answers their requests.
public struct Reloaded {
    let options: ServerOptions
    let alsoKept: [String]
    let factory: HandlerFactory
    /// The rules of admission that the configuration takes back in so many words; nil where a program has made the
    /// options, and means what it leaves out.
    package var removed: Set<AdmissionRule>?

    /// A reload with a handler.
    ///
    /// - Parameters:
    ///   - options: The options that hold from now on.
    ///   - alsoKept: The names of settings outside `options` that have changed, and cannot change while the server runs.
    ///     The server logs them beside those of `options`.
    ///   - makeHandler: Makes the handler of a connection, in the connection's process.
    public init<ConnectionHandler: Handler>(
        _ options: ServerOptions, alsoKept: [String] = [], _ makeHandler: @escaping () -> ConnectionHandler
    ) {
        self.options = options
        self.alsoKept = alsoKept
        factory = HandlerFactory(makeHandler)
    }

    /// A reload with a program in place of a handler.
    public init(_ options: ServerOptions, alsoKept: [String] = [], _ program: Program) {
        self.options = options
        self.alsoKept = alsoKept
        factory = HandlerFactory(program)
    }
}
