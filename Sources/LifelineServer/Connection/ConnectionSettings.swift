import Framing

/// What of the server's options a connection goes by. The options own arrays, and each copy of one writes to memory that
/// parent and child share until then.
struct ConnectionSettings {
    let terms: Terms
    let grace: Duration
    let handlerTimeout: Duration?
    let maxAge: Duration?
    let maxIdle: Duration?
    /// Whether a certificate's name stands for a token.
    let takesProvedNames: Bool

    /// The same for the connection of a back-end: it stays for as long as it likes. A request of it has the time that it
    /// says itself.
    var ofBackEnd: ConnectionSettings {
        ConnectionSettings(
            terms: terms, grace: grace, handlerTimeout: nil, maxAge: nil, maxIdle: nil, takesProvedNames: false)
    }
}
