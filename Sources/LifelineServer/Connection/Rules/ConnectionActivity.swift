/// What a connection does, as the scoreboard shows it.
enum ConnectionActivity: UInt32, CaseIterable {
    /// The handshake is not done.
    case greeting
    /// Every request has its ending.
    case idle
    /// A request has no ending yet.
    case working
    /// CLOSE is on its way, or the process waits for the handler.
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
