/// What a connection does, as its child shows it.
enum ConnectionActivity: UInt32, CaseIterable {
    /// The handshake is not done.
    case greeting
    /// Nothing is unanswered.
    case idle
    /// A request is unanswered.
    case working
    /// CLOSE is on its way, or the handler is waited for.
    case closing

    var name: String {
        switch self {
        case .greeting: "greeting"
        case .idle: "idle"
        case .working: "working"
        case .closing: "closing"
        }
    }
}
